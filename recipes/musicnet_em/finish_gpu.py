"""Make a checkpoint of trained weights: python recipes/musicnet_em/finish_gpu.py OUT/large.pt NAME ...

Tunes the decoding on excerpts of the validation recordings, scores them, beside an existing checkpoint too, and writes
the folder. Model outputs are kept in --work: started again, it continues.
"""

from __future__ import annotations

import argparse
import datetime
import os
import shutil
import tempfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from audiocx.checkpoints import load_checkpoint, save_checkpoint
from audiocx.cli.scripts import exit_on_errors
from audiocx.config import from_dict
from audiocx.data.augment import DEGRADATION, degraded
from audiocx.data.corpora import maps, musicnet
from audiocx.data.labels import read_labels
from audiocx.io.atomic_write import atomic_write
from audiocx.io.audio import read
from audiocx.kinds import build
from audiocx.models.note_blocks import infer_notes
from audiocx.models.note_network import NoteConfig, NoteNetwork
from audiocx.models.runtime import TorchNetwork
from audiocx.music.evaluation import NOTE_TUNING, LabelledOutputs, scorable, tune_decoding
from audiocx.music.metrics import evaluate
from audiocx.music.note_decoding import NoteDecodeSettings
from audiocx.music.note_transcriber import NoteModelOutputs
from audiocx.notes import Note
from audiocx.train.export import SCORES, check_replaceable

SAMPLE_RATE = 11025
DESCRIPTION = (
    "Notes by a complex network over time and log frequency, trained on degraded recordings and on music synthesised "
    "from sampled instruments."
)
CARD = """\
# {name}

{description}

| | |
|---|---|
| Network | complex note network, {parameters:,} parameters, {stem} and then {maps} complex maps, blocks of dilation {dilations} over time and {note_dilations} over notes{inside} |
| Input | 11025 Hz mono, normalised to a running level of {level} dBFS; windows of {windows} samples every {hop}, up to {context_s:.1f} s on either side |
| Output | for each of 88 notes from MIDI 21 on, every frame: the probabilities that it begins, sounds and ends, and its velocity |
| Training data | MAPS, the "MUS" recordings of six synthesised pianos, less AkPnBcht; three movements of Bach played on the violin by John Garner; the notes of MusicNetEM and MAPS, less validation and test pieces, and randomly generated music, synthesised from the Salamander Grand and from the instruments of FluidR3 GM, TimGM6mb and sf_GMbank |
| Validation data | the 11 AkPnBcht recordings of MAPS whose piece occurs on no other piano; the six validation ids of MusicNet, rendered; movements played by Oliver Colbentson |
| Licence of the data | CC BY-NC-SA 4.0 (MusicNetEM: Maman & Bermano 2022), CC BY-NC-SA 2.0 (MAPS: Emiya, Badeau & David 2010), CC BY 3.0 (Salamander Grand Piano V3: Alexander Holm), CC BY 3.0 (Bach Violin Dataset, Dong et al. 2022: John Garner), MIT (FluidR3 GM: Frank Wen), GPL-2 (TimGM6mb: Tim Brechbill), LGPL-2.1 (sf_GMbank of Csound); so the weights are non-commercial too |
| Seen in training | {seen} |
| Machine, date | {machine}, {date} |

## Figures

Frames every {hop} samples, over {scored}. The decoding settings were chosen on the validation pieces, so that their
figures flatter a little.

| pieces | AP | frame P | frame R | frame F1 | note F1 (50 ms) | note F1 with offset |
|---|---:|---:|---:|---:|---:|---:|
{rows}

## Made by

```
python recipes/musicnet_em/pack_gpu.py MIDI MAPS DATA --salamander SALAMANDER --violin VIOLIN
python recipes/musicnet_em/train_gpu.py DATA --out OUT{further}
python recipes/musicnet_em/finish_gpu.py OUT/{weights} pretrained/{name} --maps MAPS --renders RENDERS --unseen TEST --violin VIOLIN
```
"""  # noqa: E501


FURTHER = """
python recipes/musicnet_em/finish_gpu.py OUT/{weights} pretrained/{name} --maps MAPS --renders RENDERS --unseen TEST --violin VIOLIN
torchrun --nproc-per-node 2 recipes/musicnet_em/finetune.py DATA --out OUT"""  # noqa: E501


PRUNED = """
# the weights of notes-complex-large, then
torchrun --nproc-per-node 2 recipes/musicnet_em/finetune.py DATA --out OUT --maps {maps}"""


@dataclass(frozen=True)
class Condition:
    """Recordings that are scored together.

    Attributes:
        name: Name in the table.
        files: Recordings and their label files.
        change: Function (samples, name) -> samples that is applied to each recording first.
        longest_s: Seconds of each that are scored, from its beginning; 0 for all.
        tuned: Whether the decoding is tuned on it.
    """

    name: str
    files: list[tuple[Path, Path]]
    change: Callable[[NDArray[np.float32], str], NDArray[np.float32]]
    longest_s: float
    tuned: bool


def unchanged(samples: NDArray[np.float32], name: str) -> NDArray[np.float32]:
    """Return the recording as it is."""
    return samples


def degraded_recording(samples: NDArray[np.float32], name: str) -> NDArray[np.float32]:
    """Degrade a recording as evaluate.py --degraded does."""
    return degraded(samples, SAMPLE_RATE, DEGRADATION, name)


def quiet(samples: NDArray[np.float32], name: str, peak_dbfs: float) -> NDArray[np.float32]:
    """Scale a recording to a peak level, quantised to 16 bits."""
    scaled = samples * (10 ** (peak_dbfs / 20) / np.abs(samples).max())
    return (np.rint(scaled * 32768) / 32768).astype(np.float32)


def conditions(arguments: argparse.Namespace) -> list[Condition]:
    """List what is scored."""
    pianos = [(piece.audio, piece.labels) for piece in maps.split(maps.find_pieces(arguments.maps))[1]]
    renders = [
        (piece.audio, piece.labels) for piece in musicnet.split(musicnet.find_pieces(arguments.renders)).validation
    ]
    unseen = [(piece.audio, piece.labels) for piece in musicnet.split(musicnet.find_pieces(arguments.unseen)).test]
    violin = [(path, path.with_suffix(".tsv")) for path in sorted(arguments.violin.glob("oliver*.flac"))]
    seconds = arguments.seconds
    minute = min(seconds, 60.0) or 60.0
    # The names are those of the figures in checkpoints.
    return [
        Condition("MAPS validation", pianos, unchanged, seconds, True),
        Condition("MAPS validation degraded", pianos, degraded_recording, seconds, True),
        Condition("MusicNetEM-rendered validation", renders, unchanged, minute, True),
        Condition("MusicNetEM-rendered validation degraded", renders, degraded_recording, minute, True),
        Condition("violin (Colbentson)", violin, unchanged, minute, True),
        Condition("MAPS validation at a peak of -60 dBFS", pianos, partial(quiet, peak_dbfs=-60), 20.0, False),
        Condition("MAPS validation at a peak of -70 dBFS", pianos, partial(quiet, peak_dbfs=-70), 20.0, False),
        Condition("test renders, unseen soundfont", unseen, unchanged, seconds, False),
    ]


def infer(network: NoteNetwork, condition: Condition, cache: Path) -> Iterator[LabelledOutputs]:
    """Run a network over recordings, or load the outputs of an earlier run."""
    config, cut = network.config, condition.longest_s > 0
    rate = config.sample_rate / config.hop_samples
    for audio, labels in condition.files:
        path = cache / f"{condition.name}-{condition.longest_s:g}-{audio.stem}.npz".replace("/", "-")
        if not path.exists():
            samples = condition.change(read(audio, SAMPLE_RATE)[0], audio.stem)
            longest = round(condition.longest_s * SAMPLE_RATE) if cut else len(samples)
            # The sound after the excerpt is in the receptive field.
            outputs = infer_notes(TorchNetwork(network), samples[: longest + 2 * SAMPLE_RATE])
            frames = -(-min(longest, len(samples)) // config.hop_samples)
            halves = {name: values[:frames].astype(np.float16) for name, values in outputs._asdict().items()}
            with atomic_write(path) as temporary, open(temporary, "wb") as file:
                np.savez(file, **halves)
        with np.load(path) as stored:
            onsets, frames_on, offsets, velocities = (stored[name].astype(np.float32) for name in stored.files)
        end_s = len(onsets) / rate if cut else np.inf
        reference = [
            Note(note.onset_s, note.midi_note, min(note.offset_s, end_s), note.velocity)
            for note in read_labels(labels)
            if note.onset_s < end_s - 0.05
        ]
        model_outputs = NoteModelOutputs(frames_on, rate, config.lowest_note, onsets, offsets, velocities)
        yield LabelledOutputs(audio.stem, model_outputs, reference)


def main() -> None:
    """Tune, score and export."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", type=Path, help="large.pt or small.pt of train_gpu.py, large.pt of finetune.py")
    parser.add_argument("checkpoint", type=Path, help="folder to write")
    parser.add_argument("--maps", type=Path, required=True, help="the MAPS folder")
    parser.add_argument("--renders", type=Path, required=True, help="renders of the validation ids")
    parser.add_argument("--unseen", type=Path, required=True, help="renders of the test ids with another soundfont")
    parser.add_argument("--violin", type=Path, required=True, help="the folder of the Bach violin recordings")
    parser.add_argument(
        "--work", type=Path, default=Path("outputs"), help="folder of model outputs (default: %(default)s)"
    )
    about = "seconds of each recording that are scored; 0 for all (default: %(default)s)"
    parser.add_argument("--seconds", type=float, default=60.0, help=about)
    about = "checkpoint to compare with; empty for none (default: %(default)s)"
    parser.add_argument("--compare", default="notes-complex-small", help=about)
    about = "machine of the training, for the card (default: %(default)s)"
    parser.add_argument("--machine", default="one NVIDIA H100 for nine minutes", help=about)
    arguments = parser.parse_args()
    check_replaceable(arguments.checkpoint)
    record = torch.load(arguments.weights, map_location="cpu", weights_only=True)
    network = build(from_dict(NoteConfig, record["config"], str(arguments.weights)))
    network.load_state_dict(record["state"])
    with tempfile.TemporaryDirectory() as draft:
        # The very weights that are exported, rounded to 16 bits.
        rounded = load_checkpoint(save_checkpoint(network, Path(draft) / "untuned")).network
    cache = arguments.work / f"{arguments.checkpoint.name}-{zlib.crc32(arguments.weights.read_bytes()):08x}"
    cache.mkdir(parents=True, exist_ok=True)
    outputs: dict[str, list[LabelledOutputs]] = {}
    chosen = conditions(arguments)
    for condition in chosen:
        outputs[condition.name] = list(infer(rounded, condition, cache))
        print(f"done: {condition.name}", flush=True)
    validation = [one for condition in chosen if condition.tuned for one in outputs[condition.name]]
    settings, objective = tune_decoding(
        validation, NoteDecodeSettings(0.3, 0.4, 0.5), NOTE_TUNING, workers=min(os.cpu_count() or 1, len(validation))
    )
    print(f"tuned: {settings}, objective {objective:.4f}", flush=True)
    scores = {name: evaluate(scorable(one, settings) for one in part).overall for name, part in outputs.items() if part}
    write(arguments, network, settings, scores, record)
    if arguments.compare:
        compare(arguments, chosen, scores)


def compare(arguments: argparse.Namespace, chosen: list[Condition], scores: dict[str, Any]) -> None:
    """Print the same scores of another checkpoint."""
    other = load_checkpoint(arguments.compare)
    cache = arguments.work / other.name
    cache.mkdir(parents=True, exist_ok=True)
    for condition in chosen:
        if condition.name in scores:
            overall = evaluate(scorable(one, other.decode) for one in infer(other.network, condition, cache)).overall
            print(f"{condition.name}\n  {row(scores[condition.name])}\n  {row(overall)} ({other.name})", flush=True)


def row(overall: dict[str, Any]) -> str:
    """Return scores as cells of a table."""
    return " | ".join(f"{overall[key]:.3f}" for key in SCORES)


def seen(record: dict[str, Any], config: NoteConfig) -> str:
    """Return how much sound a network has seen in training."""
    hours, before = (
        frames * config.hop_samples / config.sample_rate / 3600
        for frames in (record["frames_seen"], record.get("frames_before", 0))
    )
    steps = f"{record['steps']:,} steps"
    if before:
        return f"{hours:.0f} hours, the last {hours - before:.1f} of them in {steps}"
    return f"{hours:.0f} hours in {steps}"


def write(
    arguments: argparse.Namespace, network: NoteNetwork, settings: Any, scores: dict[str, Any], record: dict[str, Any]
) -> None:
    """Write the checkpoint."""
    config, parameters = network.config, sum(parameter.numel() for parameter in network.parameters())
    rows = "\n".join(f"| {name} | {row(overall)} |" for name, overall in scores.items())
    print(rows, flush=True)
    date = datetime.date.today().isoformat()
    names = {"name": arguments.checkpoint.name, "weights": arguments.weights.name}
    before = record.get("frames_before", 0)
    excerpts = f"the first {arguments.seconds:g} s of each piece (renders, violin: 60 s at most; quiet ones: 20 s)"
    inner = config.block_channels
    description = DESCRIPTION.replace(".", ", and pruned.") if inner else DESCRIPTION
    further = FURTHER.format(**names) if before else ""
    card = CARD.format(
        **names,
        description=description,
        inside=f", pruned to {inner} maps between their two convolutions" if inner else "",
        parameters=parameters,
        stem=config.stem_channels,
        maps=config.channels,
        dilations=config.dilations,
        note_dilations=config.note_dilations or 1,
        level=config.level_dbfs,
        windows=", ".join(map(str, config.windows)),
        hop=config.hop_samples,
        context_s=(config.context_frames * config.hop_samples + config.left_context_samples) / config.sample_rate,
        seen=seen(record, config),
        further=PRUNED.format(maps=inner) if inner else further,
        machine=arguments.machine,
        date=date,
        scored=excerpts if arguments.seconds else "whole pieces (renders, violin: 60 s at most; quiet ones: 20 s)",
        rows=rows,
    )
    figures: dict[str, Any] = {
        **scores,
        "frames": record["frames_seen"],
        "parameters": parameters,
        "date": date,
        "ap": next(iter(scores.values()))["average_precision"],
    }
    if arguments.checkpoint.exists():
        shutil.rmtree(arguments.checkpoint)
    save_checkpoint(network, arguments.checkpoint, decode=settings, description=description, figures=figures, card=card)


if __name__ == "__main__":
    with exit_on_errors("finish_gpu"):
        main()

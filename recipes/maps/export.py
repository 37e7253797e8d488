"""Makes a checkpoint of a run: python recipes/maps/export.py runs/deep-complex FOLDER pretrained/maps-deep-complex.

Takes the weights of best.ckpt, tunes the decoding on the validation pieces, scores it there, and writes weights,
configuration and model card.
"""

from __future__ import annotations

import argparse
import datetime
import json
import shutil
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from evaluate import HOP_SAMPLES, hear_validation

from audiocx import pretrained
from audiocx.config import from_dict
from audiocx.engine import Experiment, load_network
from audiocx.errors import AudiocxError, DataError
from audiocx.evaluation import Heard, scorable, tune_decoding
from audiocx.inference import load
from audiocx.metrics import evaluate
from audiocx.models import TranscriberNetwork
from audiocx.notes import DecodeSettings

# Frames of a finished checkpoint: 23 ms apart, half as many as in the paper's evaluation; notes lose nothing by it.
SHIPPED_HOP_SAMPLES = 256

SCORES = ("average_precision", "frame_precision", "frame_recall", "frame_f1", "note_f1", "note_offset_f1")

CARD = """\
# {name}

{description}

| | |
|---|---|
| Network | {network} |
| Input | 11025 Hz mono, windows of 4096 samples (372 ms) |
| Output | the probability of each of the 88 piano notes at the window's centre |
| Training data | MAPS, the "MUS" recordings of six synthesised pianos; all AkPnBcht recordings kept out |
| Validation data | the 11 AkPnBcht recordings whose piece occurs on no other piano |
| Licence of the data | CC BY-NC-SA 2.0 (MAPS: Emiya, Badeau & David 2010); so the weights are non-commercial too |
| Seen in training | {windows:,} windows, seed {seed} |
| Machine, date | {machine}, {date} |

## Figures

On the validation pieces, frames every {hop} samples over whole pieces. The weights of the best epoch and the decoding
settings were chosen on these pieces, so that the figures flatter a little.

| AP | frame P | frame R | frame F1 | note F1 (50 ms) | note F1 with offset |
|---:|---:|---:|---:|---:|---:|
| {scores} |

## Made by

```
python recipes/maps/train.py recipes/maps/conf/{run}.toml FOLDER
python recipes/maps/export.py runs/{run} FOLDER pretrained/{name}
```

with FOLDER the MAPS corpus. Scored again by `python recipes/maps/evaluate.py {name} FOLDER`.
"""


def read_experiment(run: Path) -> Experiment:
    """Reads what a run was.

    Args:
        run: Its folder.

    Returns:
        The experiment.

    Raises:
        DataError: There is no run.
    """
    record = run / "experiment.json"
    if not record.is_file():
        raise DataError(f"{run} holds no run; name the folder that recipes/maps/train.py wrote.")
    return from_dict(Experiment, json.loads(record.read_text()), str(record))


def hear_and_tune(network: TranscriberNetwork, folder: str) -> tuple[DecodeSettings, list[Heard], list[Heard]]:
    """Runs a network over the validation pieces and tunes its decoding there.

    Args:
        network: Trained.
        folder: The corpus.

    Returns:
        The settings; the pieces heard at the shipped hop, and at the paper's.
    """
    with tempfile.TemporaryDirectory() as draft:
        # The very weights that are shipped, rounded to 16 bits.
        untuned = pretrained.export(network, Path(draft) / "untuned", DecodeSettings(), HOP_SAMPLES, "not tuned yet")
        transcriber = load(untuned)
    shipped = hear_validation(transcriber, folder, SHIPPED_HOP_SAMPLES)
    settings, _ = tune_decoding(shipped, network.config.lowest_note)
    return settings, shipped, hear_validation(transcriber, folder, HOP_SAMPLES)


def main() -> None:
    """Exports."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="folder of the run")
    parser.add_argument("folder", help="the MAPS folder")
    parser.add_argument("checkpoint", type=Path, help="folder to write; its last part is the checkpoint's name")
    parser.add_argument("--machine", default="a processor with two cores", help="what it was trained on, for the card")
    parser.add_argument("--windows", type=int, help="windows seen, for the card (default: the configuration's)")
    arguments = parser.parse_args()
    experiment = read_experiment(arguments.run)
    network = load_network(arguments.run / "best.ckpt", experiment.model)
    kind = "complex" if experiment.model.complex else "real"
    description = f"Piano notes by the {experiment.model.architecture} {kind} network of Deep Complex Networks"
    parameters = sum(parameter.numel() for parameter in network.parameters())
    settings, shipped, heard = hear_and_tune(network, arguments.folder)
    lowest_note = experiment.model.lowest_note
    fine = evaluate([scorable(one, settings, lowest_note) for one in heard]).overall
    coarse = evaluate([scorable(one, settings, lowest_note) for one in shipped]).overall
    facts = {
        "name": arguments.checkpoint.name,
        "description": description + ", trained on MAPS.",
        "network": f"{experiment.model.architecture} {kind}, {parameters:,} parameters",
        "windows": arguments.windows or experiment.train.steps * experiment.train.batch_size,
        "seed": experiment.train.seed,
        "machine": arguments.machine,
        "date": datetime.date.today().isoformat(),
        "hop": HOP_SAMPLES,
        "run": arguments.run.name,
    }
    figures = {
        "ap": fine["average_precision"],
        f"validation, hop {HOP_SAMPLES}": fine,
        f"validation, hop {SHIPPED_HOP_SAMPLES}": coarse,
    }
    if arguments.checkpoint.exists():
        shutil.rmtree(arguments.checkpoint)
    pretrained.export(
        network,
        arguments.checkpoint,
        settings,
        SHIPPED_HOP_SAMPLES,
        description + ", trained on MAPS.",
        {**figures, "windows": facts["windows"], "parameters": parameters, "date": facts["date"]},
        CARD.format(**facts, scores=" | ".join(f"{fine[key]:.3f}" for key in SCORES)),
    )
    print(json.dumps(fine, indent=2))


if __name__ == "__main__":
    try:
        main()
    except AudiocxError as error:
        sys.exit(f"export: error: {error}")

"""Pack the training data of train_gpu.py into small files: python recipes/musicnet_em/pack_gpu.py MIDI MAPS OUT ...

Single notes of the Salamander Grand and of General MIDI soundfonts become a sample bank; the recordings of MAPS' six
training pianos and of a violinist are coded as Ogg Vorbis; their notes and those of MusicNetEM go into tables. Pieces
for validation and test are left out, but for excerpts that validate during the training.
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import soundfile
from gpu_training import LARGE, LEVEL_DBFS
from numpy.typing import NDArray
from scenes.sample_bank import BankWriter
from scenes.score_tables import note_table, save_tables

from audiocx.checkpoints import load_checkpoint
from audiocx.cli.scripts import exit_on_errors
from audiocx.data.augment import DEGRADATION, degraded
from audiocx.data.corpora import maps, musicnet
from audiocx.data.labels import read_labels
from audiocx.io.audio import read
from audiocx.io.midi import read_midi
from audiocx.models.level import normalize_level
from audiocx.models.note_blocks import infer_notes
from audiocx.models.runtime import TorchNetwork

SAMPLE_RATE = LARGE.sample_rate
# Quality of Ogg Vorbis, 0 to 1, for single notes and for recordings, alternately: 2.8, 3.3 and 2.7 kB a second.
NOTE_QUALITY, RECORDING_QUALITIES = 0.3, (0.25, 0.1)
VELOCITY_LAYERS = (1, 2, 4, 5, 7, 8, 10, 11, 13, 14, 16)
SOUNDFONTS = ("FluidR3_GM", "TimGM6mb", "sf_GMbank")
SOUNDFONT_FOLDER = Path("/usr/share/sounds/sf2")
SUSTAINED_S, LONGEST_S = 3.0, 10.0
EXCERPT_START_S, EXCERPT_S = 12, 16
# Labels of the violin lie on a grid of 32 ms; the onset is looked for within this distance.
SNAP_S, SNAP_PROBABILITY, SHORTEST_S = 0.1, 0.1, 0.05
# By General MIDI program: name, kind, lowest and highest note, time in which a released note decays by 20 dB.
PROGRAMS: dict[int, tuple[str, str, int, int, float]] = {
    0: ("piano", "piano", 21, 108, 0.15),
    1: ("bright piano", "piano", 21, 108, 0.15),
    4: ("electric piano", "struck", 28, 100, 0.12),
    5: ("electric piano 2", "struck", 28, 100, 0.12),
    6: ("harpsichord", "plucked", 29, 89, 0.1),
    8: ("celesta", "struck", 60, 108, 0.4),
    11: ("vibraphone", "struck", 53, 89, 0.3),
    12: ("marimba", "struck", 45, 96, 0.3),
    15: ("dulcimer", "plucked", 48, 86, 0.4),
    16: ("drawbar organ", "sustained", 36, 96, 0.05),
    19: ("church organ", "sustained", 30, 96, 0.3),
    21: ("accordion", "sustained", 41, 89, 0.08),
    22: ("harmonica", "sustained", 55, 96, 0.08),
    24: ("nylon guitar", "plucked", 40, 84, 0.15),
    25: ("steel guitar", "plucked", 40, 84, 0.15),
    26: ("jazz guitar", "plucked", 40, 84, 0.12),
    27: ("electric guitar", "plucked", 40, 86, 0.12),
    32: ("acoustic bass", "plucked", 28, 60, 0.12),
    33: ("electric bass", "plucked", 28, 60, 0.1),
    40: ("violin", "sustained", 55, 103, 0.12),
    41: ("viola", "sustained", 48, 91, 0.12),
    42: ("cello", "sustained", 36, 76, 0.15),
    43: ("contrabass", "sustained", 28, 60, 0.15),
    45: ("pizzicato", "plucked", 40, 96, 0.2),
    46: ("harp", "plucked", 24, 103, 0.4),
    48: ("strings", "sustained", 28, 98, 0.25),
    52: ("choir", "sustained", 43, 84, 0.2),
    53: ("voice", "sustained", 43, 84, 0.12),
    56: ("trumpet", "sustained", 52, 84, 0.08),
    57: ("trombone", "sustained", 36, 72, 0.08),
    58: ("tuba", "sustained", 28, 58, 0.1),
    60: ("horn", "sustained", 34, 77, 0.12),
    65: ("alto saxophone", "sustained", 49, 81, 0.08),
    66: ("tenor saxophone", "sustained", 44, 76, 0.08),
    68: ("oboe", "sustained", 58, 91, 0.08),
    69: ("english horn", "sustained", 52, 81, 0.08),
    70: ("bassoon", "sustained", 34, 75, 0.08),
    71: ("clarinet", "sustained", 50, 94, 0.08),
    72: ("piccolo", "sustained", 74, 108, 0.08),
    73: ("flute", "sustained", 60, 98, 0.08),
    74: ("recorder", "sustained", 60, 98, 0.06),
    75: ("pan flute", "sustained", 60, 98, 0.1),
}
_SEMITONES = {"C": 0, "D#": 3, "F#": 6, "A": 9}


def encode(path: Path, samples: NDArray[np.float32], quality: float) -> None:
    """Write mono samples as Ogg Vorbis."""
    with soundfile.SoundFile(
        path, "w", SAMPLE_RATE, 1, format="OGG", subtype="VORBIS", compression_level=1 - quality
    ) as file:
        for first in range(0, len(samples), 65536):  # libvorbis overflows its stack on long arrays
            file.write(samples[first : first + 65536])


def add_salamander(folder: Path, writer: BankWriter) -> None:
    """Add the Salamander Grand: its velocity layers, folder/1 to folder/16, and its key releases, folder/rel."""
    writer.instrument("Salamander Grand", "piano", 0, 0.15)
    for layer in VELOCITY_LAYERS:
        for path in sorted((folder / str(layer)).rglob(f"*v{layer}.ogg")):
            name = path.stem.rpartition("v")[0]
            pitch = 12 * (int(name[-1]) + 1) + _SEMITONES[name[:-1]]
            writer.add(trimmed(read(path, SAMPLE_RATE)[0]), pitch, 8 * layer - 4)
    writer.instrument("Salamander releases", "noise", -1, 0.05)
    for key in range(1, 89):
        for path in folder.glob(f"rel/**/rel{key}.ogg"):
            writer.add(read(path, SAMPLE_RATE)[0], 20 + key, 64)


def trimmed(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Cut a struck note to start 4 ms before its onset and to last at most ``LONGEST_S``."""
    loud = np.abs(samples) > 0.05 * np.abs(samples[: SAMPLE_RATE // 2]).max()
    first = max(int(loud.argmax()) - round(0.004 * SAMPLE_RATE), 0)
    return faded(samples[first : first + round(LONGEST_S * SAMPLE_RATE)])


def faded(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Fade out the last tenth of a second."""
    size = min(round(0.1 * SAMPLE_RATE), len(samples))
    ramp = np.ones(len(samples), np.float32)
    ramp[len(ramp) - size :] = np.linspace(1, 0, size)
    return samples * ramp


def soundfont_notes(soundfont: str, program: int) -> list[tuple[NDArray[np.float32], int, int]]:
    """Synthesise single notes of a program with fluidsynth; return samples, pitch and velocity of each."""
    import pretty_midi

    _, kind, low, high, _ = PROGRAMS[program]
    velocities = (45, 80, 115) if kind == "piano" else (50, 100)
    score, at_s, slots = pretty_midi.PrettyMIDI(resolution=1000), 0.5, []
    part = pretty_midi.Instrument(program)
    for pitch in range(low, high + 1, 3 if kind == "piano" else 5):
        hold_s = SUSTAINED_S if kind == "sustained" else 8.0 if pitch < 60 else 5.0 if pitch < 84 else 3.5
        if kind not in ("sustained", "piano"):
            hold_s = min(hold_s, 5.0)
        for velocity in velocities:
            part.notes.append(pretty_midi.Note(velocity, pitch, at_s, at_s + hold_s))
            slots.append((at_s, hold_s, pitch, velocity))
            at_s += hold_s + 1.0
    score.instruments.append(part)
    samples = synthesise(score, soundfont)
    notes = []
    for at_s, hold_s, pitch, velocity in slots:
        first = round(at_s * SAMPLE_RATE)
        note = samples[first : first + round(hold_s * SAMPLE_RATE)]
        if len(note) > SAMPLE_RATE // 2 and np.abs(note).max() > 1e-4:
            notes.append((note if kind == "sustained" else faded(note), pitch, velocity))
    return notes


def synthesise(score: object, soundfont: str) -> NDArray[np.float32]:
    """Play a pretty_midi score without reverb and chorus."""
    with tempfile.TemporaryDirectory() as folder:
        midi, wav = Path(folder) / "notes.mid", Path(folder) / "notes.wav"
        score.write(str(midi))  # type: ignore[attr-defined]
        command = ["fluidsynth", "-niq", "-R", "0", "-C", "0", "-g", "0.5", "-r", str(2 * SAMPLE_RATE), "-O", "float"]
        path = SOUNDFONT_FOLDER / f"{soundfont}.sf2"
        subprocess.run([*command, "-F", str(wav), str(path), str(midi)], check=True, capture_output=True)
        return read(wav, SAMPLE_RATE)[0]


def pack_bank(salamander: Path, out: Path) -> None:
    """Write the sample bank."""
    writer = BankWriter(out / "bank", lambda path, samples: encode(path, samples, NOTE_QUALITY))
    add_salamander(salamander, writer)
    for soundfont in SOUNDFONTS:
        for program, (name, kind, _, _, release_s) in PROGRAMS.items():
            if notes := soundfont_notes(soundfont, program):
                writer.instrument(f"{soundfont} {name}", kind, program, release_s)
                for samples, pitch, velocity in notes:
                    writer.add(samples, pitch, velocity)
    writer.close()


def pack_recordings(maps_folder: Path, violin: Path | None, out: Path) -> None:
    """Write the recordings and their notes."""
    train, _ = maps.split(maps.find_pieces(maps_folder))
    files = [(piece.audio, piece.labels, False) for piece in train]
    if violin is not None:
        files += [(path, path.with_suffix(".tsv"), True) for path in sorted(violin.glob("john-garner*.flac"))]
    (out / "recordings").mkdir(parents=True, exist_ok=True)
    tables = {}
    for number, (path, labels, coarse) in enumerate(files):
        samples, _ = read(path, SAMPLE_RATE)
        encode(out / "recordings" / f"{path.stem}.ogg", samples, RECORDING_QUALITIES[number % 2])
        table = note_table(read_labels(labels))
        tables[path.stem] = snapped(table, samples) if coarse else table
    save_tables(out / "recordings.npz", tables)


def snapped(table: NDArray[np.float32], samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Move the onsets of labels on a coarse grid to the nearby onset that notes-complex-small finds likeliest."""
    network = load_checkpoint("notes-complex-small").network
    frame_rate = SAMPLE_RATE / network.config.hop_samples
    onsets, radius = infer_notes(TorchNetwork(network), samples).onsets, int(SNAP_S * frame_rate)
    result = table.copy()
    for row, (onset_s, _, pitch, *_) in zip(result, table, strict=True):
        frame = round(float(onset_s) * frame_rate)
        near = onsets[max(frame - radius, 0) : frame + radius + 1, int(pitch) - network.config.lowest_note]
        if len(near) and near.max() > SNAP_PROBABILITY:
            row[0] = (max(frame - radius, 0) + near.argmax()) / frame_rate
    for row, (_, offset_s, *_) in zip(result, table, strict=True):
        # An offset that was the next note's onset remains so.
        following = np.flatnonzero(np.abs(table[:, 0] - offset_s) < 0.034)
        row[1] = max(result[following[0], 0] if len(following) else offset_s, row[0] + SHORTEST_S)
    return result[np.argsort(result[:, 0], kind="stable")]


def pack_scores(midi: Path, maps_folder: Path, out: Path) -> None:
    """Write the notes of MusicNetEM, without validation and test ids, and of MAPS' training pieces."""
    left_out = {*musicnet.VALIDATION_IDS, *musicnet.TEST_IDS}
    files = [path for path in sorted(midi.rglob("*.mid")) if int(path.stem) not in left_out]
    tables = {f"em-{path.stem}": note_table(read_midi(path)) for path in files}
    for piece in maps.split(maps.find_pieces(maps_folder))[0]:
        tables[f"maps-{piece.title}"] = note_table(read_labels(piece.labels))
    save_tables(out / "scores.npz", tables)


def pack_validation(maps_folder: Path, out: Path) -> None:
    """Write a degraded excerpt of each validation piece of MAPS, at the networks' level, with its notes."""
    excerpts, notes = [], []
    length = EXCERPT_S * SAMPLE_RATE
    for number, piece in enumerate(maps.split(maps.find_pieces(maps_folder))[1]):
        samples = degraded(read(piece.audio, SAMPLE_RATE)[0], SAMPLE_RATE, DEGRADATION, piece.audio.stem)
        samples = np.concatenate(list(normalize_level([samples], SAMPLE_RATE, LEVEL_DBFS)))
        first = min(EXCERPT_START_S * SAMPLE_RATE, len(samples) - length)
        excerpts.append(samples[first : first + length])
        for note in read_labels(piece.labels):
            onset_s, offset_s = note.onset_s - first / SAMPLE_RATE, note.offset_s - first / SAMPLE_RATE
            if offset_s > -1 and onset_s < EXCERPT_S + 1:
                notes.append((number, onset_s, offset_s, note.midi_note, note.velocity / 127))
    scales = np.abs(excerpts).max(1)
    samples16 = np.rint(np.array(excerpts) / scales[:, None] * 32767).astype(np.int16)
    np.savez_compressed(out / "validation.npz", samples=samples16, scales=scales, notes=np.array(notes, np.float64))


def main() -> None:
    """Pack."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("midi", type=Path, help="the folder of MusicNetEM")
    parser.add_argument("maps", type=Path, help="the MAPS folder")
    parser.add_argument("output", type=Path, help="folder to write")
    about = "the Salamander Grand, unpacked: folders 1 to 16 of its velocity layers, and rel"
    parser.add_argument("--salamander", type=Path, required=True, help=about)
    parser.add_argument("--violin", type=Path, help="the folder of the Bach violin recordings")
    parts = ("bank", "recordings", "scores", "validation")
    parser.add_argument("--only", choices=parts, help="pack this part only")
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    for part in [arguments.only] if arguments.only else parts:
        if part == "bank":
            pack_bank(arguments.salamander, arguments.output)
        elif part == "recordings":
            pack_recordings(arguments.maps, arguments.violin, arguments.output)
        elif part == "scores":
            pack_scores(arguments.midi, arguments.maps, arguments.output)
        else:
            pack_validation(arguments.maps, arguments.output)


if __name__ == "__main__":
    with exit_on_errors("pack_gpu"):
        main()

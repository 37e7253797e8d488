"""A corpus that anyone can make: MIDI files rendered by fluidsynth into MusicNet's own layout.

A piece's rendering depends on the seed and its id only, not on the order, the others or the number of workers. With
the same fluidsynth, the same seed gives the same bytes.
"""

from __future__ import annotations

import csv
import json
import math
import os
import shutil
import sys
from collections.abc import Collection, Iterable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from tqdm import tqdm

from ...errors import DataError, OutputError
from ...io.atomic_write import atomic_write
from ...io.audio import info, write
from ...io.midi import read_midi
from ...notes import Note
from ..corpora.musicnet import EXTENDED_TEST_IDS, METADATA
from ..corpora.musicnet_labels import LABEL_RATE, Label, write_table
from ..corpus import parallel
from .performance import RenderConfig, read_score
from .synthesis import perform

if TYPE_CHECKING:
    import pretty_midi

__all__ = ["RenderConfig", "find_soundfont", "label_table", "note_value", "render"]

SOUNDFONT_FOLDERS = (
    "/usr/share/sounds/sf2",
    "/usr/share/sounds/sf3",
    "/usr/share/soundfonts",
    "/usr/local/share/soundfonts",
    "/opt/homebrew/share/soundfonts",
)
RECORD = "render.json"
# Of MusicNet's own table, so that whoever reads that reads this.
COLUMNS = ("id", "composer", "composition", "movement", "ensemble", "source", "transcriber", "catalog_name", "seconds")
# MusicNet's names, and the lengths in beats (quarters).
NOTE_VALUES = {
    "Whole": 4.0,
    "Dotted Half": 3.0,
    "Half": 2.0,
    "Dotted Quarter": 1.5,
    "Quarter": 1.0,
    "Dotted Eighth": 0.75,
    "Eighth": 0.5,
    "Dotted Sixteenth": 0.375,
    "Triplet": 1 / 3,
    "Sixteenth": 0.25,
    "Triplet Sixteenth": 1 / 6,
    "Thirty Second": 0.125,
    "Triplet Thirty Second": 1 / 12,
    "Sixty Fourth": 0.0625,
}
NAMED = 3  # failures told by name at the end; all are told as they happen


def find_soundfont(name: str | Path) -> Path:
    """Find a soundfont.

    Args:
        name: A file, or the name of one in the system's folders of soundfonts.

    Returns:
        Its path.

    Raises:
        DataError: There is none; says which packages bring one.
    """
    for path in (Path(name), *(Path(folder) / name for folder in SOUNDFONT_FOLDERS)):
        if path.is_file():
            return path
    raise DataError(
        f"{name}: there is no such soundfont; give the path of a .sf2 or .sf3 file, or install one (Debian and Ubuntu: "
        "apt install fluid-soundfont-gm timgm6mb-soundfont musescore-general-soundfont)."
    )


def render(
    midi_folder: str | Path,
    output: str | Path,
    config: RenderConfig | None = None,
    ids: Collection[int] | None = None,
    test_ids: Collection[int] = EXTENDED_TEST_IDS,
    workers: int | None = None,
    progress: bool = True,
) -> list[int]:
    """Render MIDI files into train_data/ID.wav and train_labels/ID.csv, or test_data and test_labels.

    Started again, it goes on: a piece with both files is finished. What fails is reported and the rest is done.

    Args:
        midi_folder: Holds ID.mid, or a folder ``midi`` of them, and perhaps musicnet_metadata.csv beside.
        output: Folder to write, made if missing.
        config: How to render; the defaults if None.
        ids: Pieces to render; all if None.
        test_ids: Those that go to test_data, as in the archive of MusicNet.
        workers: Pieces rendered at once; as many as there are processors if None.
        progress: Whether to show a progress bar, and failures as they happen.

    Returns:
        Ids of the pieces rendered now.

    Raises:
        DataError: fluidsynth, a soundfont, the MIDI files or an id is missing; the output was rendered otherwise; or
            some of the MIDI files could not be rendered.
        OutputError: The output cannot be written.
    """
    config, output = config or RenderConfig(), Path(output)
    if shutil.which("fluidsynth") is None:
        raise DataError(
            "fluidsynth is not installed, or not on the PATH; install it (Debian and Ubuntu: apt install fluidsynth; "
            "macOS: brew install fluid-synth; Windows: choco install fluidsynth)."
        )
    soundfonts = [find_soundfont(name) for name in config.soundfonts]
    files = _find_midi(Path(midi_folder), ids)
    _open_output(output, config, soundfonts)
    due = [piece for piece in files if not _finished(output, piece, test_ids)]
    job = partial(_render_piece, files=files, output=output, config=config, soundfonts=soundfonts, test_ids=test_ids)
    failures = []
    results = parallel(job, due, workers or os.cpu_count() or 1)
    for error in tqdm(results, "rendering", len(due), unit="piece", disable=None if progress else True):
        if error is not None:
            failures.append(error)
            if progress:
                tqdm.write(f"render: {error}", file=sys.stderr)
    finished = [piece for piece in files if _finished(output, piece, test_ids)]
    _write_metadata(Path(midi_folder), output, finished, test_ids)
    if failures:
        rest = f" (and {len(failures) - NAMED} more)" if len(failures) > NAMED else ""
        raise DataError(
            f"{len(failures)} of {len(due)} MIDI files could not be rendered; replace or remove them, then run this "
            f"again: {' '.join(map(str, failures[:NAMED]))}{rest}"
        )
    return due


def label_table(notes: Iterable[Note], score: pretty_midi.PrettyMIDI) -> list[Label]:
    """Return notes as MusicNet's labels.

    Args:
        notes: The notes.
        score: The score they were read from, which knows its beats.

    Returns:
        Rows in order of time.
    """
    rows = []
    for note in notes:
        first, after = round(note.onset_s * LABEL_RATE), round(note.offset_s * LABEL_RATE)
        tick, end_tick = score.time_to_tick(note.onset_s), score.time_to_tick(note.offset_s)
        beat, beats = round(tick / score.resolution, 6), round((end_tick - tick) / score.resolution, 6)
        rows.append(Label(first, after, note.program + 1, note.midi_note, beat, beats, note_value(beats)))
    return sorted(rows)


def note_value(beats: float) -> str:
    """Name the note value nearest to a length, as MusicNet names them.

    Args:
        beats: Length in quarters.

    Returns:
        The name.

    >>> note_value(1.4), note_value(0.34)
    ('Dotted Quarter', 'Triplet')
    """
    least = NOTE_VALUES["Sixty Fourth"]
    return min(NOTE_VALUES, key=lambda name: abs(math.log(NOTE_VALUES[name] / max(beats, least))))


def _find_midi(folder: Path, ids: Collection[int] | None) -> dict[int, Path]:
    """MIDI files by id, in order."""
    places = [place for place in (folder, folder / "midi") if place.is_dir()]
    found = [path for place in places for path in place.iterdir() if path.suffix.lower() in (".mid", ".midi")]
    if not found:
        raise DataError(f"{folder}: holds no MIDI files; name a folder of files such as 1727.mid.")
    files: dict[int, Path] = {}
    for path in sorted(found):
        if not (path.stem.isascii() and path.stem.isdecimal()):
            raise DataError(f"{path}: a MIDI file is named by its id, a number; rename it, for example to 9001.mid.")
        if (other := files.setdefault(int(path.stem), path)) is not path:
            raise DataError(f"{path}: {other} has the same id; rename or remove one of them.")
    if ids is None:
        return dict(sorted(files.items()))
    if missing := sorted(set(ids) - files.keys()):
        raise DataError(
            f"{folder}: holds no {missing[0]}.mid; ask for ids that are there, such as {next(iter(files))}."
        )
    return {piece: files[piece] for piece in sorted(set(ids))}


def _open_output(output: Path, config: RenderConfig, soundfonts: list[Path]) -> None:
    """Make the folders and the record of the settings, or see that the record there is the same."""
    names = [f"{path.resolve().name}, {path.stat().st_size} bytes" for path in soundfonts]
    settings = json.loads(json.dumps({**asdict(config), "soundfonts": names}))
    record = output / RECORD
    try:
        for side in ("train", "test"):
            for kind in ("data", "labels"):
                (output / f"{side}_{kind}").mkdir(parents=True, exist_ok=True)
        present = json.loads(record.read_text(encoding="utf-8")) if record.exists() else None
    except OSError as error:
        raise OutputError(f"{output}: cannot be written to ({error.strerror}); choose another folder.") from error
    except ValueError as error:
        raise DataError(f"{record}: is damaged; remove the folder, or choose another.") from error
    if present is None:
        with atomic_write(record) as temporary:
            temporary.write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
    elif present != settings:
        changed = [name for name in settings if not isinstance(present, dict) or present.get(name) != settings[name]]
        raise DataError(
            f"{output}: was rendered with another {', '.join(changed) or 'version of audiocx'}; choose another folder, "
            "or remove this one."
        )


def _paths(output: Path, piece: int, test_ids: Collection[int]) -> tuple[Path, Path]:
    side = "test" if piece in test_ids else "train"
    return output / f"{side}_data" / f"{piece}.wav", output / f"{side}_labels" / f"{piece}.csv"


def _finished(output: Path, piece: int, test_ids: Collection[int]) -> bool:
    return all(path.is_file() for path in _paths(output, piece, test_ids))


def _render_piece(
    piece: int,
    files: dict[int, Path],
    output: Path,
    config: RenderConfig,
    soundfonts: list[Path],
    test_ids: Collection[int],
) -> DataError | None:
    """Render a piece, its labels last: their presence says that all is there. A fault of its file is returned."""
    path = files[piece]
    try:
        notes = read_midi(path)
        if not notes:
            return DataError(f"{path}: holds no notes of pitched instruments.")
        score = read_score(path)
        samples = perform(score, max(note.offset_s for note in notes), soundfonts, config, piece, output)
    except DataError as error:
        return error if str(path) in str(error) else DataError(f"{path}: {error}")
    audio, labels = _paths(output, piece, test_ids)
    write(audio, samples, config.sample_rate)
    write_table(label_table(notes, score), labels)
    return None


def _write_metadata(midi_folder: Path, output: Path, pieces: list[int], test_ids: Collection[int]) -> None:
    """Copy the table of pieces, or make one that tells their lengths."""
    given = next((path for path in (midi_folder / METADATA, midi_folder.parent / METADATA) if path.is_file()), None)
    with atomic_write(output / METADATA) as temporary:
        if given is not None:
            shutil.copyfile(given, temporary)
            return
        with open(temporary, "w", encoding="utf-8", newline="") as file:
            table = csv.DictWriter(file, COLUMNS, restval="", lineterminator="\n")
            table.writeheader()
            for piece in pieces:
                seconds = info(_paths(output, piece, test_ids)[0]).duration_s
                table.writerow({"id": piece, "composition": piece, "source": "rendered", "seconds": round(seconds)})

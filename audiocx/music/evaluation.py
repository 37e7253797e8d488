"""Evaluation of transcribers on labelled recordings, and tuning of their decoding."""

from __future__ import annotations

import dataclasses
import pickle
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, TypeVar
from zipfile import BadZipFile

import numpy as np

from ..data.labels import read_labels
from ..errors import DataError
from ..io.atomic_write import atomic_write
from ..notes import Note, notes_to_roll
from .metrics import Piece, precision_recall_curve
from .note_decoding import NoteDecodeSettings
from .note_metrics import note_scores
from .transcriber import ModelOutputs, Transcriber
from .window_decoding import WindowDecodeSettings

if TYPE_CHECKING:
    from ..data.augment import AugmentConfig

__all__ = [
    "NOTE_TUNING",
    "WINDOW_TUNING",
    "LabelledOutputs",
    "Tuning",
    "infer_labelled",
    "read_piece",
    "save_piece",
    "scorable",
    "tune_decoding",
]

Settings = TypeVar("Settings", bound=WindowDecodeSettings | NoteDecodeSettings)

# Candidates of each setting, tried one setting at a time.
GRID: dict[str, tuple[float, ...]] = {
    "threshold": (0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5, 0.6),
    "least_rise_db": (0.0, 0.5, 1.0, 1.5, 2.0, 3.0),
    "snap_s": (0.03, 0.045, 0.06, 0.08, 0.1),
    "split_rise_db": (2.0, 3.0, 4.0, 5.0, 6.0, 8.0),
    "sustain_ratio": (0.3, 0.45, 0.6, 0.75, 0.9),
    "min_note_s": (0.03, 0.05, 0.08, 0.12),
    "split_dip": (0.2, 0.4, 0.6, 1.0),
    "min_repeat_s": (0.05, 0.08, 0.12),
    "bridge_gap_s": (0.0, 0.03, 0.06),
}
NOTE_GRID: dict[str, tuple[float, ...]] = {
    "onset_threshold": (0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.6, 0.7),
    "frame_threshold": (0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9),
    "offset_threshold": (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0),
    "bridge_gap_s": (0.0, 0.02, 0.03, 0.05, 0.08),
    "min_note_s": (0.0, 0.02, 0.03, 0.05),
    "min_repeat_s": (0.03, 0.05, 0.08),
    "repeat_margin": (0.2, 0.3, 0.4, 0.5, 0.7, 1.0),
    "frame_only_threshold": (0.6, 0.7, 0.8, 0.9, 0.95, 1.0),
    "frame_only_s": (0.05, 0.1, 0.2, 0.4),
}


@dataclass(frozen=True)
class Tuning:
    """Tuning of one kind of decode settings.

    Attributes:
        grid: Candidates of each setting.
        weights: Weights of note F1 and of note-with-offset F1 in the objective.
        by_frames: Whether the frame threshold takes no part in decoding, and is chosen by frame F1 afterwards.
    """

    grid: Mapping[str, Sequence[float]]
    weights: tuple[float, float]
    by_frames: bool = False


WINDOW_TUNING = Tuning(GRID, (0.5, 0.5), by_frames=True)
NOTE_TUNING = Tuning(NOTE_GRID, (1.0, 0.5))


@dataclass(frozen=True, eq=False)
class LabelledOutputs:
    """Model outputs of a recording, before decoding, with its reference notes.

    Attributes:
        name: Name of the recording.
        outputs: The transcriber's model outputs.
        reference: The reference notes.
    """

    name: str
    outputs: ModelOutputs
    reference: list[Note]


def infer_labelled(
    transcriber: Transcriber,
    audio: Path,
    labels: Path,
    hop_samples: int | None = None,
    progress: bool = False,
    degradation: AugmentConfig | None = None,
) -> LabelledOutputs:
    """Run a transcriber on a labelled recording, up to decoding.

    Args:
        transcriber: The transcriber.
        audio: Path of the recording.
        labels: Path of its label file; see :func:`audiocx.data.labels.read_labels`.
        hop_samples: Distance of the frames; None for the checkpoint's.
        progress: Whether to show a progress bar on stderr, if that is a terminal.
        degradation: Degradation applied first, seeded by the recording's name; None for none.

    Returns:
        The model outputs and the reference notes.

    Raises:
        AudioError: The recording cannot be read.
        DataError: The labels cannot be read.
    """
    reference = read_labels(labels)
    samples = transcriber.samples(audio).samples
    if degradation is not None:
        from ..data.augment import degraded  # needs PyTorch

        samples = degraded(samples, transcriber.config.sample_rate, degradation, audio.stem)
    return LabelledOutputs(audio.stem, transcriber.infer(samples, hop_samples, progress), reference)


def scorable(labelled: LabelledOutputs, settings: WindowDecodeSettings | NoteDecodeSettings) -> Piece:
    """Decode model outputs and pair them with the reference.

    Args:
        labelled: Model outputs and reference notes.
        settings: Decode settings, of the kind of the transcriber's checkpoint.

    Returns:
        A piece for :func:`audiocx.music.metrics.evaluate`.
    """
    outputs, reference = labelled.outputs, labelled.reference
    frames, pitches = outputs.probabilities.shape
    times_s = np.arange(frames) / outputs.frame_rate
    roll = notes_to_roll(reference, times_s, outputs.lowest_note, pitches)
    estimated = outputs.decode(settings)
    return Piece(labelled.name, outputs.probabilities, roll, reference, estimated, settings.frame_threshold)


def save_piece(piece: Piece, outputs: ModelOutputs, path: str | Path) -> None:
    """Write a scored piece, so that its scores can be computed again.

    Args:
        piece: As :func:`scorable` returned it.
        outputs: The model outputs that it is from.
        path: The .npz file: ``probabilities``, float32 [T, P]; the reference ``roll``, bool [T, P]; ``estimated`` and
            ``reference`` notes, float64 [notes, 5], as onset_s, offset_s, midi_note, velocity, program; and
            ``frame_rate`` in Hz, ``lowest_note``, ``threshold`` and ``name``.

    Raises:
        OutputError: It cannot be written.
    """
    notes: dict[str, Any] = {
        part: np.array([(n.onset_s, n.offset_s, n.midi_note, n.velocity, n.program) for n in part_notes], np.float64)
        for part, part_notes in (("estimated", piece.estimated), ("reference", piece.reference))
    }
    with atomic_write(path) as temporary:
        np.savez_compressed(
            temporary,
            probabilities=piece.probabilities,
            roll=piece.roll,
            frame_rate=outputs.frame_rate,
            lowest_note=outputs.lowest_note,
            threshold=piece.threshold,
            name=piece.name,
            **{part: rows.reshape(-1, 5) for part, rows in notes.items()},
        )


def read_piece(path: str | Path) -> Piece:
    """Read a piece that :func:`save_piece` wrote.

    Args:
        path: The .npz file.

    Returns:
        The piece, for :func:`audiocx.music.metrics.evaluate`.

    Raises:
        DataError: It is missing, damaged or another file.
    """
    try:
        with np.load(path) as saved:
            estimated, reference = (
                [Note(on, int(note), off, int(velocity), int(program)) for on, off, note, velocity, program in rows]
                for rows in (saved["estimated"].tolist(), saved["reference"].tolist())
            )
            name, threshold = str(saved["name"]), float(saved["threshold"])
            return Piece(name, saved["probabilities"], saved["roll"], reference, estimated, threshold)
    except (OSError, ValueError, KeyError, TypeError, BadZipFile) as error:
        raise DataError(f"{path}: is no piece that audiocx evaluate --save wrote ({error}); name another.") from None


def tune_decoding(
    labelled: Iterable[LabelledOutputs], start: Settings, tuning: Tuning, rounds: int = 2, workers: int = 1
) -> tuple[Settings, float]:
    """Choose the decode settings by coordinate search on validation recordings.

    The objective is the mean over recordings of (note F1 + note-with-offset F1) / 2 or, for note networks, of note F1 +
    note-with-offset F1 / 2. A frame threshold that does not affect it is that of the highest pooled frame F1.

    Args:
        labelled: Validation recordings; never test recordings.
        start: Initial settings, of the kind of the transcriber's checkpoint.
        tuning: Search for settings of this kind.
        rounds: Largest number of passes over all settings.
        workers: Number of processes that share the recordings.

    Returns:
        The settings, and the value of the objective.
    """
    recordings, best = list(labelled), start
    with _objective(tuning.weights, recordings, workers) as objective:
        best_score = objective(best)
        for _ in range(rounds):
            before = best
            for name, values in tuning.grid.items():
                for value in values:
                    if value == getattr(best, name):
                        continue
                    candidate = _replaced(best, name, value)
                    score = objective(candidate)
                    if score > best_score:
                        best, best_score = candidate, score
            if best == before:
                break
    if tuning.by_frames:
        best = _replaced(best, "frame_threshold", _frame_threshold(recordings, best))
    return best, best_score


def _replaced(settings: Settings, name: str, value: float) -> Settings:
    change: dict[str, Any] = {name: value}
    return dataclasses.replace(settings, **change)


@contextmanager
def _objective(
    weights: tuple[float, float], recordings: list[LabelledOutputs], workers: int
) -> Iterator[Callable[[Any], float]]:
    """Yield the function that scores settings on all recordings, in worker processes if there are several."""
    if workers == 1:
        yield lambda settings: float(np.mean([_note_score(weights, settings, recording) for recording in recordings]))
        return
    # Files, which each process reads once: sending the recordings with every call would take longer than scoring them.
    with TemporaryDirectory() as folder, ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        paths = [Path(folder) / f"{index}.pickle" for index in range(len(recordings))]
        for path, recording in zip(paths, recordings, strict=True):
            path.write_bytes(pickle.dumps(recording))
        yield lambda settings: float(np.mean(list(pool.map(partial(_file_score, weights, settings), paths))))


@cache
def _load(path: Path) -> LabelledOutputs:
    return pickle.loads(path.read_bytes())


def _file_score(weights: tuple[float, float], settings: Any, path: Path) -> float:
    return _note_score(weights, settings, _load(path))


def _note_score(weights: tuple[float, float], settings: Any, recording: LabelledOutputs) -> float:
    scores = note_scores(recording.reference, recording.outputs.decode(settings))
    return weights[0] * scores.f1 + weights[1] * scores.offset_f1


def _frame_threshold(recordings: list[LabelledOutputs], settings: WindowDecodeSettings | NoteDecodeSettings) -> float:
    """Return the threshold of the highest pooled frame F1."""
    pieces = [scorable(recording, settings) for recording in recordings]
    precision, recall, thresholds = precision_recall_curve(
        np.concatenate([piece.probabilities for piece in pieces]), np.concatenate([piece.roll for piece in pieces])
    )
    precision, recall = precision[: len(thresholds)], recall[: len(thresholds)]
    best = np.argmax(2 * precision * recall / np.maximum(precision + recall, 1e-12))
    return round(float(thresholds[best]), 3)

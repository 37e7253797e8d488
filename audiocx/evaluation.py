"""A transcriber scored on labelled recordings, and its decoding tuned on them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from .data.labels import read_labels
from .inference import Evidence, Transcriber
from .metrics import Piece, note_scores, precision_recall_curve
from .note_decoding import NoteDecodeSettings, NoteEvidence, decode_notes
from .notes import DecodeSettings, Note, decode, notes_to_roll

__all__ = ["Heard", "hear", "scorable", "tune_decoding", "tune_note_decoding"]

Settings = TypeVar("Settings", DecodeSettings, NoteDecodeSettings)

# What is tried for each setting, one after the other, the others staying as they are.
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
    "frame_threshold": (0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5, 0.6),
    "offset_threshold": (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0),
    "bridge_gap_s": (0.0, 0.02, 0.03, 0.05, 0.08),
    "min_note_s": (0.0, 0.02, 0.03, 0.05),
    "min_repeat_s": (0.03, 0.05, 0.08),
    "lone_threshold": (0.6, 0.7, 0.8, 0.9, 0.95, 1.0),
    "lone_s": (0.05, 0.1, 0.2, 0.4),
}


@dataclass(frozen=True, eq=False)
class Heard:
    """A recording, heard but not decoded, and what was played.

    Attributes:
        name: The recording.
        evidence: What the transcriber gathered.
        reference: The notes played.
    """

    name: str
    evidence: Evidence
    reference: list[Note]


def hear(
    transcriber: Transcriber, audio: Path, labels: Path, hop_samples: int | None = None, progress: bool = False
) -> Heard:
    """Runs a transcriber over a labelled recording, up to decoding.

    Args:
        transcriber: What listens.
        audio: Recording.
        labels: Its label file; see :func:`audiocx.data.labels.read_labels`.
        hop_samples: Distance of the frames; None for the checkpoint's.
        progress: Shows a progress bar on stderr, if that is a terminal.

    Returns:
        Evidence and reference.

    Raises:
        AudioError: The recording cannot be read.
        DataError: The labels cannot be read.
    """
    reference = read_labels(labels)
    samples, _ = transcriber.samples(audio)
    return Heard(audio.stem, transcriber.listen(samples, hop_samples, progress), reference)


def scorable(heard: Heard, settings: DecodeSettings, lowest_note: int) -> Piece:
    """Decodes a heard recording and lays it beside what was played.

    Args:
        heard: Evidence and reference.
        settings: Thresholds and durations.
        lowest_note: MIDI number of the first pitch.

    Returns:
        What :func:`audiocx.metrics.evaluate` takes.
    """
    probabilities, rate = heard.evidence.probabilities, heard.evidence.frame_rate
    roll = notes_to_roll(heard.reference, np.arange(len(probabilities)) / rate, lowest_note, probabilities.shape[1])
    found = decode(
        probabilities,
        rate,
        settings,
        lowest_note,
        onsets=heard.evidence.onsets,
        loudness_db=heard.evidence.loudness_db,
    )
    return Piece(heard.name, probabilities, roll, heard.reference, found, settings.frame_threshold)


def tune_decoding(
    heard: Iterable[Heard],
    lowest_note: int = 21,
    start: DecodeSettings | None = None,
    rounds: int = 2,
    workers: int = 1,
) -> tuple[DecodeSettings, float]:
    """Chooses the decoding settings on validation recordings, one setting at a time.

    What is maximised is the mean over recordings of (note F1 + note-with-offset F1) / 2; the frame threshold is
    that of the highest pooled frame F1.

    Args:
        heard: Validation recordings; never test ones.
        lowest_note: MIDI number of the first pitch.
        start: Settings to begin with; the defaults when None.
        rounds: How often to go through all the settings.
        workers: Processes that share the recordings.

    Returns:
        The settings, and the figure they reach.
    """
    recordings = list(heard)
    figure = partial(_figure, lowest_note)
    best, score = _tuned(start or DecodeSettings(), GRID, recordings, figure, rounds, workers)
    return dataclasses.replace(best, frame_threshold=_frame_threshold(recordings, best, lowest_note)), score


def tune_note_decoding(
    pieces: Iterable[tuple[NoteEvidence, Sequence[Note]]],
    frame_rate: float,
    lowest_note: int = 21,
    start: NoteDecodeSettings | None = None,
    rounds: int = 2,
    workers: int = 1,
) -> tuple[NoteDecodeSettings, float]:
    """Chooses a note network's decoding settings on validation recordings, one setting at a time.

    What is maximised is the mean over recordings of note F1 + note-with-offset F1 / 2.

    Args:
        pieces: What the network gave for validation recordings, never test ones, and the notes played in each.
        frame_rate: Frames per second.
        lowest_note: MIDI number of the first pitch.
        start: Settings to begin with; the defaults when None.
        rounds: How often to go through all the settings.
        workers: Processes that share the recordings.

    Returns:
        The settings, and the figure they reach.
    """
    figure = partial(_note_figure, frame_rate, lowest_note)
    return _tuned(start or NoteDecodeSettings(), NOTE_GRID, list(pieces), figure, rounds, workers)


def _tuned(
    start: Settings,
    grid: Mapping[str, Sequence[float]],
    recordings: list[Any],
    figure: Callable[[Settings, Any], float],
    rounds: int,
    workers: int,
) -> tuple[Settings, float]:
    """Settings of the highest mean figure, as far as changes of one at a time lead, and that mean."""
    best = start
    with _figures(figure, recordings, workers) as figures:
        score = float(np.mean(figures(best)))
        for _ in range(rounds):
            before = best
            for name, values in grid.items():
                for value in values:
                    if value == getattr(best, name):
                        continue
                    change: dict[str, Any] = {name: value}
                    candidate = dataclasses.replace(best, **change)
                    reached = float(np.mean(figures(candidate)))
                    if reached > score:
                        best, score = candidate, reached
            if best == before:
                break
    return best, score


@contextmanager
def _figures(
    figure: Callable[[Settings, Any], float], recordings: list[Any], workers: int
) -> Iterator[Callable[[Settings], list[float]]]:
    """Gives what scores settings on all recordings; these go to each process once, and not with every call."""
    if workers == 1:
        yield lambda settings: [figure(settings, recording) for recording in recordings]
        return
    with ProcessPoolExecutor(workers, get_context("spawn"), _share, (recordings,)) as pool:
        yield lambda settings: list(pool.map(partial(_shared_figure, figure, settings), range(len(recordings))))


_shared: list[Any] = []


def _share(recordings: list[Any]) -> None:
    _shared[:] = recordings


def _shared_figure(figure: Callable[[Settings, Any], float], settings: Settings, index: int) -> float:
    return figure(settings, _shared[index])


def _figure(lowest_note: int, settings: DecodeSettings, heard: Heard) -> float:
    evidence = heard.evidence
    found = decode(evidence.probabilities, evidence.frame_rate, settings, lowest_note, onsets=evidence.onsets)
    scores = note_scores(heard.reference, found)
    return (scores.f1 + scores.offset_f1) / 2


def _note_figure(
    frame_rate: float, lowest_note: int, settings: NoteDecodeSettings, piece: tuple[NoteEvidence, Sequence[Note]]
) -> float:
    evidence, reference = piece
    scores = note_scores(reference, decode_notes(evidence, frame_rate, settings, lowest_note).notes)
    return scores.f1 + scores.offset_f1 / 2


def _frame_threshold(recordings: list[Heard], settings: DecodeSettings, lowest_note: int) -> float:
    pieces = [scorable(heard, settings, lowest_note) for heard in recordings]
    precision, recall, thresholds = precision_recall_curve(
        np.concatenate([piece.probabilities for piece in pieces]), np.concatenate([piece.roll for piece in pieces])
    )
    precision, recall = precision[: len(thresholds)], recall[: len(thresholds)]
    best = np.argmax(2 * precision * recall / np.maximum(precision + recall, 1e-12))
    return round(float(thresholds[best]), 3)

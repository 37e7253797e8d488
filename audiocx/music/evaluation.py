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

from ..data.augment import AugmentConfig, degraded
from ..data.labels import read_labels
from ..notes import Note, notes_to_roll
from .metrics import Piece, precision_recall_curve
from .note_decoding import NoteDecodeSettings
from .note_metrics import note_scores
from .transcriber import ModelOutputs, Transcriber
from .window_decoding import WindowDecodeSettings

__all__ = [
    "DEGRADATION",
    "NOTE_TUNING",
    "WINDOW_TUNING",
    "LabelledOutputs",
    "Tuning",
    "infer_labelled",
    "scorable",
    "tune_decoding",
]

Settings = TypeVar("Settings", bound=WindowDecodeSettings | NoteDecodeSettings)

# Recordings as if made elsewhere: in a room, by another microphone, with noise. Shows how far a network relies on the
# rooms and microphones that it knows.
DEGRADATION = AugmentConfig(room_probability=1.0, room_s=1.2, equalizer_db=4.0, noise_db=-60.0)

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
    "frame_only_threshold": (0.6, 0.7, 0.8, 0.9, 0.95, 1.0),
    "frame_only_s": (0.05, 0.1, 0.2, 0.4),
}


@dataclass(frozen=True)
class Tuning:
    """A search over decoding settings.

    Attributes:
        grid: What is tried for each setting.
        weights: Of note F1 and of note-with-offset F1, in the figure that is maximised.
        by_frames: Whether the frame threshold takes no part in decoding, and is chosen afterwards by the frames.
    """

    grid: Mapping[str, Sequence[float]]
    weights: tuple[float, float]
    by_frames: bool = False


WINDOW_TUNING = Tuning(GRID, (0.5, 0.5), by_frames=True)
NOTE_TUNING = Tuning(NOTE_GRID, (1.0, 0.5))


@dataclass(frozen=True, eq=False)
class LabelledOutputs:
    """A recording, heard but not decoded, and what was played.

    Attributes:
        name: The recording.
        evidence: What the transcriber gathered.
        reference: The notes played.
    """

    name: str
    evidence: ModelOutputs
    reference: list[Note]


def infer_labelled(
    transcriber: Transcriber,
    audio: Path,
    labels: Path,
    hop_samples: int | None = None,
    progress: bool = False,
    degradation: AugmentConfig | None = None,
) -> LabelledOutputs:
    """Run a transcriber over a labelled recording, up to decoding.

    Args:
        transcriber: What listens.
        audio: Recording.
        labels: Its label file; see :func:`audiocx.data.labels.read_labels`.
        hop_samples: Distance of the frames; None for the checkpoint's.
        progress: Shows a progress bar on stderr, if that is a terminal.
        degradation: How the recording is varied first, by draws that follow from its name; None for as it is.

    Returns:
        Evidence and reference.

    Raises:
        AudioError: The recording cannot be read.
        DataError: The labels cannot be read.
    """
    reference = read_labels(labels)
    samples, _ = transcriber.samples(audio)
    if degradation is not None:
        samples = degraded(samples, transcriber.config.sample_rate, degradation, audio.stem)
    return LabelledOutputs(audio.stem, transcriber.infer(samples, hop_samples, progress), reference)


def scorable(heard: LabelledOutputs, settings: WindowDecodeSettings | NoteDecodeSettings) -> Piece:
    """Decodes a heard recording and lays it beside what was played.

    Args:
        heard: Evidence and reference.
        settings: Thresholds and durations, of the kind that the transcriber's checkpoint has.

    Returns:
        What :func:`audiocx.music.metrics.evaluate` takes.
    """
    evidence = heard.evidence
    frames, pitches = evidence.probabilities.shape
    times_s = np.arange(frames) / evidence.frame_rate
    roll = notes_to_roll(heard.reference, times_s, evidence.lowest_note, pitches)
    found = evidence.decode(settings)
    return Piece(heard.name, evidence.probabilities, roll, heard.reference, found, settings.frame_threshold)


def tune_decoding(
    heard: Iterable[LabelledOutputs], start: Settings, tuning: Tuning, rounds: int = 2, workers: int = 1
) -> tuple[Settings, float]:
    """Chooses the decoding settings on validation recordings, one setting at a time.

    What is maximised is the mean over recordings of (note F1 + note-with-offset F1) / 2 or, of a note network, of note
    F1 + note-with-offset F1 / 2. A frame threshold that takes no part in that is the one of the highest pooled frame
    F1.

    Args:
        heard: Validation recordings; never test ones.
        start: Settings to begin with, of the kind that the transcriber's checkpoint has.
        tuning: The search for this kind.
        rounds: How often to go through all the settings.
        workers: Processes that share the recordings.

    Returns:
        The settings, and the figure they reach.
    """
    recordings = list(heard)
    best = start
    with _figures(partial(_figure, tuning.weights), recordings, workers) as figures:
        score = float(np.mean(figures(best)))
        for _ in range(rounds):
            before = best
            for name, values in tuning.grid.items():
                for value in values:
                    if value == getattr(best, name):
                        continue
                    candidate = _changed(best, name, value)
                    reached = float(np.mean(figures(candidate)))
                    if reached > score:
                        best, score = candidate, reached
            if best == before:
                break
    return _changed(best, "frame_threshold", _frame_threshold(recordings, best)) if tuning.by_frames else best, score


def _changed(settings: Settings, name: str, value: float) -> Settings:
    change: dict[str, Any] = {name: value}
    return dataclasses.replace(settings, **change)


@contextmanager
def _figures(
    figure: Callable[[Any, LabelledOutputs], float], recordings: list[LabelledOutputs], workers: int
) -> Iterator[Callable[[Any], list[float]]]:
    """Return what scores settings on all recordings; these go to each process once, and not with every call."""
    if workers == 1:
        yield lambda settings: [figure(settings, recording) for recording in recordings]
        return
    with ProcessPoolExecutor(workers, get_context("spawn"), _share, (recordings,)) as pool:
        yield lambda settings: list(pool.map(partial(_shared_figure, figure, settings), range(len(recordings))))


_shared: list[LabelledOutputs] = []


def _share(recordings: list[LabelledOutputs]) -> None:
    _shared[:] = recordings


def _shared_figure(figure: Callable[[Any, LabelledOutputs], float], settings: Any, index: int) -> float:
    return figure(settings, _shared[index])


def _figure(weights: tuple[float, float], settings: Any, heard: LabelledOutputs) -> float:
    scores = note_scores(heard.reference, heard.evidence.decode(settings))
    return weights[0] * scores.f1 + weights[1] * scores.offset_f1


def _frame_threshold(recordings: list[LabelledOutputs], settings: WindowDecodeSettings | NoteDecodeSettings) -> float:
    pieces = [scorable(heard, settings) for heard in recordings]
    precision, recall, thresholds = precision_recall_curve(
        np.concatenate([piece.probabilities for piece in pieces]), np.concatenate([piece.roll for piece in pieces])
    )
    precision, recall = precision[: len(thresholds)], recall[: len(thresholds)]
    best = np.argmax(2 * precision * recall / np.maximum(precision + recall, 1e-12))
    return round(float(thresholds[best]), 3)

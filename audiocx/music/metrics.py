"""Transcription metrics: average precision, frame scores and note scores, per piece and overall.

Sources: average precision as scikit-learn defines it, over all (frame, pitch) pairs flattened (Thickstun et al.,
"Learning features of music from scratch", ICLR 2017); note scores as mir_eval.transcription defines them (Raffel et
al., "mir_eval: a transparent implementation of common MIR metrics", ISMIR 2014).

A piece without reference notes or without estimated notes scores 0, as in mir_eval, even when both are empty. Frame
scores count every (frame, pitch) pair once, as scikit-learn's micro average does, so they depend slightly on the frame
rate.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ..notes import Note
from .note_metrics import note_scores

CURVE_POINTS = 2000  # Enough for a plot; the full curve of a corpus has millions.
# Finer than the usual difference of two pairs' log odds. Near 1, float32 ends at log odds of 16.6.
_ODDS_STEP, _ODDS_RANGE = 2**-15, 16


@dataclass(frozen=True)
class FrameScores:
    """Agreement of two rolls over all (frame, pitch) pairs, each from 0 to 1."""

    precision: float
    recall: float
    f1: float


@dataclass(frozen=True, eq=False)
class Piece:
    """Estimate and reference of one piece.

    Attributes:
        name: Name in the table.
        probabilities: Estimated probabilities, float [T, P].
        roll: Reference piano roll, bool [T, P].
        reference: Reference notes.
        estimated: Estimated notes.
        threshold: Smallest probability at which a pitch counts as active in a frame.
    """

    name: str
    probabilities: np.ndarray
    roll: np.ndarray
    reference: Sequence[Note]
    estimated: Sequence[Note]
    threshold: float = 0.5


@dataclass(frozen=True)
class Evaluation:
    """Scores of all pieces.

    Attributes:
        rows: A dictionary for each piece: name, average_precision, frame_* and note_* scores.
        overall: The same keys (name "overall") and pooled_frame_precision, pooled_frame_recall, pooled_frame_f1.
    """

    rows: list[dict[str, Any]]
    overall: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """Return all scores as a JSON-serialisable dictionary."""
        return {"overall": self.overall, "pieces": self.rows}


def average_precision(probabilities: np.ndarray, roll: np.ndarray) -> float:
    """Compute the average precision over all (frame, pitch) pairs: sum over thresholds of (R_n - R_{n-1}) P_n.

    Args:
        probabilities: Estimated probabilities, or other scores that rank the pairs, float [T, P].
        roll: Reference piano roll, bool [T, P].

    Returns:
        The average precision, 0 to 1; 0 if the roll is empty.

    Raises:
        ValueError: If the shapes differ, there are no pairs, or a probability is NaN.

    Source: sklearn.metrics.average_precision_score.

    >>> average_precision(np.array([[0.9, 0.8, 0.7, 0.1]]), np.array([[True, False, True, False]]))  # (1 + 2/3) / 2
    0.8333333333333333
    """
    from sklearn.metrics import average_precision_score

    _validate(probabilities, roll)
    return float(average_precision_score(roll.ravel(), probabilities.ravel())) if roll.any() else 0.0


class PooledPrecision:
    """Average precision of pairs added in parts, in bounded memory; the counts of several processes can be summed.

    Pairs are counted in a histogram of their log odds log(p / (1 - p)), in steps of 2^-15 and clipped to +-16. Pairs in
    one step count as tied. Where no two pairs are so close, the result is that of :func:`average_precision`.

    Attributes:
        counts: Histograms of the silent and of the active pairs, by rising log odds, int64 [2, 2^20].

    >>> pooled = PooledPrecision()
    >>> pooled.add(np.array([[0.9, 0.8]]), np.array([[True, False]]))
    >>> pooled.add(np.array([[0.7, 0.1]]), np.array([[True, False]]))
    >>> pooled.score()
    0.8333333333333333
    """

    def __init__(self) -> None:
        self.counts = np.zeros((2, round(2 * _ODDS_RANGE / _ODDS_STEP)), np.int64)

    def add(self, probabilities: np.ndarray, roll: np.ndarray) -> None:
        """Add pairs.

        Args:
            probabilities: Estimated probabilities, float [T, P]; T may be 0.
            roll: Reference piano roll, bool [T, P].

        Raises:
            ValueError: If the shapes differ or a probability is NaN.
        """
        if not roll.size:
            return
        _validate(probabilities, roll)
        p, steps = probabilities.ravel().astype(np.float64), self.counts.shape[1]
        with np.errstate(divide="ignore"):
            odds = np.log(p) - np.log1p(-p)
        step = np.clip((odds + _ODDS_RANGE) / _ODDS_STEP, 0, steps - 1).astype(np.int64)
        np.add.at(self.counts.reshape(-1), step + steps * roll.ravel(), 1)

    def score(self) -> float:
        """Return the average precision of all pairs added, 0 to 1; 0 if none is active."""
        active = self.counts[1, ::-1]
        estimated, hits = self.counts.sum(0)[::-1].cumsum(), active.cumsum()
        steps = np.flatnonzero(active)
        return float((active[steps] * (hits[steps] / estimated[steps])).sum() / max(hits[-1], 1))


def precision_recall_curve(
    probabilities: np.ndarray, roll: np.ndarray, points: int = CURVE_POINTS
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Compute precision and recall at every threshold, thinned evenly along recall for plotting.

    Args:
        probabilities: Estimated probabilities, float [T, P].
        roll: Reference piano roll, bool [T, P].
        points: Largest number of points, at least 2.

    Returns:
        precision, recall and threshold, float [<= points] each, by falling threshold, so recall never falls.

    Raises:
        ValueError: If the shapes differ, the roll is empty, or a probability is NaN.
    """
    from sklearn.metrics import precision_recall_curve as every_point

    _validate(probabilities, roll)
    if not roll.any():
        raise ValueError("the roll is empty: nothing sounds in it, so recall is undefined.")
    precision, recall, thresholds = every_point(roll.ravel(), probabilities.ravel())
    # The last point, of precision 1 and recall 0, belongs to no threshold.
    precision, recall, thresholds = precision[-2::-1], recall[-2::-1], thresholds[::-1]
    if len(recall) > points:
        kept = np.unique(np.searchsorted(recall, np.linspace(recall[0], recall[-1], points)))
        precision, recall, thresholds = precision[kept], recall[kept], thresholds[kept]
    return precision, recall, thresholds


def frame_scores(estimated_roll: np.ndarray, reference_roll: np.ndarray) -> FrameScores:
    """Score one roll against another, every (frame, pitch) pair counting once.

    Args:
        estimated_roll: Estimated piano roll, bool [T, P].
        reference_roll: Reference piano roll, bool [T, P].

    Returns:
        Precision, recall and F1; each is 0 where its denominator is.

    Raises:
        ValueError: If the shapes differ or a roll is not boolean.
    """
    return _frame_scores(*_frame_counts(estimated_roll, reference_roll))


def evaluate(pieces: Iterable[Piece]) -> Evaluation:
    """Score pieces individually and together.

    The overall average precision is that of all pieces' (frame, pitch) pairs pooled. The other overall scores are means
    over pieces, as is usual (Hawthorne et al., "Onsets and Frames", ISMIR 2018); pooled frame scores are added.

    Args:
        pieces: The pieces; consumed one at a time, keeping only their probabilities (float32) and rolls.

    Returns:
        The scores.

    Raises:
        ValueError: If there are no pieces, shapes differ, or a probability is NaN.
    """
    rows: list[dict[str, Any]] = []
    probabilities, rolls, counts = [], [], np.zeros(3)
    for piece in pieces:
        hits = _frame_counts(piece.probabilities >= piece.threshold, piece.roll)
        scores = note_scores(piece.reference, piece.estimated)
        rows.append(
            {
                "name": piece.name,
                "average_precision": average_precision(piece.probabilities, piece.roll),
                **{f"frame_{key}": value for key, value in asdict(_frame_scores(*hits)).items()},
                **{f"note_{key}": value for key, value in asdict(scores).items()},
            }
        )
        counts += hits
        probabilities.append(piece.probabilities.astype(np.float32).ravel())
        rolls.append(piece.roll.ravel())
    if not rows:
        raise ValueError("there are no pieces to evaluate.")
    overall: dict[str, Any] = {"name": "overall"}
    overall |= {key: float(np.mean([row[key] for row in rows])) for key in rows[0] if key != "name"}
    overall["average_precision"] = average_precision(np.concatenate(probabilities), np.concatenate(rolls))
    overall |= {f"pooled_frame_{key}": value for key, value in asdict(_frame_scores(*counts)).items()}
    return Evaluation(rows, overall)


COLUMNS = {
    "piece": "name",
    "AP": "average_precision",
    "frame P": "frame_precision",
    "frame R": "frame_recall",
    "frame F1": "frame_f1",
    "note P": "note_precision",
    "note R": "note_recall",
    "note F1": "note_f1",
    "+offset F1": "note_offset_f1",
}


def format_table(rows: Sequence[dict[str, Any]]) -> str:
    """Format rows of :func:`evaluate` as a Markdown table that also reads as plain text.

    Args:
        rows: Rows of an :class:`Evaluation`, usually [*evaluation.rows, evaluation.overall].

    Returns:
        The table, one line per row, scores in per cent.
    """
    cells = [list(COLUMNS)]
    for row in rows:
        cells.append([str(row["name"]), *(f"{100 * row[key]:.1f}" for key in list(COLUMNS.values())[1:])])
    widths = [max(len(line[column]) for line in cells) for column in range(len(COLUMNS))]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    lines = []
    for first, *others in [cells[0], rule, *cells[1:]]:
        padded = [cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True)]
        lines.append(f"| {' | '.join([first.ljust(widths[0]), *padded])} |")
    return "\n".join(lines)


def _validate(probabilities: np.ndarray, roll: np.ndarray) -> None:
    if probabilities.shape != roll.shape:
        raise ValueError(f"probabilities {probabilities.shape} and roll {roll.shape} must have the same shape.")
    if not probabilities.size:
        raise ValueError("there are no frames to score.")
    if np.isnan(probabilities).any():
        raise ValueError("probabilities hold NaN: the network or its input is broken.")


def _frame_counts(estimated_roll: np.ndarray, reference_roll: np.ndarray) -> tuple[int, int, int]:
    """Count the (frame, pitch) pairs that are right, estimated, and sounding."""
    if estimated_roll.shape != reference_roll.shape:
        raise ValueError(f"the rolls' shapes differ: {estimated_roll.shape} and {reference_roll.shape}.")
    if estimated_roll.dtype != bool or reference_roll.dtype != bool:
        raise ValueError("rolls must be boolean: compare probabilities to a threshold first.")
    rolls = (estimated_roll & reference_roll, estimated_roll, reference_roll)
    right, estimated, sounding = (int(np.count_nonzero(roll)) for roll in rolls)
    return right, estimated, sounding


def _frame_scores(right: float, estimated: float, sounding: float) -> FrameScores:
    total = estimated + sounding
    return FrameScores(
        precision=float(right / estimated) if estimated else 0.0,
        recall=float(right / sounding) if sounding else 0.0,
        f1=float(2 * right / total) if total else 0.0,
    )

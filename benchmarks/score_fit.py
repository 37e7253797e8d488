"""Fit the weights of audiocx/music/metre.py on the development pieces of score_pieces.py.

python benchmarks/score_fit.py [--musicnet-em FOLDER]

Prints the weights, and the beat F-measure of the candidates chosen in five-fold cross-validation, beside the best
candidates' own. Needs the extra `evaluate`.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import mir_eval
import numpy as np
from numpy.typing import NDArray
from score_pieces import Piece, pieces
from sklearn.linear_model import LogisticRegression

from audiocx.music import metre
from audiocx.music.metre_features import FEATURES, beat_features, gather

GOOD = 0.85  # F-measure from which a candidate counts as right


def beat_f(reference_s: NDArray[np.float64], beats_s: NDArray[np.float64]) -> float:
    """Return the F-measure of beats within 70 ms, up to the last of the reference; the first 5 s are left out."""
    beats_s = beats_s[(beats_s <= reference_s[-1] + 0.1) & (beats_s >= 0)]
    return float(mir_eval.beat.f_measure(mir_eval.beat.trim_beats(reference_s), mir_eval.beat.trim_beats(beats_s)))


def fitted(
    rows: list[NDArray[np.float64]], labels: list[NDArray[np.bool_]], strength: float = 1.0
) -> LogisticRegression:
    """Fit a logistic regression in which every piece weighs the same; columns have unit deviation meanwhile."""
    weights = np.concatenate([np.full(len(row), 50 / len(row)) for row in rows])
    table = np.concatenate(rows)
    scale = np.where(table.std(0) > 0, table.std(0), 1.0)
    model = LogisticRegression(C=strength, fit_intercept=False, max_iter=1000)
    model.fit(table / scale, np.concatenate(labels), weights)
    return model.coef_[0] / scale


def fit_beats(found: list[Piece]) -> None:
    """Fit the weights of beats against the times between them, and of downbeats against other beats."""
    on_rows, on_labels, bar_rows, bar_labels = [], [], [], []
    for piece in found:
        onsets, beats_s = gather(piece.notes), piece.beats_s
        lengths_s, between_s = np.gradient(beats_s), (beats_s[1:] + beats_s[:-1]) / 2
        on, off = beat_features(onsets, beats_s, lengths_s), beat_features(onsets, between_s, lengths_s[:-1])
        on_rows.append(np.concatenate([on, off]))
        on_labels.append(np.arange(len(on) + len(off)) < len(on))
        first = np.abs(beats_s[:, None] - piece.downbeats_s).min(1) < 0.01
        if not first.all():
            bar_rows.append(on)
            bar_labels.append(first)
    metre.BEAT_WEIGHTS = fitted(on_rows, on_labels)
    metre.BAR_WEIGHTS = fitted(bar_rows, bar_labels)
    share = np.mean([np.mean(labels) for labels in bar_labels])
    metre.BAR_BIAS = float(np.log((1 - share) / share))
    for name, beat, bar in zip(FEATURES, metre.BEAT_WEIGHTS, metre.BAR_WEIGHTS, strict=True):
        print(f"{name:14} {beat:7.2f} {bar:7.2f}")
    print("BAR_BIAS", round(metre.BAR_BIAS, 2))


def fit_choice(found: list[Piece]) -> None:
    """Fit the choice among candidates, and test it on pieces that it was not fitted on."""
    tables, scores = [], []
    for piece in found:
        onsets = gather(piece.notes)
        candidates = metre.candidate_beats(onsets)
        rows = [np.append(metre.candidate_features(onsets, beats_s), 1.0) for beats_s in candidates]
        tables.append(np.array(rows))
        scores.append(np.array([beat_f(piece.beats_s, beats_s) for beats_s in candidates]))
    chosen = np.zeros(len(found))
    for fold in range(5):
        train = [i for i in range(len(found)) if i % 5 != fold]
        weights = fitted([tables[i] for i in train], [scores[i] > GOOD for i in train])
        for i in range(fold, len(found), 5):
            chosen[i] = scores[i][(tables[i] @ weights).argmax()]
    best = np.array([score.max() for score in scores])
    for piece, f, top in zip(found, chosen, best, strict=True):
        if f < GOOD:
            print(f"{piece.name} {piece.metre}: {f:.2f}, best {top:.2f}")
    print(f"cross-validated F-measure {chosen.mean():.3f}, best candidates {best.mean():.3f}")
    print("CHOICE_WEIGHTS", np.round(fitted(tables, [score > GOOD for score in scores])[:-1], 3).tolist())


def main() -> None:
    """Fit."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--musicnet-em", type=Path, help="folder of MusicNetEM: adds its aligned movements")
    found = list(pieces("development", parser.parse_args().musicnet_em))
    metre.METRE_BIAS = {2: 0.0, 3: 0.0, 4: 0.0}
    fit_beats(found)
    print("BEAT_WEIGHTS", np.round(metre.BEAT_WEIGHTS, 3).tolist())
    print("BAR_WEIGHTS", np.round(metre.BAR_WEIGHTS, 3).tolist())
    fit_choice(found)


if __name__ == "__main__":
    main()

"""Scores against scikit-learn and cases worked by hand."""

import json
import time

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, precision_recall_fscore_support

from audiocx.music import metrics
from audiocx.music.metrics import Piece
from audiocx.notes import Note, notes_to_roll


def pair(seed=0, frames=500):
    rng = np.random.default_rng(seed)
    roll = rng.random((frames, 88)) < 0.05
    probabilities = np.round(rng.random(roll.shape) * 0.7 + roll * 0.3, 2).astype(np.float32)  # many ties
    return probabilities, roll


def test_average_precision_by_hand():
    # Found in order: right, wrong, right, wrong: precision 1 at recall 1/2, 2/3 at recall 1.
    probabilities = np.array([[0.9, 0.1], [0.8, 0.7]])
    roll = np.array([[True, False], [False, True]])
    assert metrics.average_precision(probabilities, roll) == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)


def test_average_precision_is_the_pooled_one_not_a_mean_over_pitches():
    probabilities, roll = pair()
    value = metrics.average_precision(probabilities, roll)
    assert value == pytest.approx(average_precision_score(roll, probabilities, average="micro"), abs=1e-9)
    assert value != pytest.approx(average_precision_score(roll, probabilities, average="macro"), abs=1e-4)


@pytest.mark.parametrize("parts", [1, 2, 7])
def test_pooled_precision_is_that_of_all_parts_together(parts):
    probabilities, roll = pair(frames=200)
    pooled = metrics.PooledPrecision()
    for part in np.array_split(np.arange(200), parts):
        pooled.add(probabilities[part], roll[part])
    pooled.add(probabilities[:0], roll[:0])
    assert pooled.counts.sum() == roll.size
    assert pooled.score() == pytest.approx(metrics.average_precision(probabilities, roll), abs=1e-12)


def test_pooled_precision_of_millions_of_close_scores_is_near():
    rng = np.random.default_rng(0)
    roll = rng.random((5000, 88)) < 0.05
    odds = rng.normal(4 * roll - 5.0, 2.0)
    probabilities = (1 / (1 + np.exp(-odds))).astype(np.float32)
    pooled = metrics.PooledPrecision()
    pooled.add(probabilities, roll)
    assert pooled.score() == pytest.approx(metrics.average_precision(probabilities, roll), abs=2e-5)


def test_pooled_precision_at_the_ends():
    pooled = metrics.PooledPrecision()
    assert pooled.score() == 0.0
    pooled.add(np.array([[0.0, 1.0, 0.5]], np.float32), np.array([[False, True, False]]))
    assert pooled.score() == 1.0
    with pytest.raises(ValueError, match="hold NaN"):
        pooled.add(np.array([[np.nan]]), np.array([[True]]))


def test_average_precision_depends_on_the_ranking_only():
    probabilities, roll = pair()
    value = metrics.average_precision(probabilities, roll)
    assert metrics.average_precision(probabilities**3, roll) == pytest.approx(value)
    assert metrics.average_precision(roll.astype(np.float32), roll) == 1.0
    assert metrics.average_precision(np.zeros(roll.shape), roll) == pytest.approx(roll.mean())
    assert metrics.average_precision(probabilities, np.zeros_like(roll)) == 0.0


@pytest.mark.parametrize("points", [2, 50, 2000])
def test_curve_keeps_its_ends_and_its_area(points):
    rng = np.random.default_rng(3)
    roll = rng.random((400, 88)) < 0.1
    probabilities = rng.random(roll.shape) * 0.7 + roll * 0.3
    precision, recall, thresholds = metrics.precision_recall_curve(probabilities, roll, points)
    assert 2 <= len(precision) == len(recall) == len(thresholds) <= points
    assert (np.diff(recall) >= 0).all() and recall[-1] == 1.0 and (np.diff(thresholds) < 0).all()
    chosen = probabilities >= thresholds[-2]
    assert precision[-2] == pytest.approx(roll[chosen].mean())
    assert recall[-2] == pytest.approx(chosen[roll].mean())
    if points == 2000:
        area = np.sum(np.diff(recall, prepend=0) * precision)
        assert area == pytest.approx(metrics.average_precision(probabilities, roll), abs=2e-3)


@pytest.mark.parametrize("score", [metrics.average_precision, metrics.precision_recall_curve])
def test_bad_probabilities_are_refused(score):
    probabilities, roll = pair(frames=4)
    with pytest.raises(ValueError, match="shape"):
        score(probabilities[1:], roll)
    with pytest.raises(ValueError, match="no frames"):
        score(probabilities[:0], roll[:0])
    probabilities[2, 3] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        score(probabilities, roll)


def test_frame_scores_agree_with_sklearn():
    probabilities, roll = pair()
    scores = metrics.frame_scores(probabilities > 0.6, roll)
    precision, recall, f1, _ = precision_recall_fscore_support(
        roll.ravel(), (probabilities > 0.6).ravel(), average="binary"
    )
    assert [scores.precision, scores.recall, scores.f1] == pytest.approx([precision, recall, f1])


def test_frame_scores_by_hand_and_at_the_edges():
    reference = np.array([[True, True, False, False]])
    assert metrics.frame_scores(np.array([[True, False, True, True]]), reference) == metrics.FrameScores(
        1 / 3, 0.5, 0.4
    )
    assert metrics.frame_scores(np.zeros((1, 4), bool), reference) == metrics.FrameScores(0.0, 0.0, 0.0)
    with pytest.raises(ValueError, match="shapes"):
        metrics.frame_scores(reference, reference.T)
    with pytest.raises(ValueError, match="boolean"):
        metrics.frame_scores(np.array([[0.1, 0.2, 0.3, 0.4]]), reference)


def pieces():
    for index, name in enumerate(("waltz", "a much longer name")):
        probabilities, roll = pair(index, frames=100 + 300 * index)
        notes = [Note(0.5 * step, 60 + step, 0.5 * step + 0.4) for step in range(8)]
        yield Piece(name, probabilities, roll, notes, notes[: 4 + 4 * index], threshold=0.6)


def test_evaluation_pools_precision_and_averages_scores():
    evaluation = metrics.evaluate(pieces())
    both = list(pieces())
    first, second = evaluation.rows
    assert [first["name"], second["name"]] == ["waltz", "a much longer name"]
    assert first["note_recall"] == 0.5 and evaluation.overall["note_recall"] == 0.75
    assert evaluation.overall["frame_f1"] == pytest.approx((first["frame_f1"] + second["frame_f1"]) / 2)
    probabilities = np.concatenate([piece.probabilities for piece in both])
    roll = np.concatenate([piece.roll for piece in both])
    assert evaluation.overall["average_precision"] == pytest.approx(metrics.average_precision(probabilities, roll))
    pooled = metrics.frame_scores(probabilities >= np.float32(0.6), roll)
    assert evaluation.overall["pooled_frame_f1"] == pytest.approx(pooled.f1)
    assert evaluation.overall["pooled_frame_precision"] == pytest.approx(pooled.precision)
    assert json.loads(json.dumps(evaluation.to_dict()))["pieces"][0] == first


def test_evaluating_nothing_is_refused():
    with pytest.raises(ValueError, match="no pieces"):
        metrics.evaluate([])


def test_a_perfect_transcription_scores_one_everywhere():
    notes = [Note(0.5 * step, 60 + step, 0.5 * step + 0.4) for step in range(8)]
    roll = notes_to_roll(notes, np.arange(400) / 80)
    overall = metrics.evaluate([Piece("perfect", roll.astype(np.float32), roll, notes, notes)]).overall
    assert {value for key, value in overall.items() if key != "name"} == {1.0}


def test_the_table_is_aligned_markdown():
    evaluation = metrics.evaluate(pieces())
    lines = metrics.format_table([*evaluation.rows, evaluation.overall]).splitlines()
    assert len({len(line) for line in lines}) == 1 and len(lines) == 5
    assert lines[0].startswith("| piece ") and set(lines[1]) == set("|-: ")
    assert [cell.strip() for cell in lines[2].split("|")][7:9] == ["50.0", "66.7"]


def test_large_evaluations_are_fast():
    rng = np.random.default_rng(5)
    roll = rng.random((11000, 88)) < 0.05
    probabilities = rng.random(roll.shape, dtype=np.float32)
    started = time.process_time()
    metrics.average_precision(probabilities, roll)
    assert time.process_time() - started < 3.0  # about 0.4 s on one core

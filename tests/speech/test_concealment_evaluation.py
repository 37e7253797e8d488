"""Evaluation of packet loss concealment: the gaps, the methods without a network, the scores."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from speech_lookalike import write_librispeech

from audiocx.data.corpora import librispeech
from audiocx.data.training_data import open_speech_stores
from audiocx.speech import concealment_evaluation
from audiocx.speech.concealment_evaluation import (
    APART_HOPS,
    ConcealmentScore,
    last_packet,
    random_gaps,
    score_methods,
)
from audiocx.speech.gaps import frame_ranges, sample_ranges


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_librispeech(tmp_path_factory.mktemp("corpora") / "librispeech", speakers=4, duration_s=1.5)


@pytest.mark.parametrize("gap_ms", [16, 32, 48, 64])
@pytest.mark.parametrize("samples", [1000, 8000, 160_000 + 77])
def test_a_tenth_is_lost_in_whole_packets_apart_from_one_another(gap_ms: int, samples: int) -> None:
    drawn = [random_gaps(samples, gap_ms, np.random.default_rng(seed)) for seed in range(20)]
    for gaps in drawn:
        found = sample_ranges(gaps, 8000)
        assert all(start % 128 == 0 and stop - start == 8 * gap_ms for start, stop in found)
        ends = [0, *(stop for _, stop in found)]
        assert all(start - end >= 64 * 8 for end, (start, _) in zip(ends, found, strict=False))
        assert not found or found[-1][1] <= samples
        assert abs(len(gaps) * gap_ms * 8 - 0.1 * samples) <= 4 * gap_ms + 13  # half a packet, and what is no whole hop
    assert samples == 1000 or len({tuple(gaps) for gaps in drawn}) > 10
    last = max(gaps[-1][1] for gaps in drawn if gaps) if any(drawn) else 0
    assert samples < 100_000 or last > 0.9 * samples / 8000


def test_the_last_packet_is_repeated_and_fades_into_what_is_intact() -> None:
    true = np.random.default_rng(0).normal(0, 0.1, 4000).astype(np.float32)
    filled = last_packet(true, [(0.128, 0.16)])
    np.testing.assert_array_equal(filled[1024:1280], true[768:1024])
    # On either side the packet goes on, as if it went round, and gives way to what is intact.
    rise = np.arange(1, 33) / 33
    np.testing.assert_allclose(filled[992:1024], true[992:1024], atol=1e-7)
    np.testing.assert_allclose(filled[1280:1312], rise * true[1280:1312] + (1 - rise) * true[768:800], atol=1e-7)
    np.testing.assert_array_equal(filled[:992], true[:992])
    np.testing.assert_array_equal(filled[1312:], true[1312:])


def test_what_is_lost_is_scored_alone() -> None:
    true = np.random.default_rng(0).normal(0, 0.1, 8000).astype(np.float32)
    gaps, tally = [(0.48, 0.512), (0.8, 0.832)], ConcealmentScore()
    ((first, after), (second, behind)) = frame_ranges(gaps, 8000)
    outside = true.copy()
    outside[: (first - 2) * 128] = outside[after * 128 : (second - 2) * 128] = 0
    tally.add(true, outside, gaps)
    assert tally.error.frames == behind - second + after - first == 6 and tally.error.mse == 0
    there = true.copy()
    there[(first - 2) * 128 : after * 128] = there[(second - 2) * 128 : behind * 128] = 0
    tally.add(true, there, gaps)
    assert tally.error.frames == 12 and tally.error.mse > 100


def test_the_same_is_lost_whatever_else_is_scored(corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lost: list[list[tuple[str, bytes]]] = []
    validation = librispeech.split(librispeech.find_utterances(corpus)).validation
    (store,) = open_speech_stores([validation], str(corpus.parent / "cache"))
    monkeypatch.setattr(concealment_evaluation, "pesq_mos", lambda *_: float("nan"))
    for chosen, seed in (([0, 1], 0), ([1], 0), ([1], 1)):
        given: list[tuple[str, bytes]] = []

        def notes(samples: np.ndarray, gaps: object, given: list[tuple[str, bytes]] = given) -> np.ndarray:
            given.append((str(gaps), samples.tobytes()))
            return samples

        tallies = score_methods({"notes": notes}, store, chosen, seed)
        assert all(own.to_dict()["pesq"] is None and own.to_dict()["mse"] > 0 for own in tallies["notes"].values())
        lost.append(given)
    assert lost[0][4:] == lost[1] != lost[2]


def test_gaps_are_further_apart_than_the_longest_packet() -> None:
    """So that the last packet is always whole."""
    assert max(concealment_evaluation.GAPS_MS) <= APART_HOPS * 16

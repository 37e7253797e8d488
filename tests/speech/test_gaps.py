"""Gaps: detection, ranges of samples and frames, and crossfades that change nothing else."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audiocx.errors import ConfigError
from audiocx.speech.gaps import crossfade, find_gaps, frame_ranges, merge_gaps, sample_ranges
from audiocx.stft import stft

RNG = np.random.default_rng(0)


def noise(*shape: int) -> np.ndarray:
    return RNG.uniform(0.1, 0.5, shape).astype(np.float32)


@pytest.mark.parametrize(("rate", "least"), [(8000, 40), (44100, 221), (16000, 80)])
def test_5_ms_of_zeros_are_a_gap_and_one_sample_less_is_not(rate: int, least: int) -> None:
    samples = noise(4000)
    samples[1000 : 1000 + least] = samples[2000 : 2000 + least - 1] = samples[-least:] = 0
    assert sample_ranges(find_gaps(samples, rate), rate) == [(1000, 1000 + least), (4000 - least, 4000)]


def test_silence_at_the_beginning_or_in_one_channel_is_no_gap() -> None:
    samples = noise(4000, 2)
    samples[:500] = samples[1000:1500, 0] = samples[2000:2500] = 0
    assert sample_ranges(find_gaps(samples, 8000), 8000) == [(2000, 2500)]
    assert find_gaps(np.zeros(4000), 8000) == [] and find_gaps(samples[3000:], 8000) == []


@given(st.lists(st.tuples(st.integers(0, 90), st.integers(1, 30)), max_size=8))
@settings(max_examples=50, deadline=None)
def test_merged_gaps_cover_the_same_samples_in_order_without_overlap(drawn: list[tuple[int, int]]) -> None:
    gaps = [(float(start), float(start + length)) for start, length in drawn]
    merged = merge_gaps(gaps, 120.0)
    covered = {second for start, length in drawn for second in range(start, start + length)}
    assert {second for start, end in merged for second in range(int(start), int(end))} == covered
    assert all(end < following for (_, end), (following, _) in zip(merged, merged[1:], strict=False))
    assert merge_gaps(merged, 120.0) == merged


def test_a_gap_up_to_the_end_may_be_rounded() -> None:
    assert merge_gaps([(1.0, 2.0)], 1.9996) == [(1.0, 1.9996)]


@pytest.mark.parametrize(
    ("gap", "message"),
    [
        ((1.0, 1.0), "is a start and a later end, in seconds"),
        ((1.2, 1.1), "is a start and a later end, in seconds"),
        ((math.nan, 1.0), "is a start and a later end"),
        ((1.0, math.nan), "is a start and a later end"),
        ((1.0, math.inf), "is a start and a later end"),
        ((-math.inf, 1.0), "is a start and a later end"),
        ((1.0,), "is a start and a later end"),
        ((1.0, 1.1, 1.2), "is a start and a later end"),
        (1.0, "is a start and a later end"),
        (("a", "b"), "is a start and a later end"),
        ((-0.1, 0.1), "outside of the recording, which is 2.000 s long"),
        ((1.9, 2.001), "from 1.9 to 2.001 s lies outside"),
        ((5.0, 6.0), "outside of the recording"),
    ],
)
def test_an_invalid_gap_is_refused(gap: object, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as refused:
        merge_gaps([(0.5, 0.6), gap], 2.0, "call.wav")  # type: ignore[list-item]
    assert str(refused.value).startswith("call.wav: ")


@given(st.sampled_from([8000, 11025, 44100]), st.integers(0, 900), st.integers(1, 400))
@settings(max_examples=50, deadline=None)
def test_frames_outside_the_range_do_not_overlap_the_gap(rate: int, start_ms: int, length_ms: int) -> None:
    gaps = [(start_ms / 1000, (start_ms + length_ms) / 1000)]
    ((first, after),) = frame_ranges(gaps, rate)
    # The same gap at 8 kHz, as narrow as possible; frames that overlap it contain its samples.
    lost = np.zeros(16000, np.float32)
    lost[math.ceil(gaps[0][0] * 8000 - 1e-6) : math.floor(gaps[0][1] * 8000 + 1e-6)] = 1
    touched = np.flatnonzero(np.abs(stft(lost)).sum(-1) > 1e-2)
    assert first <= touched.min() and touched.max() < after
    # No more than rounding to whole hops needs: a hop on either side, and half a sample.
    assert after - first <= length_ms * 8 / 128 + 3.1


@pytest.mark.parametrize(("gap_ms", "frames"), [(16, 2), (32, 3), (64, 5)])
def test_a_gap_of_whole_hops_overlaps_one_frame_more(gap_ms: int, frames: int) -> None:
    for hop in range(200):
        ((first, after),) = frame_ranges([(hop * 0.016, hop * 0.016 + gap_ms / 1000)], 8000)
        assert (first, after) == (hop + 1, hop + 1 + frames)


def test_gaps_without_an_intact_frame_between_are_one_range() -> None:
    hop_s = 0.016
    assert frame_ranges([(2 * hop_s, 3 * hop_s), (4 * hop_s, 5 * hop_s)], 8000) == [(3, 7)]
    assert frame_ranges([(2 * hop_s, 3 * hop_s), (5 * hop_s, 6 * hop_s)], 8000) == [(3, 5), (6, 8)]


@pytest.mark.parametrize("shape", [(8000,), (8000, 2)])
def test_a_crossfade_fills_gaps_and_changes_4_ms_around_them(shape: tuple[int, ...]) -> None:
    samples, filled = noise(*shape), -noise(*shape)
    samples[3000] = -0.0
    joined = crossfade(samples, filled, [(0.0, 0.01), (0.5, 0.6), (0.605, 0.7), (0.99, 1.0)], 8000)
    for start, stop in ((0, 80), (4000, 4800), (4840, 5600), (7920, 8000)):
        np.testing.assert_array_equal(joined[start:stop], filled[start:stop])
    for start, stop in ((80 + 32, 4000 - 32), (5600 + 32, 7920 - 32)):
        assert joined[start:stop].tobytes() == samples[start:stop].tobytes()
    # The weight changes step by step.
    share = ((samples - joined) / (samples - filled)).reshape(len(samples), -1)[:, 0]
    np.testing.assert_allclose(share[4000 - 33 : 4001], np.arange(34) / 33, atol=1e-5)
    np.testing.assert_allclose(share[5599 : 5600 + 33], np.arange(34)[::-1] / 33, atol=1e-5)
    assert share[4800:4840].min() == pytest.approx(13 / 33)  # 20 samples from either

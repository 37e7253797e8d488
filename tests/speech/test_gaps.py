"""Gaps: detection, ranges of samples and frames, and crossfades that change nothing else."""

from __future__ import annotations

import io
import math
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from audiocx.errors import ConfigError
from audiocx.speech.gaps import crossfade, find_gaps, frame_ranges, gaps_by_channel, merge_gaps, sample_ranges
from audiocx.stft import stft

RNG = np.random.default_rng(0)


def noise(*shape: int) -> np.ndarray:
    return RNG.uniform(0.1, 0.5, shape).astype(np.float32)


@pytest.mark.parametrize(("rate", "least"), [(8000, 40), (44100, 221), (16000, 80)])
def test_5_ms_of_zeros_are_a_gap_and_one_sample_less_is_not(rate: int, least: int) -> None:
    samples = noise(4000)
    samples[1000 : 1000 + least] = samples[2000 : 2000 + least - 1] = 0
    assert sample_ranges(find_gaps(samples, rate), rate) == [(1000, 1000 + least)]


def test_silence_at_the_beginning_or_the_end_is_no_gap() -> None:
    samples = noise(4000)
    samples[:500] = samples[-500:] = samples[2000:2500] = 0
    assert sample_ranges(find_gaps(samples, 8000), 8000) == [(2000, 2500)]
    for silent in (np.zeros(4000), np.full(4000, 0.5), samples[3000:], samples[:10], samples[:0]):
        assert find_gaps(silent, 8000) == []


def test_each_channel_has_its_own_gaps_unless_they_are_named() -> None:
    samples = noise(4000, 2)
    samples[1000:1500, 0] = samples[2000:2500] = 0
    left, right = gaps_by_channel(samples, 8000)
    assert sample_ranges(left, 8000) == [(1000, 1500), (2000, 2500)]
    assert sample_ranges(right, 8000) == [(2000, 2500)]
    assert gaps_by_channel(samples, 8000, [(0.1, 0.2)]) == [[(0.1, 0.2)]] * 2


SPEECH, SPEECH_RATE_HZ = soundfile.read(Path(__file__).parents[2] / "examples" / "librispeech_6880.flac")
LOST = [(1.05, 1.09), (2.4, 2.44), (3.7, 3.74)]  # in loud passages
ENCODINGS = {
    "16 bits": ("WAV", "PCM_16"),
    "A-law": ("WAV", "ALAW"),
    "mu-law": ("WAV", "ULAW"),
    "8 bits": ("WAV", "PCM_U8"),
    "Vorbis": ("OGG", "VORBIS"),
    "Opus": ("OGG", "OPUS"),
    "MP3": ("MP3", "MPEG_LAYER_III"),
}


def encoded(samples: np.ndarray, encoding: str, rate: int = SPEECH_RATE_HZ) -> np.ndarray:
    """The samples as they are after having been stored."""
    container, subtype = ENCODINGS[encoding]
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format=container, subtype=subtype)
    file.seek(0)
    return soundfile.read(file, dtype="float32")[0]


def with_gaps(samples: np.ndarray) -> np.ndarray:
    samples = samples.copy()
    for start_s, end_s in LOST:
        samples[round(start_s * SPEECH_RATE_HZ) : round(end_s * SPEECH_RATE_HZ)] = 0
    return samples


def assert_lost(found: list[tuple[float, float]], tolerance_s: float) -> None:
    assert np.shape(found) == np.shape(LOST) and np.abs(np.subtract(found, LOST)).max() <= tolerance_s, found


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_gaps_are_found_in_any_encoding_and_nothing_else(encoding: str) -> None:
    loud = SPEECH / np.abs(SPEECH).max()
    exact = encoding in ("16 bits", "A-law", "mu-law", "8 bits")
    assert_lost(find_gaps(encoded(with_gaps(loud), encoding), SPEECH_RATE_HZ), 0.0015 if exact else 0.012)
    assert find_gaps(encoded(loud, encoding), SPEECH_RATE_HZ) == []
    padded = np.concatenate([np.zeros(1600), loud[16000:40000], np.zeros(1600)])  # speech that is cut at both ends
    assert find_gaps(encoded(padded, encoding), SPEECH_RATE_HZ) == []


@pytest.mark.parametrize("peak", [0.5, 0.1, 0.05, 0.02])
def test_pauses_in_quiet_speech_of_8_bits_are_no_gaps(peak: float) -> None:
    quiet = encoded(SPEECH * peak / np.abs(SPEECH).max(), "8 bits")
    assert find_gaps(quiet, SPEECH_RATE_HZ) == []
    assert peak > 0.1 or (np.diff(np.flatnonzero(quiet)) > 80).any()  # in which the old rule found gaps


@pytest.mark.parametrize("offset", [0.0, 0.05, -0.3])
@pytest.mark.parametrize("dither", [0, 1])
def test_gaps_are_found_with_dither_and_an_offset(offset: float, dither: int) -> None:
    steps = np.random.default_rng(0).uniform(-1, 1, (2, len(SPEECH))).sum(0) * dither
    for samples in (with_gaps(SPEECH + offset), with_gaps(SPEECH) + offset):  # before and after it came in
        quantized = np.round(samples * 32768 + steps).astype(np.float32) / 32768
        assert_lost(find_gaps(quantized, SPEECH_RATE_HZ), 0.002)
        clean = np.round((SPEECH + offset) * 32768 + steps).astype(np.float32) / 32768
        assert find_gaps(clean, SPEECH_RATE_HZ) == []


@given(st.floats(-3, 3))
@settings(max_examples=10, deadline=None)
def test_gaps_do_not_depend_on_scale(exponent: float) -> None:
    samples = encoded(with_gaps(SPEECH), "Vorbis")
    found = find_gaps(samples, SPEECH_RATE_HZ)
    assert_lost(found, 0.012)
    np.testing.assert_allclose(find_gaps(samples * 10**exponent, SPEECH_RATE_HZ), found, atol=0.001)


def test_a_lower_level_finds_shallower_gaps() -> None:
    samples = SPEECH.copy()
    samples[round(1.2 * SPEECH_RATE_HZ) : round(1.24 * SPEECH_RATE_HZ)] *= 10 ** (-20 / 20)
    assert find_gaps(samples, SPEECH_RATE_HZ) == []
    assert len(find_gaps(samples, SPEECH_RATE_HZ, 18)) >= 1


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

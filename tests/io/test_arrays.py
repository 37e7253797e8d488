from __future__ import annotations

import numpy as np
import pytest

from audiocx.errors import AudioError, ConfigError
from audiocx.io import audio

RATE = 22_050
WAVE = np.sin(np.arange(3000) / 9) * 0.5


@pytest.mark.parametrize(
    ("dtype", "step"),
    [("int8", 2**-7), ("uint8", 2**-7), ("int16", 2**-15), (">i2", 2**-15), ("uint16", 2**-15), ("int32", 2**-23)],
)
def test_integers_are_scaled_by_their_type(dtype: str, step: float) -> None:
    kind = np.dtype(dtype)
    half = 2 ** (8 * kind.itemsize - 1)
    integers = (np.round(WAVE * half) + (half if kind.kind == "u" else 0)).astype(kind)
    np.testing.assert_allclose(audio.load((integers, RATE)).samples, WAVE, atol=step)


@pytest.mark.parametrize("dtype", ["float16", "float32", ">f4", "float64", "longdouble"])
def test_floating_point_is_taken_as_it_is(dtype: str) -> None:
    recording = audio.load((WAVE.astype(dtype), RATE))
    np.testing.assert_allclose(recording.samples, WAVE, atol=1e-3)
    assert recording.samples.dtype == np.float32 and recording.remarks == ()


def test_the_longer_axis_is_time() -> None:
    both = np.stack([WAVE, 0.5 * WAVE], 1)
    for samples in (both, both.T, np.asfortranarray(both), both[::1]):
        np.testing.assert_allclose(audio.load((samples, RATE), mono=False).samples, both, atol=1e-6)
    assert audio.load((np.array([[0.1, 0.2], [0.3, 0.4]]), RATE), mono=False).samples[0] == pytest.approx([0.1, 0.2])
    assert audio.load((WAVE[None], RATE), mono=False).samples.shape == (3000, 1)


@pytest.mark.parametrize("rate", [RATE, float(RATE), np.float64(RATE), np.int32(RATE), np.array(RATE)])
def test_a_rate_of_any_type(rate: object) -> None:
    for source, given in (((WAVE, rate), None), ((rate, WAVE), None), (WAVE, rate)):
        recording = audio.load(source, given, 11025)  # type: ignore[arg-type]
        assert (len(recording.samples), recording.sample_rate) == (1500, 11025)


def test_a_rate_that_is_not_whole_is_exact() -> None:
    assert len(audio.load((np.zeros(222_545), 22254.5), rate_out=11025).samples) == -(-222_545 * 11025 // 22254.5)


@pytest.mark.parametrize("rate", [None, 0, -1, 999, 2_000_000, np.nan, np.inf, "44100", True, 1j, [44100]])
def test_a_rate_that_is_none(rate: object) -> None:
    with pytest.raises(ConfigError, match="rate"):
        audio.load((WAVE, rate))


@pytest.mark.parametrize(
    ("samples", "said"),
    [
        (WAVE.astype(complex), "real"),
        (WAVE.astype(np.int64), "8, 16 or 32 bits"),
        (WAVE > 0, "8, 16 or 32 bits"),
        (np.array(["a"]), "8, 16 or 32 bits"),
        (np.array([None]), "8, 16 or 32 bits"),
        ([[1.0], [1.0, 2.0]], "array of numbers"),
        (np.zeros(0), "empty"),
        (np.zeros((0, 2)), "empty"),
        (np.float32(1), "file, its content, samples"),
        (np.zeros((2, 2, 2)), r"\[N\]"),
        (np.zeros((600, 500)), r"\[N\]"),
    ],
)
def test_samples_of_no_usable_type_or_shape(samples: object, said: str) -> None:
    with pytest.raises(AudioError, match=said):
        audio.load(samples, RATE)  # type: ignore[arg-type]


def test_tensors_are_samples() -> None:
    torch = pytest.importorskip("torch")
    np.testing.assert_allclose(audio.load((torch.from_numpy(WAVE), RATE)).samples, WAVE, atol=1e-6)
    with pytest.raises(AudioError, match="array of numbers"):
        audio.load((torch.ones(9, requires_grad=True), RATE))

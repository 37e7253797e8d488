"""Data augmentation: strengths as documented, and labels that are transposed with the samples."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from audiocx.data.augment import AugmentConfig, augment, degraded, draw_shift, half_window_samples, resample_windows
from audiocx.data.random_streams import RandomStreams

RATE = 11025


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def streams(rows: int, seed: int = 0) -> RandomStreams:
    return RandomStreams(generator(seed), rows)


def decibels(ratio: Tensor) -> Tensor:
    return 20 * torch.log10(ratio)


def one_note(pitch: int, count: int) -> Tensor:
    labels = torch.zeros(count, 88, dtype=torch.bool)
    labels[:, pitch] = True
    return labels


def test_the_default_changes_nothing() -> None:
    windows = torch.randn(4, 64, generator=generator())
    assert torch.equal(augment(windows, RATE, AugmentConfig(), streams(4)), windows)
    labels = one_note(3, 4)
    semitones, moved = draw_shift(labels, AugmentConfig(), streams(len(labels)))
    assert semitones is None and moved is labels


def test_the_same_seed_gives_the_same_result() -> None:
    config = AugmentConfig(gain_db=6.0, equalizer_db=3.0, noise_db=-30.0)
    windows = torch.randn(4, 64, generator=generator())
    first, again = (augment(windows, RATE, config, streams(4, 5)) for _ in range(2))
    assert torch.equal(first, again)
    assert not torch.equal(first, augment(windows, RATE, config, streams(4, 6)))


def test_gain_is_uniform_in_its_range() -> None:
    loud = augment(torch.ones(2000, 4), RATE, AugmentConfig(gain_db=12.0), streams(2000))
    gain_db = decibels(loud[:, 0])
    assert torch.equal(loud, loud[:, :1].expand_as(loud))
    assert gain_db.abs().max() <= 12.0001
    assert gain_db.std() == pytest.approx(12 / math.sqrt(3), rel=0.05) and gain_db.mean().abs() < 0.6


def pitches_hz(tones: Tensor) -> Tensor:
    """Return the instantaneous frequency of tones near 441 Hz, from the phase of their analytic signals."""
    spectrum = torch.fft.fft(tones.double())
    bins_hz = torch.fft.fftfreq(tones.shape[1], 1 / RATE)
    spectrum[:, (bins_hz < 300) | (bins_hz > 600)] = 0
    analytic = torch.fft.ifft(spectrum)
    return torch.angle(analytic[:, 1:] / analytic[:, :-1])[:, 1000:-1000] * RATE / (2 * torch.pi)


def test_vibrato_has_the_configured_depth_and_rate() -> None:
    tone = torch.sin(2 * torch.pi * 441 * torch.arange(2 * RATE) / RATE).expand(100, -1)
    hz = pitches_hz(augment(tone, RATE, AugmentConfig(vibrato_cents=50.0), streams(100)))
    highest = 1200 * torch.log2(hz.max(1).values / 441)
    assert 45 < highest.max() < 51 and highest.median() == pytest.approx(25, abs=6)
    assert 1200 * torch.log2(hz.mean(1) / 441).abs().max() < 3  # the last period may be incomplete
    # The rate is the number of upward crossings of the mean per second.
    deep = hz[highest > 10] - 441
    rates = ((deep[:, :-1] < 0) & (deep[:, 1:] >= 0)).sum(1) / (deep.shape[1] / RATE)
    assert rates.min() > 3.4 and rates.max() < 8.6 and rates.std() > 0.5


def test_vibrato_displaces_no_sample_by_two_milliseconds_and_has_the_configured_probability() -> None:
    clicks = torch.zeros(400, RATE)
    clicks[:, RATE // 2] = 1.0
    moved = augment(clicks, RATE, AugmentConfig(vibrato_cents=50.0, vibrato_probability=0.25), streams(400))
    assert (moved.abs().argmax(1) - RATE // 2).abs().max() < 0.002 * RATE
    assert (moved != clicks).any(1).float().mean() == pytest.approx(0.25, abs=0.08)


def test_noise_is_uniform_over_the_40_db_below_the_loudest() -> None:
    noise = augment(torch.zeros(1000, 1024), RATE, AugmentConfig(noise_db=-40.0), streams(1000))
    level_db = decibels(noise.square().mean(1).sqrt())
    assert -81 < level_db.min() < -78 and -42 < level_db.max() < -39
    assert level_db.mean() == pytest.approx(-60, abs=1.5)
    assert torch.equal(augment(torch.ones(1, 8), RATE, AugmentConfig(noise_db=-400.0), streams(1)), torch.ones(1, 8))


def test_equalizer_has_one_point_per_octave() -> None:
    # Windows of one second, so that bin k is k Hz; the response is zero-phase.
    impulse = torch.zeros(400, RATE)
    impulse[:, 0] = 1
    spectrum = torch.fft.rfft(augment(impulse, RATE, AugmentConfig(equalizer_db=3.0), streams(len(impulse))))
    assert spectrum.imag.abs().max() < 1e-4
    response_db = decibels(spectrum.abs())
    points_db = response_db[:, [50, 100, 200, 400, 800, 1600, 3200]]
    assert torch.allclose(points_db.std(0), torch.tensor(3.0), rtol=0.15) and points_db.mean(0).abs().max() < 0.6
    assert torch.allclose(response_db[:, [0, 1, 25]], response_db[:, [50]], atol=1e-3)
    share = math.log2(1.5)
    between_db = (1 - share) * response_db[:, 100] + share * response_db[:, 200]
    assert torch.allclose(response_db[:, 150], between_db, atol=1e-3)
    correlation = torch.corrcoef(points_db.T) - torch.eye(7)
    assert correlation.abs().max() < 0.25


def sine_cut(freq_hz: float) -> tuple[Tensor, object]:
    """Return some centres, and a function that cuts windows from a sine with phase 0.3 at sample 0."""

    def cut(centres: Tensor, length: int) -> Tensor:
        place = centres[:, None] - length // 2 + torch.arange(length)
        return torch.sin(2 * math.pi * freq_hz * place.double() / RATE + 0.3)

    return torch.tensor([100, 5000, 12345]), cut


@pytest.mark.parametrize("semitones", [-12.0, -3.0, -0.2, 0.0, 0.15, 1.0, 3.2, 11.5])
@pytest.mark.parametrize("freq_hz", [440.0, 1000.0])
def test_resampling_multiplies_frequencies_and_keeps_the_centre(freq_hz: float, semitones: float) -> None:
    centres, cut = sine_cut(freq_hz)
    windows = resample_windows(cut, centres, 512, torch.full((3,), semitones))
    place = centres[:, None] + (torch.arange(512) - 256) * 2 ** (semitones / 12)
    expected = torch.sin(2 * math.pi * freq_hz * place.double() / RATE + 0.3)
    assert windows.shape == (3, 512) and windows.dtype == torch.float32
    assert (windows - expected).abs().max() < (0.02 if freq_hz > 500 else 1e-3)
    assert (windows - expected).square().mean().sqrt() < 10 ** (-40 / 20) * math.sqrt(0.5)
    # Interpolation is exact at the samples, and the centre is one.
    assert torch.equal(windows[:, 256], cut(centres, 2)[:, 1].float())


def test_a_440_hz_tone_becomes_one_of_the_next_note() -> None:
    centres, cut = sine_cut(440.0)
    windows = resample_windows(cut, centres, 4096, torch.tensor([-1.0, 0.0, 1.0]))
    peaks_hz = torch.fft.rfft(windows * torch.hann_window(4096), 16 * 4096).abs().argmax(1) * RATE / (16 * 4096)
    assert peaks_hz.tolist() == pytest.approx([415.30, 440.0, 466.16], abs=0.1)


@pytest.mark.parametrize(
    ("freq_hz", "error_db", "level_db"),
    [(1000.0, -51, 0.0), (2000.0, -31, -0.2), (3000.0, -19, -0.8), (5000.0, -5, -4.5)],
)
def test_the_interpolation_is_as_exact_as_documented(freq_hz: float, error_db: float, level_db: float) -> None:
    centres, cut = sine_cut(freq_hz)
    windows = resample_windows(cut, centres, 4096, torch.full((3,), 0.1)).double()
    place = centres[:, None] + (torch.arange(4096) - 2048) * 2 ** (0.1 / 12)
    ideal = torch.sin(2 * math.pi * freq_hz * place.double() / RATE + 0.3)
    power = ideal.square().mean()
    assert decibels(((windows - ideal).square().mean() / power).sqrt()).item() == pytest.approx(error_db, abs=1)
    assert decibels((windows * ideal).mean() / power).item() == pytest.approx(level_db, abs=0.1)


@pytest.mark.parametrize("semitones", [-24.0, -0.01, 0.01, 7.3, 24.0])
@pytest.mark.parametrize("window_samples", [2, 64, 4096])
def test_resampling_reads_the_documented_number_of_samples(window_samples: int, semitones: float) -> None:
    halves: list[int] = []

    def cut(centres: Tensor, length: int) -> Tensor:
        halves.append(length // 2)
        return torch.ones(len(centres), length)  # gather raises for indices outside

    windows = resample_windows(cut, torch.tensor([0]), window_samples, torch.tensor([semitones]))
    assert torch.allclose(windows, torch.ones_like(windows))
    assert max(halves) == half_window_samples(window_samples, 2 ** (semitones / 12))


def test_windows_without_transposition_are_not_resampled() -> None:
    centres, cut = sine_cut(440.0)
    windows = resample_windows(cut, centres, 64, torch.tensor([0.0, 1.0, 0.0]))
    assert torch.equal(windows[::2], cut(centres, 64)[::2].float())
    assert torch.equal(windows[1:2], resample_windows(cut, centres[1:2], 64, torch.tensor([1.0])))
    assert torch.equal(resample_windows(cut, centres, 64, torch.zeros(3)), cut(centres, 64).float())


def test_labels_are_transposed_with_the_samples() -> None:
    labels = one_note(40, 500) | one_note(47, 500)
    semitones, moved = draw_shift(labels, AugmentConfig(shift_semitones=3), streams(len(labels)))
    assert semitones is not None
    assert set(semitones.tolist()) == {-3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0}
    for steps, row in zip(semitones.int().tolist(), moved, strict=True):
        assert row.nonzero().flatten().tolist() == [40 + steps, 47 + steps]


@pytest.mark.parametrize(
    ("pitch", "allowed"), [(0, {0, 1, 2}), (1, {-1, 0, 1, 2}), (86, {-2, -1, 0, 1}), (87, {-2, -1, 0})]
)
def test_notes_at_the_ends_of_the_range_stay_in_it(pitch: int, allowed: set[int]) -> None:
    labels = one_note(pitch, 300) | one_note(44, 300)
    semitones, moved = draw_shift(labels, AugmentConfig(shift_semitones=2, detune_cents=20.0), streams(len(labels)))
    assert semitones is not None
    steps = semitones.round().int()
    assert set(steps.tolist()) == allowed
    for step, row in zip(steps.tolist(), moved, strict=True):
        assert row.nonzero().flatten().tolist() == sorted([pitch + step, 44 + step])
    # Windows that cannot be transposed are still detuned.
    assert (semitones - steps).abs().max() <= 0.2001 and (semitones != steps).all()


def test_detuning_is_uniform_and_keeps_labels() -> None:
    labels = one_note(40, 2000)
    semitones, moved = draw_shift(labels, AugmentConfig(detune_cents=20.0), streams(len(labels)))
    assert semitones is not None and torch.equal(moved, labels)
    assert semitones.abs().max() <= 0.2 and semitones.std() == pytest.approx(0.2 / math.sqrt(3), rel=0.05)


def test_the_configured_fraction_of_windows_is_transposed() -> None:
    labels = one_note(40, 4000)
    config = AugmentConfig(shift_semitones=3, detune_cents=20.0, shift_probability=0.25)
    semitones, moved = draw_shift(labels, config, streams(len(labels)))
    assert semitones is not None
    assert (semitones != 0).float().mean() == pytest.approx(0.25, abs=0.03)
    assert torch.equal(moved[semitones == 0], labels[semitones == 0])
    assert (draw_shift(labels, AugmentConfig(3.0, 3, 20.0, 0.0), streams(len(labels)))[0] == 0).all()  # type: ignore[union-attr]


def test_silence_may_be_transposed_by_any_interval() -> None:
    semitones, moved = draw_shift(
        torch.zeros(200, 88, dtype=torch.bool), AugmentConfig(shift_semitones=5), streams(200)
    )
    assert semitones is not None and len(set(semitones.tolist())) == 11 and not moved.any()


def test_degradation_depends_on_the_name_and_keeps_the_length() -> None:
    samples = np.sin(0.3 * np.arange(3 * RATE)).astype(np.float32)
    config = AugmentConfig(room_probability=1.0, room_s=0.5, equalizer_db=4.0, noise_db=-40.0)
    first, again, other = (degraded(samples, RATE, config, name) for name in ("a", "a", "b"))
    assert first.shape == samples.shape and first.dtype == np.float32
    assert np.array_equal(first, again) and not np.allclose(first, other, atol=1e-3)
    assert np.array_equal(degraded(samples, RATE, AugmentConfig(), "a"), samples)


def test_noise_lasts_through_long_recordings() -> None:
    length = 2**22 + 5000
    noise = degraded(np.zeros(length), RATE, AugmentConfig(noise_db=-20.0), "long")
    assert len(noise) == length and noise[-5000:].std() == pytest.approx(noise[:5000].std(), rel=0.1)

"""Front end of the note networks: bins of tones, phase increments, magnitudes."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from audiocx.models.log_spectrum import LogSpectrum

RATE, HOP, WINDOWS, LOWEST = 11025, 128, (4096, 1024), 21


def front_end() -> LogSpectrum:
    return LogSpectrum(RATE, HOP, WINDOWS, LOWEST, 92)


def tone(midi_note: float, frames: int = 20, phase: float = 0.0) -> Tensor:
    freq_hz = 440 * 2 ** ((midi_note - 69) / 12)
    time = torch.arange(frames * HOP + WINDOWS[0], dtype=torch.float64)
    return (0.3 * torch.sin(2 * torch.pi * freq_hz * time / RATE + phase)).float()[None]


def complex_bins(samples: Tensor) -> Tensor:
    """Complex [W, T, F]."""
    y = front_end()(samples)[0]
    return torch.complex(*y.chunk(2))


def bin_of(midi_note: int) -> int:
    return 3 * (midi_note - LOWEST) + 1


def test_shape_and_finite_silence() -> None:
    y = front_end()(torch.zeros(2, 7 * HOP + WINDOWS[0]))
    assert y.shape == (2, 4, 7, 276) and y.dtype == torch.float32
    assert torch.equal(y, torch.zeros_like(y))


@pytest.mark.parametrize("midi_note", [45, 60, 69, 88, 105])
def test_a_tone_peaks_in_its_own_bin(midi_note: int) -> None:
    long = complex_bins(tone(midi_note))[0, 10].abs()
    assert long.argmax() == bin_of(midi_note)
    assert long[bin_of(midi_note)] > 2 * long[bin_of(midi_note) + 3]


@pytest.mark.parametrize(("midi_note", "cents"), [(60, 0.0), (60, 15.0), (69, -12.0), (81, 10.0)])
def test_the_phase_increment_is_the_offset_from_the_bin(midi_note: int, cents: float) -> None:
    """In every window length, and at any initial phase."""
    freq_hz = 440 * 2 ** ((midi_note - 69) / 12)
    expected = 2 * math.pi * freq_hz * (2 ** (cents / 1200) - 1) * HOP / RATE
    for phase in (0.0, 1.3):
        bins = complex_bins(tone(midi_note + cents / 100, phase=phase))[:, 5:15, bin_of(midi_note)]
        torch.testing.assert_close(bins.angle(), torch.full_like(bins.angle(), expected), atol=5e-3, rtol=0)


def test_magnitudes_are_compressed() -> None:
    loud, soft = (complex_bins(gain * tone(69))[0, 10, bin_of(69)].abs() for gain in (1.0, 0.1))
    assert 0.3 < loud - soft < 0.7  # a factor of ten is log(10) / 4


def test_magnitudes_do_not_depend_on_the_phase_setting() -> None:
    noise = torch.randn(2, 9 * HOP + WINDOWS[0], generator=torch.Generator().manual_seed(0))
    plain = LogSpectrum(RATE, HOP, WINDOWS, LOWEST, 92, phase="none")(noise)
    assert plain.shape == (2, 2, 9, 276)
    for phase in ("increment", "centred"):
        real, imag = LogSpectrum(RATE, HOP, WINDOWS, LOWEST, 92, phase=phase)(noise).chunk(2, 1)
        torch.testing.assert_close(torch.hypot(real, imag), plain, atol=1e-5, rtol=1e-4)


def test_a_shift_by_hops_shifts_the_frames() -> None:
    noise = torch.randn(1, 30 * HOP + WINDOWS[0], generator=torch.Generator().manual_seed(0))
    whole, later = front_end()(noise), front_end()(noise[:, 9 * HOP :])
    torch.testing.assert_close(whole[:, :, 9:], later, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(("windows", "per_semitone"), [((1023,), 3), ((1024, 2048), 3), ((1024,), 2), ((), 3)])
def test_invalid_settings_are_refused(windows: tuple[int, ...], per_semitone: int) -> None:
    with pytest.raises(ValueError, match="windows are even"):
        LogSpectrum(RATE, HOP, windows, LOWEST, 12, per_semitone)

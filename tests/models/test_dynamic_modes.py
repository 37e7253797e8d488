"""Dynamic modes: exponentials are found again, and put where an FFT has them."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from audiocx.kinds import build
from audiocx.models import TranscriberConfig
from audiocx.models.dynamic_modes import dynamic_modes, mode_spectrum
from audiocx.models.frontend import FrontEnd

N = 1024
TIME = torch.arange(N, dtype=torch.float64) - N // 2
# Cycles a sample, two of them half a bin of the FFT apart; decay, amplitude and phase at the window's centre.
CYCLES = torch.tensor([0.01, 0.1, 0.1005, 0.33], dtype=torch.float64)
DECAY = torch.tensor([1.0, 0.999, 1.0005, 0.9995], dtype=torch.float64)
AMPLITUDE = torch.tensor([0.3, 0.1, 0.2, 0.01], dtype=torch.float64)
PHASE = torch.tensor([0.0, 1.0, -2.0, 3.0], dtype=torch.float64)


def sinusoids(cycles: Tensor, decay: Tensor, amplitude: Tensor, phase: Tensor) -> Tensor:
    parts = (amplitude, decay, 2 * torch.pi * cycles, phase)
    a, r, w, p = (part[:, None] for part in parts)
    return (a * r**TIME * torch.cos(w * TIME + p)).sum(0)


def test_damped_sinusoids_are_found_again() -> None:
    x = sinusoids(CYCLES, DECAY, AMPLITUDE, PHASE)
    eigenvalues, amplitudes = dynamic_modes(torch.stack([x, 10 * x]), 16)
    assert eigenvalues.shape == amplitudes.shape == (2, 16)
    for row, gain in enumerate((1, 10)):
        upper = (eigenvalues[row].imag > 0) & (amplitudes[row].abs() > 1e-6)
        order = eigenvalues[row][upper].angle().argsort()
        found, size = eigenvalues[row][upper][order], amplitudes[row][upper][order]
        assert_close(found, torch.polar(DECAY, 2 * torch.pi * CYCLES), rtol=0, atol=1e-7)
        # A real sinusoid is two exponentials of half its amplitude.
        assert_close(size, torch.polar(gain * AMPLITUDE / 2, PHASE), rtol=1e-4, atol=1e-7)


def test_steady_modes_explain_a_noisy_window() -> None:
    torch.manual_seed(0)
    x = sinusoids(CYCLES, torch.ones(4), AMPLITUDE, PHASE) + 1e-3 * torch.randn(N, dtype=torch.float64)
    (eigenvalues,), (amplitudes,) = dynamic_modes(x[None], 16)
    steady = (eigenvalues.abs().log() * N).abs() < 2
    middle = slice(3 * N // 8, 5 * N // 8)
    again = (amplitudes[steady] * eigenvalues[steady] ** TIME[middle, None]).sum(1)
    assert again.imag.abs().max() < 1e-6
    assert (again.real - x[middle]).square().mean().sqrt() < 0.02 * x[middle].square().mean().sqrt()


def test_a_steady_tone_lies_in_the_bin_that_an_fft_has_it_in() -> None:
    tone = sinusoids(torch.tensor([40 / N]), torch.ones(1), torch.tensor([0.5]), torch.tensor([1.0]))
    found = mode_spectrum(tone[None], 16, N // 2)[0]
    fft = torch.fft.rfft(tone)
    assert found.abs().argmax() == 40
    # The FFT's phase is that at the first sample, 20 cycles of this tone before the centre.
    assert_close(found[40], fft[40], rtol=1e-6, atol=1e-6)
    assert found.abs().sum() - found[40].abs() < 1e-6 * found[40].abs()


@pytest.mark.parametrize("window", [torch.zeros(N), torch.ones(N), torch.eye(N)[N // 2]])
def test_silence_constants_and_clicks_have_finite_modes(window: Tensor) -> None:
    for values in (*dynamic_modes(window[None], 16), mode_spectrum(window[None], 16, N)):
        assert values.isfinite().all()
    assert not mode_spectrum(torch.zeros(1, N), 16, N).any()


def test_as_a_front_end() -> None:
    torch.manual_seed(0)
    windows = torch.randn(2, N)
    front_end = FrontEnd("modes", N, N // 2, complex=True, modes=16)
    spectrum = mode_spectrum(windows, 16, N // 2)
    expected = torch.log1p(spectrum.abs()) * torch.exp(1j * spectrum.angle())
    assert_close(torch.complex(*front_end(windows).unbind(1)), expected.to(torch.complex64), rtol=1e-4, atol=1e-4)
    network = build(TranscriberConfig(front_end="modes", window_samples=N, outputs=3, modes=16))
    network(windows).sum().backward()
    assert all(weight.grad is not None for weight in network.parameters())


def test_windows_too_short_are_refused() -> None:
    with pytest.raises(ValueError, match="256 samples are too short for 32 modes, which take 257"):
        dynamic_modes(torch.zeros(1, 256), 32)
    with pytest.raises(ValueError, match="modes"):
        TranscriberConfig(modes=1)

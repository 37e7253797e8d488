"""Filtered spectra: bands of filters and matrix products, the same as one dense product of the Fourier transform."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from audiocx.models.filtered_spectrum import FilteredSpectrum, MatmulSpectrum
from audiocx.models.log_spectrum import LogSpectrum

RATE, LOWEST_HZ = 11025, 27.5
# Window and hop; those of the default network first.
SIZES = [(4096, 128), (1024, 128), (512, 64), (128, 64), (256, 100)]


def triangles(size: int, filters: int = 276) -> Tensor:
    """Triangular filters [size / 2 + 1, F], three a semitone, at least two lines wide; dense."""
    centres = LOWEST_HZ * 2 ** (torch.arange(filters, dtype=torch.float64) / 36) * size / RATE
    widths = (centres * (2 ** (1 / 36) - 1)).clamp_min(1.0)
    lines = torch.arange(size // 2 + 1, dtype=torch.float64)[:, None]
    weights = (1 - (lines - centres).abs() / widths).clamp_min(0) / widths
    return (weights * (1 - 2 * (lines % 2))).float()


def samples_of(size: int, hop: int, frames: int = 9, batch: int = 2) -> Tensor:
    generator = torch.Generator().manual_seed(size)
    return torch.randn(batch, size + (frames - 1) * hop, generator=generator)


def dense(samples: Tensor, filters: Tensor, hop: int) -> Tensor:
    """The definition in double precision: [B, 2, T, F]."""
    size = 2 * (len(filters) - 1)
    hann = torch.hann_window(size, dtype=torch.float64)
    lines = torch.fft.rfft(samples.double().unfold(1, size, hop) * hann * (2 / size))
    return torch.view_as_real(lines).movedim(3, 1) @ filters.double()


def assert_rounding(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found.double(), expected.double(), rtol=0, atol=2e-6 * float(expected.abs().max()))


@pytest.mark.parametrize(("size", "hop"), SIZES)
def test_bands_equal_the_dense_product(size: int, hop: int) -> None:
    filters, samples = triangles(size), samples_of(size, hop)
    found = FilteredSpectrum(filters, hop)(samples)
    assert found.shape == (2, 2, 9, 276) and found.dtype == torch.float32
    assert_rounding(found, dense(samples, filters, hop))


@pytest.mark.parametrize(("size", "hop"), SIZES[:4])
@pytest.mark.parametrize(("batch", "frames"), [(1, 1), (3, 9)])
def test_matrix_products_equal_the_fft(size: int, hop: int, batch: int, frames: int) -> None:
    # The Nyquist line, which nothing needs, is not among its lines.
    filters = triangles(size)
    filters[-1] = 0
    samples = samples_of(size, hop, frames, batch)
    found = MatmulSpectrum(filters, hop)(samples)
    assert found.shape == (batch, 2, frames, 276)
    assert_rounding(found, dense(samples, filters, hop))
    assert_rounding(found, FilteredSpectrum(filters, hop)(samples))


def test_the_bands_are_the_filters_with_a_fifth_of_the_multiplications() -> None:
    front_end = LogSpectrum(RATE, 128, (4096, 1024), 21, 92)
    taken = whole = 0
    for spectrum in front_end.spectra:
        restored, first = torch.zeros_like(spectrum.filters), 0
        for (start, stop), band in spectrum.bands():
            assert band.shape[0] == stop - start
            restored[start:stop, first : first + band.shape[1]] = band
            first, taken = first + band.shape[1], taken + band.numel()
        assert torch.equal(restored, spectrum.filters)
        whole += spectrum.filters.numel()
    assert 5 * taken < whole


def test_a_band_without_any_line_is_silent() -> None:
    filters = torch.zeros(65, 50)
    filters[3, 30] = 1.0
    samples = samples_of(128, 64)
    for kind in (FilteredSpectrum, MatmulSpectrum):
        found = kind(filters, 64)(samples)
        assert found.shape[-1] == 50 and found[..., :30].abs().max() == found[..., 31:].abs().max() == 0
        assert found[..., 30].abs().min() > 0


def test_gradients_flow_through_the_bands() -> None:
    filters, samples = triangles(256), samples_of(256, 64).requires_grad_()
    weights = torch.randn(2, 2, 9, 276, generator=torch.Generator().manual_seed(1))
    (gradient,) = torch.autograd.grad((FilteredSpectrum(filters, 64)(samples) * weights).sum(), samples)
    (expected,) = torch.autograd.grad((dense(samples, filters, 64) * weights).sum(), samples)
    assert_rounding(gradient, expected)


def test_networks_built_on_meta_have_the_same_bands_and_save_none() -> None:
    with torch.device("meta"):
        loaded = LogSpectrum(RATE, 128, (4096, 1024), 21, 92)
    built = LogSpectrum(RATE, 128, (4096, 1024), 21, 92)
    assert not built.state_dict()
    samples = samples_of(4096, 128, frames=3)
    assert torch.equal(loaded(samples), built(samples))

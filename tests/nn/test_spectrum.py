"""STFT and its inverse: agreement with torch and with the definition, reconstruction, forms, dtypes."""

from __future__ import annotations

import copy
import math
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from audiocx.nn import ISTFT, STFT
from audiocx.nn.functional import to_channels, to_complex


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


def signals(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64)


# Arguments of both directions.
SIZES: dict[str, dict[str, Any]] = {
    "plain": {"n_fft": 32},
    "half hop": {"n_fft": 32, "hop_length": 16, "window": "hamming"},
    "short window": {"n_fft": 64, "win_length": 40, "hop_length": 12, "window": "blackman"},
    "odd": {"n_fft": 33, "hop_length": 7},
    "no overlap": {"n_fft": 16, "hop_length": 16, "window": "rectangular"},
    "normalized": {"n_fft": 32, "normalized": True},
    "two-sided": {"n_fft": 32, "onesided": False},
    "own window": {"n_fft": 16, "win_length": 9, "hop_length": 4, "window": torch.linspace(0.1, 1, 9)},
}
every_size = pytest.mark.parametrize("sizes", SIZES.values(), ids=SIZES)


def double(module: Any, **arguments: Any) -> Any:
    return module(**arguments, dtype=torch.float64)


@every_size
@pytest.mark.parametrize("center", [True, False])
def test_spectra_are_those_of_torch(sizes: dict[str, Any], center: bool) -> None:
    transform, x = double(STFT, **sizes, center=center), signals(3, 200)
    plain = {name: value for name, value in sizes.items() if name != "window"}
    expected = torch.stft(
        x, **{"hop_length": transform.hop_length, **plain, "win_length": transform.n_fft}, window=transform.window,
        center=center, return_complex=True,
    )  # fmt: skip
    assert_close(transform(x), expected)


def test_a_frame_is_the_transform_of_its_windowed_samples() -> None:
    x, n, hop = signals(100), 20, 6
    z = double(STFT, n_fft=n, hop_length=hop, center=False)(x)
    window = [0.5 - 0.5 * math.cos(2 * math.pi * i / n) for i in range(n)]
    for k, t in ((0, 0), (3, 5), (10, 13)):
        expected = sum(
            x[hop * t + i].item()
            * window[i]
            * complex(math.cos(2 * math.pi * k * i / n), -math.sin(2 * math.pi * k * i / n))
            for i in range(n)
        )
        assert z[k, t].item() == pytest.approx(expected, abs=1e-12)


@every_size
@pytest.mark.parametrize("length", [65, 128, 200])
def test_centred_frames_restore_signals_of_any_length(sizes: dict[str, Any], length: int) -> None:
    x = signals(2, 3, length)
    assert_close(double(ISTFT, **sizes)(double(STFT, **sizes)(x), length).real, x)


@every_size
def test_frames_from_the_start_restore_what_the_windows_cover(sizes: dict[str, Any]) -> None:
    forward, inverse = (double(module, **sizes, center=False) for module in (STFT, ISTFT))
    x = signals(2, 150)
    y = inverse(forward(x), 150).real
    end = (150 - forward.n_fft) // forward.hop_length * forward.hop_length + forward.n_fft
    cover = torch.zeros(150)
    for start in range(0, end - forward.n_fft + 1, forward.hop_length):
        cover[start : start + forward.n_fft] += forward.window**2
    covered = cover > 1e-9
    assert covered.sum() > 100
    assert_close(y[:, covered], x[:, covered])
    assert not y[:, cover == 0].any()


def test_complex_signals_survive_a_round_trip() -> None:
    z = torch.randn(2, 100, dtype=torch.complex128)
    assert_close(double(ISTFT, n_fft=16, onesided=False)(double(STFT, n_fft=16, onesided=False)(z), 100), z)


@pytest.mark.parametrize("pad_mode", ["reflect", "constant", "replicate", "circular"])
def test_padding_is_that_of_torch(pad_mode: Any) -> None:
    x = signals(2, 50)
    window = torch.hann_window(16, dtype=torch.float64)
    expected = torch.stft(x, 16, window=window, pad_mode=pad_mode, return_complex=True)
    assert_close(double(STFT, n_fft=16, pad_mode=pad_mode)(x), expected)


def test_real_channels_are_the_complex_spectra() -> None:
    x = signals(2, 3, 100)
    z, real = double(STFT, n_fft=16)(x), double(STFT, n_fft=16, real_channels=True)(x)
    assert real.shape == (2, 6, 9, 26) and torch.equal(real, to_channels(z, 1))
    assert torch.equal(double(ISTFT, n_fft=16)(real, 100), double(ISTFT, n_fft=16)(z, 100))


def test_energy_is_kept() -> None:
    """Of a normalised transform without overlap."""
    x = signals(160)
    arguments = {"n_fft": 16, "hop_length": 16, "window": "rectangular", "center": False}
    z = double(STFT, **arguments, normalized=True, onesided=False)(x)
    assert_close(z.abs().square().sum(), x.square().sum())


def test_the_inverse_is_closest_in_the_least_squares_sense() -> None:
    """Of spectra that no signal has: the transform of the result is their orthogonal projection."""
    z = torch.randn(17, 12, dtype=torch.complex128)
    z[[0, -1]] = z[[0, -1]].real.to(z.dtype)  # spectra of real signals are real there
    sizes = {"n_fft": 32, "hop_length": 8, "center": False, "window": "hamming"}
    forward, inverse = double(STFT, **sizes), double(ISTFT, **sizes)
    rest = z - forward(inverse(z))
    weight = torch.full((17, 1), 2.0, dtype=torch.float64)
    weight[[0, -1]] = 1  # frequencies that have no negative twin
    probe = forward(signals(32 + 8 * 11))
    assert abs((weight * rest * probe.conj()).sum().real.item()) < 1e-9 * rest.abs().sum().item()


@pytest.mark.parametrize("length", [None, 90, 120])
def test_lengths(length: int | None) -> None:
    x = signals(100)
    y = double(ISTFT, n_fft=16)(double(STFT, n_fft=16)(x), length)
    assert y.shape == (length or 100,)
    assert_close(y[:90], x[:90])
    assert not y[108:].any()


def test_gradients_match_finite_differences() -> None:
    x = signals(2, 40).requires_grad_()
    z = double(STFT, n_fft=8)(x).detach().requires_grad_()
    assert torch.autograd.gradcheck(double(STFT, n_fft=8), x, fast_mode=True)
    assert torch.autograd.gradcheck(double(ISTFT, n_fft=8), z, fast_mode=True)


def test_precision_follows_the_module_and_the_signal() -> None:
    exact, moved = double(STFT, n_fft=48), STFT(48)
    assert moved.window.dtype == torch.float32
    assert torch.equal(moved.double().window, exact.window)
    assert torch.equal(copy.deepcopy(moved).half().window, exact.window.float())
    assert torch.equal(pickle.loads(pickle.dumps(moved)).window, exact.window)
    x = signals(100)
    assert exact(x.float()).dtype == torch.complex64 and exact(x).dtype == torch.complex128
    assert not STFT(48).state_dict()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_float32(dtype: torch.dtype) -> None:
    x = signals(2, 100).to(dtype)
    transform = STFT(48, real_channels=True)
    assert torch.equal(STFT(48)(x), STFT(48)(x.float()))
    y = transform(x)
    assert y.dtype == dtype and torch.equal(y, transform(x.float()).to(dtype))
    assert ISTFT(48)(y).dtype == dtype


def test_a_window_made_on_the_device_meta_is_whole_when_memory_is_given() -> None:
    with torch.device("meta"):
        transform = STFT(16)
    assert transform.window.is_meta
    assert torch.equal(transform.to_empty(device="cpu").window, STFT(16).window)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: STFT(16, win_length=17), "1 to n_fft = 16 samples.*not 17"),
        (lambda: STFT(16, hop_length=0), "hop of 1 or more, not 16 and 0"),
        (lambda: STFT(16, window="kaiser"), "one of hann, .*not 'kaiser'"),  # type: ignore[arg-type]
        (lambda: STFT(16, window=torch.ones(8)), r"has 16 samples, not \[8\]"),
        (lambda: STFT(16, pad_mode="zeros"), "one of reflect, .*not 'zeros'"),  # type: ignore[arg-type]
        (lambda: STFT(16)(torch.zeros(2, 8)), r"\[\*, N\] of N = 9 samples or more, not real \[2, 8\]"),
        (lambda: STFT(16, center=False)(torch.zeros(15)), "N = 16 samples"),
        (lambda: STFT(16, real_channels=True)(torch.zeros(20)), r"signals \[\*, C, N\]"),
        (lambda: STFT(16)(torch.zeros(20, dtype=torch.complex64)), "onesided=False only, not complex"),
        (lambda: ISTFT(16)(torch.zeros(8, 3) + 0j), r"\[\*, 9, T\] or .*\[\*, 2C, 9, T\], not complex \[8, 3\]"),
        (lambda: ISTFT(16)(torch.zeros(3, 9, 4)), "not real"),
    ],
)
def test_what_does_not_fit_is_refused(call: Callable[[], Tensor], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


def test_a_spectrum_is_shown_by_its_settings() -> None:
    shown = "n_fft=16, hop_length=4, win_length=16, center=True, normalized=False, onesided=True"
    assert repr(ISTFT(16)) == f"ISTFT({shown})"
    assert repr(STFT(16)) == f"STFT({shown}, pad_mode='reflect', real_channels=False)"
    assert to_complex(STFT(16, real_channels=True)(torch.zeros(1, 1, 20))).shape == (1, 1, 9, 6)


@pytest.mark.parametrize("center", [True, False])
def test_what_is_exported_to_onnx_gives_the_same(center: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Overlap-add has another form there."""
    z = double(STFT, n_fft=16, hop_length=5, center=center)(signals(2, 3, 60))
    inverse = double(ISTFT, n_fft=16, hop_length=5, center=center)
    expected = inverse(z, 60)
    monkeypatch.setattr(torch.onnx, "is_in_onnx_export", lambda: True)
    assert_close(inverse(z, 60), expected)

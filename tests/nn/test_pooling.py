"""Pooling and upsampling: against windows taken one by one, and against interpolation by numpy."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from audiocx.nn import (
    ComplexAdaptiveAvgPool1d,
    ComplexAdaptiveAvgPool2d,
    ComplexAdaptiveAvgPool3d,
    ComplexAvgPool1d,
    ComplexAvgPool2d,
    ComplexAvgPool3d,
    ComplexUpsample,
    MagnitudeAdaptiveMaxPool1d,
    MagnitudeAdaptiveMaxPool2d,
    MagnitudeAdaptiveMaxPool3d,
    MagnitudeMaxPool1d,
    MagnitudeMaxPool2d,
    MagnitudeMaxPool3d,
)
from audiocx.nn.functional import to_channels, to_complex

AVERAGES = (ComplexAvgPool1d, ComplexAvgPool2d, ComplexAvgPool3d)
MAXIMA = (MagnitudeMaxPool1d, MagnitudeMaxPool2d, MagnitudeMaxPool3d)
ADAPTIVE_AVERAGES = (ComplexAdaptiveAvgPool1d, ComplexAdaptiveAvgPool2d, ComplexAdaptiveAvgPool3d)
ADAPTIVE_MAXIMA = (MagnitudeAdaptiveMaxPool1d, MagnitudeAdaptiveMaxPool2d, MagnitudeAdaptiveMaxPool3d)
SIZES = (8, 7, 6)
Window = tuple[list[int], int]  # positions within the input, and how many there are with padding


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


def windows(
    n: int, size: int, step: int, pad: int = 0, ceil_mode: bool = False, gap: int = 1, **_: object
) -> list[Window]:
    found = []
    for start in range(-pad, n + pad, step):
        places = [start + gap * i for i in range(size)]
        whole = places[-1] < n + pad
        if whole or (ceil_mode and start < n and (not found or found[-1][0][-1] < n + pad)):
            found.append(([p for p in places if 0 <= p < n], sum(p < n + pad for p in places)))
            if not whole:
                break
    return found


def adaptive(n: int, size: int) -> list[Window]:
    bounds = [(j * n // size, math.ceil((j + 1) * n / size)) for j in range(size)]
    return [(list(range(start, end)), end - start) for start, end in bounds]


def pooled(z: Tensor, axes: list[list[Window]], how: str) -> Tensor:
    """Reduce each window on its own: "average" (the zeros of the padding count), "inner average", "largest"."""
    y = torch.empty(*z.shape[:2], *map(len, axes), dtype=z.dtype)
    for place in itertools.product(*(range(len(axis)) for axis in axes)):
        chosen = [axis[j] for axis, j in zip(axes, place, strict=True)]
        part = z[(..., *np.ix_(*(positions for positions, _ in chosen)))].flatten(2)
        if how == "largest":
            y[(..., *place)] = part.gather(2, part.abs().argmax(2, keepdim=True))[..., 0]
        else:
            count = math.prod(whole for _, whole in chosen) if how == "average" else part.shape[2]
            y[(..., *place)] = part.sum(2) / count
    return y


def check(layer: nn.Module, z: Tensor, expected: Tensor) -> None:
    """Compare both forms, with and without batch."""
    assert_close(layer(z), expected)
    assert_close(to_complex(layer(to_channels(z))), expected)
    assert_close(layer(z[0]), expected[0])
    assert_close(to_complex(layer(to_channels(z[0], 0)), 0), expected[0])
    z.requires_grad_()
    assert torch.autograd.gradcheck(layer, (z,), fast_mode=True)
    assert torch.autograd.gradcheck(lambda x: layer(x), (to_channels(z.detach()).requires_grad_(),), fast_mode=True)


@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"padding": 1},
        {"padding": 1, "ceil_mode": True},
        {"ceil_mode": True, "stride": 3, "kernel_size": 2},
        {"padding": 1, "ceil_mode": True, "kernel_size": 2},
    ],
)
def test_pools_take_the_windows_of_torch(axes: int, options: dict[str, Any]) -> None:
    options = {"kernel_size": 3, "stride": 2, **options}
    z = torch.randn(2, 3, *SIZES[:axes], dtype=torch.complex128)
    size, step, pad = options["kernel_size"], options["stride"], options.get("padding", 0)
    taken = [windows(n, size, step, pad, options.get("ceil_mode", False)) for n in SIZES[:axes]]
    check(AVERAGES[axes - 1](**options), z, pooled(z, taken, "average"))
    check(
        AVERAGES[axes - 1](**options, count_include_pad=False), z.detach(), pooled(z.detach(), taken, "inner average")
    )
    check(MAXIMA[axes - 1](**options), z.detach(), pooled(z.detach(), taken, "largest"))


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_magnitude_pools_with_dilation(axes: int) -> None:
    z = torch.randn(2, 3, *SIZES[:axes], dtype=torch.complex128)
    taken = [windows(n, 2, 1, 1, gap=2) for n in SIZES[:axes]]
    check(MAXIMA[axes - 1](2, 1, padding=1, dilation=2), z, pooled(z, taken, "largest"))


@pytest.mark.parametrize(
    ("axes", "size"), [(1, 3), (1, 8), (2, (3, 5)), (2, (None, 2)), (2, 1), (3, (3, None, 4)), (3, 2)]
)
def test_adaptive_pools(axes: int, size: Any) -> None:
    z = torch.randn(2, 3, *SIZES[:axes], dtype=torch.complex128)
    counts = [size] * axes if isinstance(size, int) else size
    taken = [adaptive(n, count or n) for n, count in zip(SIZES, counts, strict=False)]
    check(ADAPTIVE_AVERAGES[axes - 1](size), z, pooled(z, taken, "average"))
    check(ADAPTIVE_MAXIMA[axes - 1](size), z.detach(), pooled(z.detach(), taken, "largest"))


def test_magnitude_pools_keep_phases_and_never_select_padding() -> None:
    z = torch.polar(torch.rand(2, 3, 6, dtype=torch.float64) * 1e-3, torch.randn(2, 3, 6, dtype=torch.float64))
    for pool in (MagnitudeMaxPool1d(3, 1, padding=1), MagnitudeAdaptiveMaxPool1d(4)):
        turn = torch.polar(torch.tensor(2.0).double(), torch.tensor(0.7).double())
        assert_close(pool(turn * z), turn * pool(z))
        assert bool(torch.isin(pool(z).real, z.real).all())
    far = torch.tensor([[[3e-30 + 0j, 2e-30j, 1e30 + 0j, 2e30j]]])  # beyond the squares' range
    assert torch.equal(MagnitudeMaxPool1d(2)(far), far[..., [0, 3]])


@pytest.mark.parametrize("lower", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("kinds", [AVERAGES, MAXIMA, ADAPTIVE_AVERAGES, ADAPTIVE_MAXIMA])
def test_pools_keep_half_precision(kinds: tuple[Any, ...], lower: torch.dtype) -> None:
    for axes, kind in enumerate(kinds, 1):
        x = torch.randn(2, 4, *SIZES[:axes]).to(lower)
        assert_close(kind(2)(x), kind(2)(x.double()).to(lower), rtol=0.02, atol=0.01)


@pytest.mark.parametrize(
    ("pool", "shape", "message"),
    [
        (
            ComplexAvgPool3d(2),
            (2, 4, 5),
            r"ComplexAvgPool3d takes a complex tensor \[B, C, D, H, W\], or real channels",
        ),
        (ComplexAdaptiveAvgPool2d(2), (2, 3, 5, 5), "2C instead of C, with or without B, not real"),
        (MagnitudeAdaptiveMaxPool1d(2), (2, 4, 5, 5), r"\[B, C, L\], or real channels"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(pool: nn.Module, shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        pool(torch.zeros(shape))


def test_pools_print_their_settings() -> None:
    assert repr(ComplexAvgPool1d(3, 2, 1)) == (
        "ComplexAvgPool1d(kernel_size=3, stride=2, padding=1, ceil_mode=False, count_include_pad=True)"
    )
    assert repr(MagnitudeMaxPool2d(2)) == (
        "MagnitudeMaxPool2d(kernel_size=2, stride=2, padding=0, ceil_mode=False, dilation=1)"
    )
    assert repr(ComplexAdaptiveAvgPool2d((2, None))) == "ComplexAdaptiveAvgPool2d(output_size=(2, None))"
    assert repr(ComplexUpsample(scale_factor=2)) == (
        "ComplexUpsample(scale_factor=2, mode='nearest', align_corners=None)"
    )


# Upsampling


def interpolated(z: Tensor, size: int, axis: int, align_corners: bool) -> Tensor:
    n = z.shape[axis]
    places = np.linspace(0, n - 1, size) if align_corners else (np.arange(size) + 0.5) * n / size - 0.5
    return torch.from_numpy(np.apply_along_axis(lambda v: np.interp(places, np.arange(n), v), axis, z.numpy()))


@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize("mode", ["linear", "bilinear", "trilinear"])
def test_linear_upsampling_interpolates_complex_numbers(mode: Any, align_corners: bool) -> None:
    axes = ("linear", "bilinear", "trilinear").index(mode) + 1
    z = torch.randn(2, 3, *SIZES[:axes], dtype=torch.complex128)
    expected, size = z, (13, 9, 6)[:axes]
    for axis, count in enumerate(size, 2):
        expected = interpolated(expected, count, axis, align_corners)
    layer = ComplexUpsample(size, mode=mode, align_corners=align_corners)
    assert_close(layer(z), expected)
    assert_close(to_complex(layer(to_channels(z))), expected)
    assert torch.autograd.gradcheck(layer, (z.requires_grad_(),), fast_mode=True)


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_nearest_upsampling_repeats(axes: int) -> None:
    z = torch.randn(2, 3, *SIZES[:axes], dtype=torch.complex128)
    expected = z
    for axis, times in enumerate((3, 2, 1)[:axes], 2):
        expected = expected.repeat_interleave(times, axis)
    for mode in ("nearest", "nearest-exact"):
        layer = ComplexUpsample(scale_factor=(3, 2, 1)[:axes], mode=mode)  # type: ignore[arg-type]
        assert torch.equal(layer(z), expected)
        assert torch.equal(to_complex(layer(to_channels(z))), expected)


def test_upsampling_commutes_with_complex_factors() -> None:
    z = torch.randn(2, 3, 5, 6, dtype=torch.complex128)
    for mode in ("nearest", "bilinear", "bicubic"):
        layer = ComplexUpsample(scale_factor=1.7, mode=mode)  # type: ignore[arg-type]
        assert_close(layer((2 - 1j) * z), (2 - 1j) * layer(z))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "either size or scale_factor"),
        ({"size": 2, "scale_factor": 2}, "either size or scale_factor"),
        ({"size": 2, "mode": "cubic"}, "must be one of nearest, .*not 'cubic'"),
        ({"size": 2, "align_corners": True}, "align_corners is for linear, .*not nearest; leave it out"),
    ],
)
def test_upsampling_refuses_arguments_that_contradict_one_another(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ComplexUpsample(**options)


def test_upsampling_refuses_inputs_of_other_axes() -> None:
    with pytest.raises(ValueError, match=r"mode='bilinear'\) takes a complex tensor \[B, C, H, W\],.*real \[2, 4, 5\]"):
        ComplexUpsample(2, mode="bilinear")(torch.zeros(2, 4, 5))
    with pytest.raises(ValueError, match=r"2C instead of C, not real \[2, 3, 5\]"):
        ComplexUpsample(2)(torch.zeros(2, 3, 5))

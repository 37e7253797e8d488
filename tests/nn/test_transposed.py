"""Transposed convolutions: against the sum that defines them, and as adjoints of convolutions."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from audiocx.nn import (
    ComplexConv1d,
    ComplexConv2d,
    ComplexConv3d,
    ComplexConvTranspose1d,
    ComplexConvTranspose2d,
    ComplexConvTranspose3d,
)
from audiocx.nn.functional import to_channels, to_complex

CASES = {
    "one axis": (ComplexConvTranspose1d, (4, 3, 4), {"stride": 2, "padding": 1, "output_padding": 1}, (2, 4, 6)),
    "groups": (ComplexConvTranspose1d, (4, 6, 3), {"stride": 3, "dilation": 2, "groups": 2}, (2, 4, 5)),
    "two axes": (ComplexConvTranspose2d, (2, 3, (3, 2)), {"stride": (2, 1), "padding": (1, 0)}, (2, 2, 4, 5)),
    "two axes, groups": (ComplexConvTranspose2d, (4, 4, 2), {"groups": 4, "bias": False}, (2, 4, 3, 3)),
    "three axes": (ComplexConvTranspose3d, (2, 3, (1, 2, 3)), {"stride": 2, "output_padding": 1}, (2, 2, 2, 3, 3)),
}
every_case = pytest.mark.parametrize(("kind", "sizes", "options", "shape"), CASES.values(), ids=CASES)


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


def made(kind: type, sizes: tuple, options: dict) -> nn.Module:
    layer = kind(*sizes, **options, dtype=torch.float64)
    if layer.bias is not None:
        nn.init.normal_(layer.bias)
    return layer


def scattered(layer: nn.Module, z: Tensor) -> Tensor:
    """Each number of the input puts the kernel times itself into the output, from its position times the stride on."""
    weight = torch.complex(layer.weight_real, layer.weight_imag)
    sizes = list(zip(z.shape[2:], layer.kernel_size, layer.stride, layer.dilation, layer.output_padding, strict=True))
    full = [(n - 1) * step + gap * (k - 1) + 1 + extra for n, k, step, gap, extra in sizes]
    y = torch.zeros(len(z), layer.out_channels, *full, dtype=z.dtype)
    for taps in itertools.product(*(range(k) for k in layer.kernel_size)):
        places = tuple(
            slice(tap * gap, tap * gap + (n - 1) * step + 1, step)
            for tap, (n, _, step, gap, _) in zip(taps, sizes, strict=True)
        )
        groups = zip(z.chunk(layer.groups, 1), weight[(..., *taps)].chunk(layer.groups), strict=True)
        y[(..., *places)] += torch.cat([torch.einsum("bi...,io->bo...", part, matrix) for part, matrix in groups], 1)
    y = y[(..., *(slice(p, size - p) for p, size in zip(layer.padding, full, strict=True)))]
    return y if layer.bias is None else y + to_complex(layer.bias, 0).view(-1, *[1] * layer.axes)


@every_case
def test_the_sum_that_defines_it(kind: type, sizes: tuple, options: dict, shape: tuple[int, ...]) -> None:
    layer, z = made(kind, sizes, options), torch.randn(shape, dtype=torch.complex128)
    expected = scattered(layer, z)
    assert_close(layer(z), expected)
    assert_close(to_complex(layer(to_channels(z))), expected)
    assert_close(layer(z[0]), expected[0])
    assert_close(to_complex(layer(to_channels(z[0], 0)), 0), expected[0])


@every_case
def test_gradients_match_finite_differences(kind: type, sizes: tuple, options: dict, shape: tuple[int, ...]) -> None:
    layer, z = made(kind, sizes, options), torch.randn(shape, dtype=torch.complex128, requires_grad=True)
    assert torch.autograd.gradcheck(lambda *_: layer(z), (z, *layer.parameters()), fast_mode=True)
    assert torch.autograd.gradgradcheck(lambda *_: layer(z), (z, *layer.parameters()), fast_mode=True)


@pytest.mark.parametrize(
    ("kind", "transposed", "sizes"),
    [
        (ComplexConv1d, ComplexConvTranspose1d, (7,)),
        (ComplexConv2d, ComplexConvTranspose2d, (7, 9)),
        (ComplexConv3d, ComplexConvTranspose3d, (5, 7, 3)),
    ],
)
def test_with_the_conjugate_kernel_it_is_the_adjoint_of_the_convolution(
    kind: type, transposed: type, sizes: tuple[int, ...]
) -> None:
    options = {"stride": 2, "padding": 1, "groups": 2, "bias": False, "dtype": torch.float64}
    conv, adjoint = kind(4, 6, 3, **options), transposed(6, 4, 3, **options)
    adjoint.load_state_dict({"weight_real": conv.weight_real, "weight_imag": -conv.weight_imag})
    z = torch.randn(2, 4, *sizes, dtype=torch.complex128)
    y = torch.randn_like(conv(z))
    assert_close(torch.vdot(y.flatten(), conv(z).flatten()), torch.vdot(adjoint(y).flatten(), z.flatten()))


@pytest.mark.parametrize("scheme", ["unitary", "rayleigh"])
@pytest.mark.parametrize(("kernel", "stride", "groups"), [(4, 2, 1), (6, 3, 2), (3, 3, 1), (2, 4, 1)])
def test_he_start_weights_give_a_power_of_two(scheme: str, kernel: int, stride: int, groups: int) -> None:
    layer = ComplexConvTranspose1d(96, 64, kernel, stride, groups=groups, scheme=scheme, dtype=torch.float64)
    z = torch.randn(8, 96, 200, dtype=torch.complex128)
    y = layer(z)[..., kernel:-kernel]
    power = (y.abs() ** 2).mean() * max(stride / kernel, 1)  # no number reaches the positions between the kernels
    assert power.item() == pytest.approx(2, rel=0.05)


def test_output_size_chooses_among_those_of_the_stride() -> None:
    layer = ComplexConvTranspose2d(2, 3, 3, (3, 2), 1)
    z = torch.randn(2, 2, 4, 5, dtype=torch.complex64)
    assert layer(z).shape == (2, 3, 10, 9)
    for size in [(10, 9), (12, 10)]:
        assert layer(z, output_size=size).shape == layer(z[0], size)[None].expand(2, -1, -1, -1).shape == (2, 3, *size)
    assert_close(layer(z, (12, 10))[..., :10, :9], layer(z))
    assert layer(to_channels(z), (12, 10)).shape == (2, 6, 12, 10)
    for wrong in [(9, 9), (13, 9), (10,)]:
        with pytest.raises(ValueError, match=r"between \(10, 9\) and \(12, 10\) for this input, not"):
            layer(z, output_size=wrong)


def test_arguments_and_inputs_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="groups=3 must divide"):
        ComplexConvTranspose1d(4, 6, 3, groups=3)
    with pytest.raises(ValueError, match="ComplexConvTranspose2d takes one number or 2"):
        ComplexConvTranspose2d(4, 6, 3, output_padding=(1, 1, 1))
    with pytest.raises(ValueError, match=r"complex tensor \[B, 4, L\], or real channels \[B, 8, L\].*real \[2, 4, 5\]"):
        ComplexConvTranspose1d(4, 6, 3)(torch.zeros(2, 4, 5))
    shown = "ComplexConvTranspose1d(4, 6, kernel_size=(3,), stride=(2,), padding=(0,), output_padding=(1,), "
    assert repr(ComplexConvTranspose1d(4, 6, 3, 2, 0, 1)) == f"{shown}dilation=(1,), groups=1, bias=True)"

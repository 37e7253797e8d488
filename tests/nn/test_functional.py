"""Functional form of the layers against PyTorch's complex128 arithmetic, with gradients."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.testing import assert_close

from audiocx.nn.functional import (
    accepts_complex,
    complex_conv,
    complex_dropout,
    complex_linear,
    complex_weight,
    crelu,
    magnitude,
    magnitude_max_pool,
    modrelu,
    radial,
    split,
    to_channels,
    to_complex,
    zrelu,
)


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


def noise(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.complex128)


def leaf(*shape: int) -> Tensor:
    return noise(*shape).requires_grad_()


def on_complex(function: Callable[..., Tensor], z: Tensor, dim: int = 1) -> Tensor:
    return to_complex(function(to_channels(z, dim)), dim)


def assert_same_map(ours: Callable[..., Tensor], native: Callable[..., Tensor], *leaves: Tensor) -> None:
    """Two functions of complex tensors have the same values and the same gradients."""
    result, expected = ours(*leaves), native(*leaves)
    assert_close(result, expected)
    direction = torch.randn_like(expected)
    assert_close(torch.autograd.grad(result, leaves, direction), torch.autograd.grad(expected, leaves, direction))


# Conversions


@pytest.mark.parametrize("dim", [0, 1, 2, -1, -2])
def test_to_channels_and_back(dim: int) -> None:
    z = noise(2, 3, 4)
    x = to_channels(z, dim)
    assert x.dtype == torch.float64 and x.shape[dim] == 2 * z.shape[dim]
    real, imag = split(x, dim)
    assert torch.equal(real, z.real) and torch.equal(imag, z.imag)
    assert torch.equal(to_complex(x, dim), z)


def test_gradients_pass_through_the_conversions() -> None:
    z = leaf(2, 3)
    direction = noise(2, 3)
    (grad,) = torch.autograd.grad(to_complex(to_channels(z)), z, direction)
    assert torch.equal(grad, direction)


@pytest.mark.parametrize("function", [split, to_complex, zrelu, magnitude])
def test_an_odd_number_of_channels_is_refused(function: Callable[[Tensor], Tensor]) -> None:
    with pytest.raises(ValueError, match="even number of channels.*not 3"):
        function(torch.zeros(2, 3))


def test_accepts_complex_converts_native_tensors_only() -> None:
    class Layer:
        seen: Tensor

        @accepts_complex(dim=-1)
        def forward(self, x: Tensor) -> Tensor:
            self.seen = x
            return 2 * x

    layer, z = Layer(), noise(3, 2)
    assert torch.equal(layer.forward(z), 2 * z)
    assert torch.equal(layer.seen, to_channels(z, -1))
    x = torch.randn(3, 4)
    assert torch.equal(layer.forward(x), 2 * x)
    assert layer.seen is x


# Products


def test_complex_weight_is_the_matrix_of_a_complex_product() -> None:
    # (1 + 2i)(3 + 4i) = -5 + 10i, worked by hand.
    matrix = complex_weight(torch.tensor([[1.0]]), torch.tensor([[2.0]]))
    assert torch.equal(matrix, torch.tensor([[1.0, -2.0], [2.0, 1.0]]))
    assert torch.equal(matrix @ torch.tensor([3.0, 4.0]), torch.tensor([-5.0, 10.0]))


def test_complex_weight_turns_products_into_products() -> None:
    a, b = noise(3, 4), noise(4, 2)
    product = a @ b
    assert_close(
        complex_weight(a.real, a.imag) @ complex_weight(b.real, b.imag), complex_weight(product.real, product.imag)
    )


# A large matrix takes one of two code paths, by the number of rows.
@pytest.mark.parametrize(("shape", "out"), [((4,), 6), ((5, 4), 6), ((2, 3, 4), 6), ((300,), 250), ((2, 1, 300), 250)])
@pytest.mark.parametrize("biased", [True, False])
def test_complex_linear_is_the_native_one(shape: tuple[int, ...], out: int, biased: bool) -> None:
    def ours(z: Tensor, w: Tensor, b: Tensor) -> Tensor:
        bias = to_channels(b, 0) if biased else None
        return on_complex(lambda x: complex_linear(x, w.real, w.imag, bias), z, -1) + (0 if biased else b)

    assert_same_map(ours, F.linear, leaf(*shape), leaf(out, shape[-1]), leaf(out))


CONVOLUTIONS = [
    # kernel, stride, padding, dilation, groups
    ((3,), (1,), (0,), (1,), 1),
    ((7,), (2,), (3,), (1,), 1),
    ((3,), (1,), (2,), (2,), 1),
    ((4,), (3,), (1,), (1,), 2),
    ((1,), (1,), (0,), (1,), 4),
    ((3, 2), (2, 1), (1, 0), (1, 1), 1),
    ((1, 7), (1, 2), (0, 3), (1, 1), 1),
    ((3, 3), (1, 1), (1, 1), (2, 2), 2),
    # A kernel that is a multiple of its stride, over few channels: blocks of positions become channels.
    ((4,), (2,), (0,), (1,), 1),
    ((6,), (3,), (0,), (1,), 1),
    ((2, 4), (2, 2), (1, 0), (1, 1), 1),
    ((2, 2), (1, 3), (0, 0), (1, 2), 4),
]


@pytest.mark.parametrize(("kernel", "stride", "padding", "dilation", "groups"), CONVOLUTIONS)
def test_complex_conv_is_the_native_one(
    kernel: tuple[int, ...], stride: tuple[int, ...], padding: tuple[int, ...], dilation: tuple[int, ...], groups: int
) -> None:
    native = F.conv1d if len(kernel) == 1 else F.conv2d
    options = (stride, padding, dilation, groups)

    def ours(z: Tensor, w: Tensor, b: Tensor) -> Tensor:
        return on_complex(lambda x: complex_conv(x, w.real, w.imag, to_channels(b, 0), *options), z)

    z = leaf(2, 4, *(9, 8)[: len(kernel)])
    w, b = leaf(8, 4 // groups, *kernel), leaf(8)
    assert_same_map(ours, lambda z, w, b: native(z, w, b, *options), z, w, b)
    assert_same_map(
        lambda z, w: on_complex(lambda x: complex_conv(x, w.real, w.imag, None, *options), z),
        lambda z, w: native(z, w, None, *options),
        z,
        w,
    )


def test_complex_conv_is_the_papers_formula() -> None:
    z, w = noise(2, 3, 9), noise(5, 3, 3)
    x, y, a, b = z.real, z.imag, w.real, w.imag
    expected = torch.complex(F.conv1d(x, a) - F.conv1d(y, b), F.conv1d(x, b) + F.conv1d(y, a))
    assert_close(on_complex(lambda x: complex_conv(x, a, b), z), expected)


# Activations


@pytest.mark.parametrize("dim", [1, 2, -1])
def test_magnitude_is_abs(dim: int) -> None:
    assert_same_map(lambda z: magnitude(to_channels(z, dim), dim), torch.abs, leaf(2, 3, 4))


def test_magnitude_of_zero_has_gradient_zero() -> None:
    x = torch.tensor([[0.0, 3.0, 0.0, 4.0]], requires_grad=True)
    length = magnitude(x)
    assert torch.equal(length, torch.tensor([[0.0, 5.0]]))
    (grad,) = torch.autograd.grad(length.sum(), x)
    assert_close(grad, torch.tensor([[0.0, 0.6, 0.0, 0.8]]))


def test_crelu_by_hand() -> None:
    z = torch.tensor([[1 + 2j, -1 + 2j, -1 - 2j, 1 - 2j]])
    assert torch.equal(on_complex(crelu, z), torch.tensor([[1 + 2j, 2j, 0j, 1 + 0j]]))


def test_zrelu_by_hand() -> None:
    # The edges of the first quadrant belong to it.
    z = torch.tensor([[1 + 2j, -1 + 2j, -1 - 2j, 1 - 2j, 3 + 0j, 4j, -3 + 0j, -4j, 0j]])
    kept = torch.tensor([[1 + 2j, 0j, 0j, 0j, 3 + 0j, 4j, 0j, 0j, 0j]])
    assert torch.equal(on_complex(zrelu, z), kept)


@pytest.mark.parametrize("dim", [1, -1])
def test_zrelu_passes_gradients_where_it_passes_values(dim: int) -> None:
    def native(z: Tensor) -> Tensor:
        return z * ((z.real >= 0) & (z.imag >= 0))

    assert_same_map(lambda z: on_complex(lambda x: zrelu(x, dim), z, dim), native, leaf(3, 4, 6))


@pytest.mark.parametrize("dim", [1, -1])
def test_modrelu_shifts_magnitudes_and_keeps_phases(dim: int) -> None:
    bias = torch.tensor([-0.8, 0.0, 0.5, -0.2], dtype=torch.float64)
    shape = (1, 4, 1) if dim == 1 else (1, 1, 4)

    def native(z: Tensor) -> Tensor:
        return torch.polar(F.relu(z.abs() + bias.view(shape)), z.angle())

    z = leaf(3, 4, 4)
    assert ((z.abs() - 0.8)[:, 0] < 0).any(), "some must fall under the threshold"
    assert_same_map(lambda z: on_complex(lambda x: modrelu(x, bias, dim), z, dim), native, z)


def test_modrelu_commutes_with_rotation() -> None:
    z, bias = noise(3, 4), torch.randn(4, dtype=torch.float64)
    rotation = torch.polar(torch.tensor(1.0, dtype=torch.float64), torch.tensor(0.7, dtype=torch.float64))
    assert_close(
        on_complex(lambda x: modrelu(x, bias), rotation * z), rotation * on_complex(lambda x: modrelu(x, bias), z)
    )


def test_modrelu_at_zero_is_zero_with_finite_gradients() -> None:
    x, bias = torch.zeros(2, 4, requires_grad=True), torch.ones(2, requires_grad=True)
    y = modrelu(x, bias)
    assert torch.equal(y, torch.zeros(2, 4))
    for grad in torch.autograd.grad(y.sum(), (x, bias)):
        assert torch.equal(grad, torch.zeros_like(grad))


# Pooling and dropout


def largest(z: Tensor) -> Tensor:
    """Of each row the number of the greatest magnitude."""
    return z.gather(-1, z.abs().argmax(-1, keepdim=True)).squeeze(-1)


@pytest.mark.parametrize(("kernel", "stride"), [(2, None), (3, 2), (2, 3)])
def test_magnitude_max_pool_selects_the_greatest_magnitude(kernel: int, stride: int | None) -> None:
    z = leaf(2, 3, 11)
    assert_same_map(
        lambda z: on_complex(lambda x: magnitude_max_pool(x, kernel, stride), z),
        lambda z: largest(z.unfold(2, kernel, stride or kernel)),
        z,
    )


def test_magnitude_max_pool_over_two_axes() -> None:
    z = leaf(2, 3, 7, 8)
    assert_same_map(
        lambda z: on_complex(lambda x: magnitude_max_pool(x, (3, 2), (2, 2)), z),
        lambda z: largest(z.unfold(2, 3, 2).unfold(3, 2, 2).flatten(-2)),
        z,
    )


def test_magnitude_max_pool_never_selects_the_padding() -> None:
    # Where all magnitudes are 0, no more than a zero in the padding has, an index outside would be out of range.
    assert torch.equal(magnitude_max_pool(torch.zeros(1, 2, 3), 2, 2, padding=1), torch.zeros(1, 2, 2))
    z = noise(2, 3, 5)
    expected = torch.stack([largest(part) for part in (z[..., :2], z[..., 1:4], z[..., 3:])], -1)
    assert_close(on_complex(lambda x: magnitude_max_pool(x, 3, 2, padding=1), z), expected)


@pytest.mark.parametrize("dim", [1, -1])
def test_dropout_masks_whole_numbers(dim: int) -> None:
    z = noise(20, 30, 20)
    y = on_complex(lambda x: complex_dropout(x, 0.25, dim=dim), z, dim)
    ratio = y / z
    kept = y != 0
    assert_close(ratio[kept], torch.full_like(ratio[kept], 1 / 0.75))
    # Five standard deviations of a mean of 12,000.
    assert kept.double().mean().item() == pytest.approx(0.75, abs=5 * math.sqrt(0.25 * 0.75 / kept.numel()))


def test_dropout_edge_cases() -> None:
    x = torch.randn(3, 4)
    assert complex_dropout(x, 0.5, training=False) is x
    assert complex_dropout(x, 0.0) is x
    assert torch.equal(complex_dropout(x, 1.0), torch.zeros(3, 4))


# Range of the number formats


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_magnitudes_over_the_whole_range_of_a_dtype(dtype: torch.dtype) -> None:
    # Squares of these overflow or vanish.
    limits = torch.finfo(dtype)
    numbers = torch.tensor([limits.max / 8, 300.0, 1.0, limits.tiny, 0.0], dtype=torch.float64)
    x = torch.cat([3 * numbers, 4 * numbers])[None].to(dtype).requires_grad_()
    length = magnitude(x)
    tolerance = {"rtol": 4 * limits.eps, "atol": 0.0}
    assert_close(length[0].double(), 5 * numbers.to(dtype).double(), **tolerance)
    (grad,) = torch.autograd.grad(length.sum(), x)
    phases = torch.tensor([0.6] * 4 + [0.0] + [0.8] * 4 + [0.0], dtype=torch.float64)[None]
    assert_close(grad.double(), phases, **tolerance)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("bias", [-0.5, 0.0, 0.5])
def test_modrelu_over_the_whole_range_of_a_dtype(dtype: torch.dtype, bias: float) -> None:
    limits = torch.finfo(dtype)
    numbers = torch.tensor([limits.max / 8, 300.0, 1.0, max(limits.tiny, 1e-17), 0.0], dtype=torch.float64)
    x = torch.cat([3 * numbers, 4 * numbers])[None].to(dtype).requires_grad_()
    biases = torch.full((5,), bias, dtype=dtype, requires_grad=True)
    radii = torch.where(numbers > 0, (5 * numbers + bias).relu(), 0.0)
    expected = torch.cat([0.6 * radii, 0.8 * radii]).to(dtype).double()
    for y in (modrelu(x, biases), radial(x, lambda length: F.relu(length + biases.to(length.dtype)))):
        assert y.dtype == dtype
        assert_close(y.double()[0], expected, rtol=4 * limits.eps, atol=0.0)
    # Down to the least numbers, derivatives are finite where the layer is flat.
    small = torch.cat([10.0 ** -torch.arange(0.0, 40, 2)] * 2)[None].to(dtype).requires_grad_()
    for function in (modrelu, lambda x, b: radial(x, lambda length: F.relu(length + b))):
        (grad,) = torch.autograd.grad(function(small, torch.tensor([min(bias, 0.0)])).float().sum(), small)
        assert grad.isfinite().all() and grad.abs().max() < 2

"""Options of convolutions and linear layers: padding modes, three axes, dtypes and devices, from real layers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.testing import assert_close

from audiocx.nn import (
    ComplexConv1d,
    ComplexConv2d,
    ComplexConv3d,
    ComplexConvTranspose1d,
    ComplexConvTranspose2d,
    ComplexConvTranspose3d,
    ComplexLinear,
    StandardizedComplexConv2d,
    StandardizedConv2d,
)
from audiocx.nn.functional import to_channels, to_complex

CONVS = {1: (ComplexConv1d, F.conv1d), 2: (ComplexConv2d, F.conv2d), 3: (ComplexConv3d, F.conv3d)}
SIZES = (7, 6, 5)


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


def kernel(layer: nn.Module) -> Tensor:
    return torch.complex(layer.weight_real, layer.weight_imag)


# Padding


@pytest.mark.parametrize("axes", CONVS)
@pytest.mark.parametrize(
    ("mode", "name"), [("zeros", "constant"), ("reflect", "reflect"), ("replicate", "edge"), ("circular", "wrap")]
)
@pytest.mark.parametrize("options", [{"padding": 2, "stride": 2, "groups": 2}, {"padding": "same", "dilation": 1}])
def test_padding_modes_are_those_of_numpy(axes: int, mode: Any, name: Any, options: dict) -> None:
    kind, conv = CONVS[axes]
    layer = kind(2, 4, 4, padding_mode=mode, dtype=torch.float64, bias=False, **options)
    z = torch.randn(2, 2, *SIZES[:axes], dtype=torch.complex128)
    pad = (1, 2) if options["padding"] == "same" else (2, 2)
    around = torch.from_numpy(np.pad(z.numpy(), [(0, 0), (0, 0), *[pad] * axes], mode=name))
    expected = conv(around, kernel(layer), stride=layer.stride, groups=layer.groups)
    assert_close(layer(z), expected)
    assert_close(to_complex(layer(to_channels(z))), expected)
    assert_close(layer(z[0]), expected[0])
    assert (f"padding_mode={mode}" in repr(layer)) == (mode != "zeros")


@pytest.mark.parametrize("mode", ["reflect", "replicate", "circular"])
def test_gradients_of_padding_modes_match_finite_differences(mode: Any) -> None:
    layer = ComplexConv1d(2, 2, 3, padding=2, padding_mode=mode, dtype=torch.float64)
    z = torch.randn(2, 2, 5, dtype=torch.complex128, requires_grad=True)
    assert torch.autograd.gradcheck(lambda *_: layer(z), (z, *layer.parameters()), fast_mode=True)


def test_circular_padding_makes_a_convolution_commute_with_rotations() -> None:
    layer = ComplexConv2d(2, 3, 3, padding="same", padding_mode="circular", dtype=torch.float64)
    z = torch.randn(1, 2, 6, 5, dtype=torch.complex128)
    assert_close(layer(z.roll((2, 3), (2, 3))), layer(z).roll((2, 3), (2, 3)))


def test_unknown_padding_modes_are_refused() -> None:
    with pytest.raises(ValueError, match="must be one of zeros, reflect, replicate, circular, not 'mirror'"):
        ComplexConv1d(2, 2, 3, padding_mode="mirror")  # type: ignore[arg-type]


# Three axes


@pytest.mark.parametrize(
    "options",
    [{"stride": (1, 2, 2)}, {"padding": (0, 1, 2), "dilation": (1, 2, 1)}, {"groups": 2}, {"padding": "same"}],
)
def test_three_axes(options: dict) -> None:
    layer = ComplexConv3d(4, 6, (1, 3, 2), dtype=torch.float64, **options)
    nn.init.normal_(layer.bias)
    z = torch.randn(2, 4, 3, 7, 6, dtype=torch.complex128, requires_grad=True)
    around = F.pad(z, (0, 1, 1, 1)) if options.get("padding") == "same" else z
    bias = to_complex(layer.bias, 0)
    passed = {name: value for name, value in options.items() if value != "same"}
    expected = F.conv3d(around, kernel(layer), bias, **passed)
    assert_close(layer(z), expected)
    assert_close(to_complex(layer(to_channels(z))), expected)
    assert torch.autograd.gradcheck(lambda *_: layer(z), (z, *layer.parameters()), fast_mode=True)
    with pytest.raises(ValueError, match=r"\[B, 4, D, H, W\].*not complex \[2, 3, 4, 4\]"):
        layer(torch.zeros(2, 3, 4, 4, dtype=torch.complex64))


# Dtype and device

MAKERS = {
    "conv": lambda **options: ComplexConv1d(8, 6, 3, **options),
    "transposed": lambda **options: ComplexConvTranspose2d(8, 6, 3, stride=2, groups=2, **options),
    "linear": lambda **options: ComplexLinear(8, 6, **options),
    "standardised": lambda **options: StandardizedComplexConv2d(8, 6, 3, **options),
}
every_maker = pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)


@every_maker
@pytest.mark.parametrize("scheme", ["unitary", "rayleigh"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
def test_start_weights_are_those_of_the_dtype(make: Any, scheme: str, dtype: torch.dtype) -> None:
    torch.manual_seed(1)
    layer = make(scheme=scheme, dtype=dtype)
    torch.manual_seed(1)
    usual = make(scheme=scheme)
    assert {value.dtype for value in layer.state_dict().values()} == {dtype}
    for value, single in zip(layer.parameters(), usual.parameters(), strict=True):
        if dtype != torch.float64:
            # Rounded once, but for the product with the stride's root.
            assert_close(value, single.to(dtype), rtol=2 * torch.finfo(dtype).eps, atol=1e-6)
        elif scheme == "unitary":
            assert_close(value.float(), single, rtol=1e-6, atol=0)
        if dtype == torch.float64 and value.count_nonzero():
            assert not torch.equal(value.float().double(), value)


def test_float64_start_weights_are_unitary_in_float64() -> None:
    weight = kernel(ComplexConv1d(4, 12, 2, dtype=torch.float64)).flatten(1)
    assert_close(weight.mH @ weight, torch.eye(8, dtype=torch.complex128) * 12 * 2 / 8, rtol=0, atol=1e-13)


def test_standardised_real_layers_of_half_precision_start_orthogonal() -> None:
    layer = StandardizedConv2d(2, 3, 2, dtype=torch.bfloat16)
    assert layer.gain.dtype == layer.weight.dtype == torch.bfloat16
    weight = layer.weight.float().flatten(1)
    assert_close(weight @ weight.T, 2 * torch.eye(3), rtol=0, atol=0.03)
    assert layer(torch.randn(1, 2, 4, 4, dtype=torch.bfloat16)).dtype == torch.bfloat16


@every_maker
def test_layers_made_on_the_meta_device_take_a_state(make: Any) -> None:
    layer, source = make(device="meta"), make()
    assert all(value.is_meta for value in layer.parameters())
    layer.load_state_dict(source.state_dict(), assign=True)
    z = torch.randn((2, 8) if isinstance(layer, ComplexLinear) else (8, 5) if layer.axes == 1 else (8, 5, 5)) + 0j
    assert_close(layer(z), source(z))


@every_maker
def test_complex_dtypes_are_refused(make: Any) -> None:
    with pytest.raises(ValueError, match=r"real parameters, for example torch.float32, not torch.complex64"):
        make(dtype=torch.complex64)


# From real layers

REAL = {
    "linear": (ComplexLinear, lambda: nn.Linear(4, 3, dtype=torch.float64), (2, 4)),
    "linear without bias": (ComplexLinear, lambda: nn.Linear(4, 3, bias=False, dtype=torch.float64), (2, 4)),
    "conv1d": (
        ComplexConv1d,
        lambda: nn.Conv1d(4, 6, 4, dilation=2, groups=2, padding="same", padding_mode="reflect", dtype=torch.float64),
        (2, 4, 9),
    ),
    "conv2d": (
        ComplexConv2d,
        lambda: nn.Conv2d(4, 3, (3, 2), (1, 2), (1, 0), bias=False, dtype=torch.float64),
        (2, 4, 5, 6),
    ),
    "conv3d": (
        ComplexConv3d,
        lambda: nn.Conv3d(4, 3, 2, padding=1, padding_mode="circular", dtype=torch.float64),
        (2, 4, 3, 4, 3),
    ),
    "transposed, one axis": (
        ComplexConvTranspose1d,
        lambda: nn.ConvTranspose1d(4, 6, 4, 2, 1, 1, 2, dilation=2, dtype=torch.float64),
        (2, 4, 5),
    ),
    "transposed, two axes": (
        ComplexConvTranspose2d,
        lambda: nn.ConvTranspose2d(4, 3, (2, 3), dtype=torch.float64),
        (2, 4, 3, 3),
    ),
    "transposed, three axes": (
        ComplexConvTranspose3d,
        lambda: nn.ConvTranspose3d(4, 3, 2, 2, bias=False, dtype=torch.float64),
        (2, 4, 2, 3, 2),
    ),
    "standardised": (
        StandardizedComplexConv2d,
        lambda: StandardizedConv2d(4, 3, 3, padding=1, dtype=torch.float64),
        (2, 4, 4, 5),
    ),
}


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")
@pytest.mark.parametrize(("kind", "make", "shape"), REAL.values(), ids=REAL)
def test_from_real_applies_the_real_layer_to_both_parts(kind: Any, make: Any, shape: tuple[int, ...]) -> None:
    real = make().eval()
    layer = kind.from_real(real)
    assert type(layer) is kind and not layer.training
    z = torch.randn(shape, dtype=torch.complex128)
    offset = real(torch.zeros_like(z.real))  # the bias
    assert_close(layer(z), torch.complex(real(z.real), real(z.imag) - offset))
    assert_close(layer(z.real + 0j).real, real(z.real))
    assert (layer.bias is None) == (real.bias is None)
    assert "weight_imag" in dict(layer.named_parameters())
    with torch.no_grad():
        real.weight.add_(1)  # the weights are copies
    assert_close(layer(z), layer(z.real + 0j) + 1j * (layer(z.imag + 0j) - offset))


def test_from_real_keeps_dtype_device_and_what_is_frozen() -> None:
    real = nn.Conv1d(2, 3, 3, dtype=torch.bfloat16)
    real.weight.requires_grad_(False)
    layer = ComplexConv1d.from_real(real)
    assert layer.weight_real.dtype == torch.bfloat16 and layer.training
    trained = {name: value.requires_grad for name, value in layer.named_parameters()}
    assert trained == {"weight_real": False, "weight_imag": False, "bias": True}
    assert ComplexLinear.from_real(nn.Linear(2, 3, device="meta")).weight_real.is_meta


def test_from_real_takes_weights_with_a_parametrization() -> None:
    real = nn.utils.parametrizations.weight_norm(nn.Linear(4, 3))
    z = torch.randn(2, 4) + 0j
    assert_close(ComplexLinear.from_real(real)(z).real, real(z.real))


@pytest.mark.parametrize(
    ("kind", "real", "message"),
    [
        (ComplexConv1d, nn.Conv2d(2, 3, 3), "ComplexConv1d.from_real takes torch's Conv1d, not Conv2d"),
        (ComplexConv2d, StandardizedConv2d(2, 3, 3), "takes torch's Conv2d, not StandardizedConv2d"),
        (StandardizedComplexConv2d, nn.Conv2d(2, 3, 3), "takes audiocx's StandardizedConv2d, not Conv2d"),
        (ComplexLinear, nn.LazyLinear(3), "run a lazy layer once before"),
        (ComplexLinear, nn.Linear(2, 3, dtype=torch.complex64), "of real weights"),
        (ComplexConvTranspose1d, nn.Conv1d(2, 3, 3), "ConvTranspose1d, not Conv1d"),
    ],
)
@pytest.mark.filterwarnings("ignore:Lazy modules")
def test_from_real_refuses_other_layers(kind: Any, real: nn.Module, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        kind.from_real(real)

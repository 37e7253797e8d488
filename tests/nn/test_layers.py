"""All layers: native complex tensors and real channels, gradients, argument checks."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.testing import assert_close

from audiocx.nn import (
    ComplexAvgPool,
    ComplexAvgPool1d,
    ComplexAvgPool2d,
    ComplexBatchNorm,
    ComplexConv1d,
    ComplexConv2d,
    ComplexConvLSTM,
    ComplexConvTranspose2d,
    ComplexDropout,
    ComplexLayerNorm,
    ComplexLinear,
    ComplexStateActivation,
    CReLU,
    MagnitudeMaxPool,
    MagnitudeMaxPool1d,
    MagnitudeMaxPool2d,
    ModReLU,
    StandardizedComplexConv2d,
    ZReLU,
    fold,
    fold_sequence,
)
from audiocx.nn.functional import to_channels, to_complex

ONE_AXIS, TWO_AXES, ROWS = (3, 4, 9), (2, 4, 5, 4), (3, 2, 4)


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


def general_norm(variant: str, training: bool) -> ComplexBatchNorm:
    """A normalisation with nothing at its default: gamma, beta and the running statistics are all of general form."""
    norm = ComplexBatchNorm(4, variant=variant)  # type: ignore[arg-type]
    with torch.no_grad():
        norm.gamma.normal_()
        norm.beta.normal_()
        norm.running_mean.normal_()
        norm.running_cov[:2].uniform_(1, 2)
        norm.running_cov[2].uniform_(-1, 1)
    return norm.train(training)


def biased_modrelu() -> ModReLU:
    layer = ModReLU(4)
    nn.init.constant_(layer.bias, -0.4)
    return layer


# Each with the shape of a complex input and its channel axis.
LAYERS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...], int]] = {
    "conv1d": (lambda: ComplexConv1d(4, 3, 3, stride=2, padding="same"), ONE_AXIS, 1),
    "conv1d without bias": (lambda: ComplexConv1d(4, 3, 3, bias=False), ONE_AXIS, 1),
    "conv1d grouped": (lambda: ComplexConv1d(4, 6, 3, dilation=2, groups=2), ONE_AXIS, 1),
    "conv2d": (lambda: ComplexConv2d(4, 3, (3, 2), stride=(1, 2), padding=(1, 0)), TWO_AXES, 1),
    "linear": (lambda: ComplexLinear(4, 3), ROWS, -1),
    "whitening, training": (lambda: general_norm("whitening", True), ONE_AXIS, 1),
    "whitening, evaluation": (lambda: general_norm("whitening", False), TWO_AXES, 1),
    "naive, training": (lambda: general_norm("naive", True), TWO_AXES, 1),
    "naive, evaluation": (lambda: general_norm("naive", False), ONE_AXIS, 1),
    "norm of vectors": (lambda: general_norm("whitening", True), (6, 4), 1),
    "crelu": (CReLU, ONE_AXIS, 1),
    "zrelu": (ZReLU, TWO_AXES, 1),
    "modrelu": (biased_modrelu, ONE_AXIS, 1),
    "average pool over one axis": (lambda: ComplexAvgPool1d(3, 2), ONE_AXIS, 1),
    "average pool over two axes": (lambda: ComplexAvgPool2d((1, 2)), TWO_AXES, 1),
    "magnitude pool over one axis": (lambda: MagnitudeMaxPool1d(3, 2), ONE_AXIS, 1),
    "magnitude pool over two axes": (lambda: MagnitudeMaxPool2d((1, 2)), TWO_AXES, 1),
    "dropout": (lambda: ComplexDropout(0.5), ONE_AXIS, 1),
}
every_layer = pytest.mark.parametrize(("make", "shape", "dim"), LAYERS.values(), ids=LAYERS)


@every_layer
def test_native_complex_in_native_complex_out(make: Callable[[], nn.Module], shape: tuple[int, ...], dim: int) -> None:
    layer = make().double()
    z = torch.randn(shape, dtype=torch.complex128, requires_grad=True)
    leaves = (z, *layer.parameters())

    def run(function: Callable[[], Tensor]) -> tuple[Tensor, tuple[Tensor, ...]]:
        torch.manual_seed(1)  # one mask of dropout for both
        y = function()
        return y, torch.autograd.grad((y.abs() ** 2).sum() + y.real.sum(), leaves)

    direct, direct_grads = run(lambda: layer(z))
    around, around_grads = run(lambda: to_complex(layer(to_channels(z, dim)), dim))
    assert direct.dtype == torch.complex128
    assert_close(direct, around)
    assert_close(direct_grads, around_grads)


@every_layer
def test_gradients_match_finite_differences(make: Callable[[], nn.Module], shape: tuple[int, ...], dim: int) -> None:
    layer = make().double()
    x = to_channels(torch.randn(shape, dtype=torch.complex128), dim)
    # Away from the kinks of the activations at 0, by far more than gradcheck's step.
    x = (x.sign() * (0.05 + x.abs())).requires_grad_()
    if isinstance(layer, ModReLU):
        assert ((to_complex(x).abs() - 0.4).abs() > 1e-3).all()

    def function(*_: Tensor) -> Tensor:
        torch.manual_seed(1)
        return layer(x)

    assert torch.autograd.gradcheck(function, (x, *layer.parameters()), fast_mode=True)


@every_layer
def test_parameters_and_buffers_are_real(make: Callable[[], nn.Module], shape: tuple[int, ...], dim: int) -> None:
    assert all(value.is_floating_point() for value in make().state_dict().values())


def test_layers_print_their_sizes() -> None:
    shown = "ComplexConv1d(4, 6, kernel_size=(3,), stride=(2,), padding=(1,), dilation=(1,), groups=2, bias=True)"
    assert repr(ComplexConv1d(4, 6, 3, stride=2, padding="same", groups=2)) == shown
    assert repr(ComplexLinear(4, 3, bias=False)) == "ComplexLinear(in_features=4, out_features=3, bias=False)"
    assert repr(ModReLU(4)) == "ModReLU(4)" and repr(ComplexStateActivation("hirose", 4)).endswith("('hirose', 4)")
    assert repr(ComplexBatchNorm(4, momentum=None)).endswith(
        "momentum=None, variant='whitening', affine=True, track_running_stats=True)"
    )
    assert repr(ComplexBatchNorm(4)).startswith("ComplexBatchNorm(4, eps=0.0001, momentum=0.1, ")


# Convolutions


@pytest.mark.parametrize(
    ("options", "length"),
    [
        ({}, 7),
        ({"padding": "valid"}, 7),
        ({"padding": "same"}, 9),
        ({"padding": "same", "dilation": 2}, 9),
        ({"padding": "same", "stride": 2}, 5),
        ({"padding": 2}, 11),
        ({"padding": (1,), "stride": (4,)}, 3),
    ],
)
def test_conv1d_padding_as_in_torch(options: dict, length: int) -> None:
    layer = ComplexConv1d(4, 3, 3, **options).double()
    z = torch.randn(ONE_AXIS, dtype=torch.complex128)
    assert layer(z).shape == (3, 3, length)
    kernel = torch.complex(layer.weight_real, layer.weight_imag)
    if options.get("stride", 1) == 1:  # PyTorch has no strided "same"
        assert_close(layer(z), F.conv1d(z, kernel, **options))
    elif options["padding"] == "same":
        assert_close(layer(z), F.conv1d(z, kernel, padding="same")[..., ::2])


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")
@pytest.mark.parametrize("size", [(3, 5), (2, 5), (4, 2), (2, 1)])
@pytest.mark.parametrize("dilation", [(2, 1), (3, 3)])
def test_conv2d_same_keeps_both_axes(size: tuple[int, int], dilation: tuple[int, int]) -> None:
    layer = ComplexConv2d(4, 3, size, padding="same", dilation=dilation).double()
    z = torch.randn(2, 4, 6, 7, dtype=torch.complex128)
    kernel = torch.complex(layer.weight_real, layer.weight_imag)
    expected = F.conv2d(z, kernel, padding="same", dilation=dilation)
    assert_close(layer(z), expected)
    assert_close(layer(z[0]), expected[0])
    folded = fold(layer.eval())
    assert_close(to_complex(folded(to_channels(z))), expected)


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")
def test_same_with_an_even_kernel_and_a_stride() -> None:
    layer = ComplexConv1d(2, 3, 4, stride=2, padding="same", groups=1).double()
    z = torch.randn(2, 2, 9, dtype=torch.complex128)
    kernel = torch.complex(layer.weight_real, layer.weight_imag)
    assert_close(layer(z), F.conv1d(z, kernel, padding="same")[..., ::2])
    assert "padding='same'" in repr(layer)
    with pytest.raises(ValueError, match="even kernel"):
        fold(layer.eval())
    assert fold_sequence([layer]) == [layer]


def test_convolution_commutes_with_shifts() -> None:
    layer = ComplexConv1d(2, 3, 3, padding=2)
    z = torch.zeros(1, 2, 12, dtype=torch.complex64)
    z[..., 3:6] = torch.randn(1, 2, 3, dtype=torch.complex64)
    assert_close(layer(z.roll(4, -1)), layer(z).roll(4, -1))


def test_linear_and_convolution_are_complex_linear() -> None:
    # A phase passes through them, as it would not through a general real map of the channels.
    rotation = complex(math.cos(0.9), math.sin(0.9))
    for layer, shape in [(ComplexLinear(4, 3, bias=False), ROWS), (ComplexConv1d(4, 3, 3, bias=False), ONE_AXIS)]:
        z = torch.randn(shape, dtype=torch.complex64)
        assert_close(layer(rotation * z), rotation * layer(z))


@pytest.mark.parametrize("groups", [0, -1, 3])
def test_groups_that_do_not_divide_are_refused(groups: int) -> None:
    with pytest.raises(ValueError, match=f"groups={groups} must divide"):
        ComplexConv1d(4, 6, 3, groups=groups)


def test_groups_must_divide_the_outputs_too() -> None:
    with pytest.raises(ValueError, match="out_channels=5"):
        ComplexConv2d(4, 5, 3, groups=2)


@pytest.mark.parametrize("name", ["kernel_size", "stride", "padding", "dilation"])
def test_sizes_of_the_wrong_number_of_axes_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"ComplexConv2d takes one number or 2, not \(1, 1, 1\)"):
        ComplexConv2d(4, 4, **{"kernel_size": 3, name: (1, 1, 1)})
    with pytest.raises(ValueError, match="ComplexConv1d takes one number or 1"):
        ComplexConv1d(4, 4, **{"kernel_size": 3, name: (1, 1)})


@pytest.mark.parametrize("sizes", [(0, 3), (3, 0)])
def test_a_linear_layer_may_be_empty_as_in_torch(sizes: tuple[int, int]) -> None:
    layer = ComplexLinear(*sizes)
    y = layer(torch.ones(2, sizes[0], dtype=torch.complex64))
    assert_close(y, torch.zeros(2, sizes[1], dtype=torch.complex64))
    y.abs().sum().backward()


def test_sizes_may_be_integers_of_numpy() -> None:
    size = np.int64(2)
    for kind in (ComplexConv2d, ComplexConvTranspose2d):
        assert kind(1, 1, size, size).kernel_size == (2, 2)
    for pool in (ComplexAvgPool, MagnitudeMaxPool):
        assert pool(size)(torch.zeros(1, 2, 4, 4)).shape == (1, 2, 2, 2)
    assert ComplexLayerNorm(size)(torch.zeros(1, 4)).shape == (1, 4)
    assert ComplexConvLSTM(1, 1, np.int64(3))(torch.zeros(1, 2, 2, 4))[0].shape == (1, 2, 2, 4)


def test_unknown_names_are_refused() -> None:
    with pytest.raises(ValueError, match="must be a number, 'same' or 'valid', not 'full'"):
        ComplexConv1d(4, 4, 3, padding="full")
    with pytest.raises(ValueError, match="scheme"):
        ComplexConv1d(4, 4, 3, scheme="fourier")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="criterion"):
        ComplexLinear(4, 4, criterion="lecun")  # type: ignore[arg-type]


@pytest.mark.parametrize("p", [-0.1, 1.1])
def test_dropout_is_a_probability(p: float) -> None:
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        ComplexDropout(p)


def test_dropout_is_the_identity_in_evaluation() -> None:
    x = torch.randn(3, 4)
    layer = ComplexDropout(0.5)
    assert layer.eval()(x) is x
    assert not torch.equal(layer.train()(x), x)


# Pooling


@pytest.mark.parametrize(("pool", "shape"), [(ComplexAvgPool1d, TWO_AXES), (ComplexAvgPool2d, ONE_AXIS)])
def test_pools_refuse_another_number_of_axes(pool: type, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=f"{pool.__name__} takes .* with or without B, not real"):
        pool(2)(torch.randn(shape))


@pytest.mark.parametrize(
    ("old", "pools"),
    [
        (ComplexAvgPool, (ComplexAvgPool1d, ComplexAvgPool2d)),
        (MagnitudeMaxPool, (MagnitudeMaxPool1d, MagnitudeMaxPool2d)),
    ],
)
def test_old_pools_take_one_or_two_axes(old: type, pools: tuple[type, type]) -> None:
    for pool, shape in zip(pools, (ONE_AXIS, TWO_AXES), strict=True):
        x = torch.randn(shape)
        assert torch.equal(old(2)(x), pool(2)(x))


@pytest.mark.parametrize("old", [ComplexAvgPool, MagnitudeMaxPool])
def test_old_pools_tell_unbatched_planes_by_their_sizes(old: type) -> None:
    z = torch.randn(4, 5, 6, dtype=torch.complex64)
    assert torch.equal(old((2, 2))(z), old((2, 2))(z[None])[0])
    assert torch.equal(old(2)(z[0]), old(2)(z[:1])[0])  # [C, L]
    assert old(2)(z).shape == (4, 5, 3)  # [B, C, L]


# Inputs without batch, and inputs that do not fit


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (ComplexConv1d(4, 6, 3, padding=1, stride=2, groups=2), (4, 4)),
        (ComplexConv1d(4, 3, 2, stride=2, bias=False), (4, 9)),
        (ComplexConv2d(4, 3, (3, 2)), (4, 5, 4)),
        (ComplexConv2d(4, 4, 1, groups=4), (4, 4, 4)),
        (StandardizedComplexConv2d(4, 3, 3), (4, 5, 4)),
        (ComplexAvgPool1d(2), (4, 8)),
        (ComplexAvgPool2d(2), (4, 8, 8)),
        (MagnitudeMaxPool1d(2, 1), (4, 4)),
        (MagnitudeMaxPool2d((2, 1)), (4, 5, 6)),
        (ComplexLinear(4, 3), (4,)),
        (CReLU(), (4,)),
        (ZReLU(), (4,)),
        (ComplexDropout(0.0), (4,)),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else None,
)
def test_an_input_without_batch_is_a_batch_of_one(layer: nn.Module, shape: tuple[int, ...]) -> None:
    z = torch.randn(shape, dtype=torch.complex64)
    expected = layer(z[None])[0]
    assert_close(layer(z), expected)
    channels = -1 if isinstance(layer, ComplexLinear) else 0
    assert_close(to_complex(layer(to_channels(z, channels)), channels), expected)


@pytest.mark.parametrize(
    ("layer", "shape", "message"),
    [
        (
            ComplexConv1d(3, 6, 3),
            (2, 4, 9),
            r"complex tensor \[B, 3, L\], or real channels \[B, 6, L\].*complex \[2, 4, 9\]",
        ),
        (ComplexConv1d(3, 6, 3), (3, 4, 9, 1), "ComplexConv1d takes"),
        (ComplexConv2d(3, 6, 3), (4, 9), r"\[B, 3, H, W\].*not complex \[4, 9\]"),
        (ComplexLinear(3, 6), (2, 4), r"\[\*, 3\] or real channels \[\*, 6\], not complex \[2, 4\]"),
        (ComplexBatchNorm(3), (2, 4, 5), r"\[B, 3, \*\] or real channels \[B, 6, \*\], not complex \[2, 4, 5\]"),
        (ComplexBatchNorm(3), (3,), "ComplexBatchNorm takes"),
        (ModReLU(3), (3, 5), "ModReLU takes"),  # [C, L] would take its biases along L
        (ModReLU(1), (3, 5), "ModReLU takes"),
    ],
)
def test_inputs_that_do_not_fit_are_refused_by_their_shapes(
    layer: nn.Module, shape: tuple[int, ...], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        layer(torch.randn(shape, dtype=torch.complex64))
    with pytest.raises(ValueError, match="not real"):
        layer(torch.randn(shape))


# Folding


def test_folding_a_chain_leaves_it_as_it_was() -> None:
    chain = [ComplexConv2d(2, 4, 1), general_norm("whitening", False), CReLU(), ComplexConv2d(4, 4, 1, groups=2)]
    chain += [general_norm("naive", False), nn.Conv2d(8, 4, 1), nn.BatchNorm2d(4), ComplexConv2d(2, 3, 1)]
    layers = nn.Sequential(*chain).eval()
    before = {name: value.clone() for name, value in layers.state_dict().items()}
    light = fold_sequence(list(layers))
    # The grouped convolution and the normalisation behind it stay.
    assert [type(layer) for layer in light] == [
        nn.Conv2d, CReLU, ComplexConv2d, ComplexBatchNorm, nn.Conv2d, nn.Conv2d,
    ]  # fmt: skip
    x = torch.randn(2, 4, 3, 5)
    assert_close(nn.Sequential(*light)(x), layers(x))
    assert_close(layers.state_dict(), before, rtol=0, atol=0)


# Lower precision and compilation


def block() -> nn.Sequential:
    return nn.Sequential(
        ComplexConv1d(2, 4, 3, padding="same"),
        ComplexBatchNorm(4),
        CReLU(),
        ComplexConv1d(4, 4, 3),
        ModReLU(4),
        ComplexAvgPool1d(2),
        nn.Flatten(),
        ComplexLinear(16, 3),
    )


def test_bfloat16_autocast_keeps_statistics_in_float32() -> None:
    layers = block()
    reference = copy.deepcopy(layers)
    x = 3 + torch.randn(64, 4, 10)
    exact = reference(x)
    with torch.autocast("cpu", torch.bfloat16):
        y = layers(x)
    assert y.dtype == torch.bfloat16
    # bfloat16 has 8 bits.
    assert_close(y.float(), exact, rtol=0.05, atol=0.05 * exact.abs().max().item())
    # Of the same type, too: assert_close compares it.
    assert_close(dict(layers[1].named_buffers()), dict(reference[1].named_buffers()), rtol=0.02, atol=0.01)
    y.float().sum().backward()
    assert all(p.grad is not None and p.grad.dtype == torch.float32 for p in layers.parameters())


@every_layer
@pytest.mark.parametrize("lower", [torch.bfloat16, torch.float16])
def test_complex_input_under_autocast(
    make: Callable[[], nn.Module], shape: tuple[int, ...], dim: int, lower: torch.dtype
) -> None:
    layer, z = make(), torch.randn(shape, dtype=torch.complex64, requires_grad=True)
    torch.manual_seed(1)
    exact = layer(z)
    torch.manual_seed(1)
    with torch.autocast("cpu", lower):
        y = layer(z)
    assert y.dtype == torch.complex64
    assert_close(y, exact, rtol=0.05, atol=0.05 * exact.abs().max().item())
    y.abs().sum().backward()
    assert z.grad is not None and z.grad.isfinite().all()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # PyTorch's compiler uses what PyTorch deprecates
@pytest.mark.parametrize("backend", ["aot_eager", "inductor"])
def test_a_block_compiles_to_one_graph(backend: str) -> None:
    layers = block()
    reference = copy.deepcopy(layers)
    compiled = torch.compile(reference, fullgraph=True, backend=backend)
    x, direction = torch.randn(8, 4, 10), torch.randn(8, 6)
    for _ in range(2):
        outputs = [module(x) for module in (layers, compiled)]
        for y in outputs:
            y.backward(direction)
        assert_close(outputs[1], outputs[0], rtol=1e-4, atol=1e-4)
    assert_close(dict(reference.named_buffers()), dict(layers.named_buffers()), rtol=1e-4, atol=1e-4)
    for ours, theirs in zip(layers.parameters(), reference.parameters(), strict=True):
        assert_close(theirs.grad, ours.grad, rtol=1e-3, atol=1e-3)
    assert_close(compiled.eval()(x), layers.eval()(x), rtol=1e-4, atol=1e-4)

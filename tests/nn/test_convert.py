"""Networks of complextorch and torchcvnn, converted: the same results, or a clear refusal."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from audiocx.nn import (
    ComplexAffine,
    ComplexBatchNorm,
    ComplexConv1d,
    ComplexConvTranspose2d,
    ComplexDropout,
    ComplexLinear,
    CReLU,
    from_complextorch,
    from_torchcvnn,
)
from audiocx.nn.functional import to_channels, to_complex

CONVERTERS: dict[str, Callable[..., nn.Module]] = {"complextorch": from_complextorch, "torchcvnn": from_torchcvnn}


def library(name: str) -> ModuleType:
    return pytest.importorskip(f"{name}.nn")


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


def trained(network: nn.Module) -> nn.Module:
    """The network as after training: no parameter and no statistic is at its start."""
    for parameter in network.parameters():
        nn.init.normal_(parameter)
    for name, buffer in network.named_buffers():
        if name.endswith("running_mean"):
            buffer.normal_()
        if name.endswith("running_var"):
            axes = (0, 1) if buffer.shape[0] == 2 else (1, 2)  # C, the other axis, is not 2 here
            variances = buffer.movedim(axes, (0, 1))
            variances[0, 0], variances[1, 1] = 1.5, 0.7
            variances[0, 1] = variances[1, 0] = 0.4
    return network.double() if not any(p.is_complex() for p in network.parameters()) else network


def in_double(network: nn.Module) -> nn.Module:
    """``double()`` leaves complex parameters as they are."""
    return network._apply(
        lambda value: (
            value.to(torch.complex128 if value.is_complex() else torch.float64)
            if value.is_complex() or value.is_floating_point()
            else value
        )
    )


def numbers(*shape: int) -> Tensor:
    z = torch.randn(shape, dtype=torch.complex128)
    return z + 0.3 * z.conj() + 0.1


def assert_same(theirs: nn.Module, ours: nn.Module, z: Tensor, axis: int = 1, training: bool = True) -> None:
    """In evaluation and in training, both forms, and again in evaluation: by the statistics that training has left."""
    for mode in (False, True, False) if training else (False,):
        expected = theirs.train(mode)(z.clone())
        assert_close(ours.train(mode)(z), expected)
        if not mode:
            assert_close(to_complex(ours(to_channels(z, axis)), axis), expected)


LINE, PLANE, VOLUME, ROWS = (5, 3, 8), (4, 3, 6, 8), (2, 3, 4, 5, 4), (5, 4, 3)
SHARED: dict[str, tuple[Callable[[Any], nn.Module], tuple[int, ...], int]] = {
    "conv1d": (lambda t: t.Conv1d(3, 4, 3, stride=2, padding=1), LINE, 1),
    "conv1d circular": (lambda t: t.Conv1d(3, 4, 3, padding=1, padding_mode="circular"), LINE, 1),
    "conv2d": (lambda t: t.Conv2d(3, 6, (3, 2), dilation=2, groups=3, bias=False), PLANE, 1),
    "conv3d": (lambda t: t.Conv3d(3, 4, 2), VOLUME, 1),
    "transposed 1d": (lambda t: t.ConvTranspose1d(3, 4, 3, stride=2, output_padding=1), LINE, 1),
    "transposed 3d": (lambda t: t.ConvTranspose3d(3, 4, 2), VOLUME, 1),
    "linear": (lambda t: t.Linear(3, 4), ROWS, -1),
}
# torchcvnn takes these layers from torch.nn, of complex dtype.
NATIVE = SimpleNamespace(
    **{
        name: partial(getattr(nn, name), dtype=torch.complex64)
        for name in ("Conv1d", "Conv2d", "Conv3d", "ConvTranspose1d", "ConvTranspose3d", "Linear")
    }
)


@pytest.mark.parametrize("name", CONVERTERS)
@pytest.mark.parametrize(("make", "shape", "axis"), SHARED.values(), ids=SHARED)
def test_layers_with_complex_weights(name: str, make: Callable[[Any], nn.Module], shape: tuple, axis: int) -> None:
    theirs = in_double(trained(make(library(name) if name == "complextorch" else NATIVE)))
    ours = CONVERTERS[name](theirs)
    assert all(value.dtype == torch.float64 for value in ours.state_dict().values())
    assert_same(theirs, ours, numbers(*shape), axis)


OTHERS: list[tuple[str, Callable[[Any], nn.Module], tuple[int, ...], int]] = [
    ("complextorch", lambda t: t.AdaptiveAvgPool2d((3, 2)), PLANE, 1),
    ("complextorch", lambda t: t.AvgPool1d(2, padding=1, count_include_pad=False), LINE, 1),
    ("complextorch", lambda t: t.AvgPool3d(2), VOLUME, 1),
    ("complextorch", lambda t: t.BatchNorm1d(3), LINE, 1),
    ("complextorch", lambda t: t.BatchNorm2d(3, affine=False, momentum=None), PLANE, 1),
    ("complextorch", lambda t: t.BatchNorm3d(3, track_running_stats=False), VOLUME, 1),
    ("complextorch", lambda t: t.CVCardiod(), LINE, 1),
    ("complextorch", lambda t: t.CVPolarTanh(), LINE, 1),
    ("complextorch", lambda t: t.CGELU(), LINE, 1),
    ("complextorch", lambda t: t.CReLU(inplace=False), LINE, 1),
    ("complextorch", lambda t: t.CSigmoid(), LINE, 1),
    ("complextorch", lambda t: t.CTanh(), LINE, 1),
    ("complextorch", lambda t: t.GroupNorm(3, 3), PLANE, 1),
    ("complextorch", lambda t: t.GroupNorm(1, 3, affine=False), PLANE, 1),
    ("complextorch", lambda t: t.LayerNorm(3), ROWS, -1),
    ("complextorch", lambda t: t.LayerNorm(3, elementwise_affine=False), ROWS, -1),
    ("complextorch", lambda t: t.MagMaxPool1d(3, 2, 1), LINE, 1),
    ("complextorch", lambda t: t.MagMaxPool2d((2, 3), ceil_mode=True), PLANE, 1),
    ("complextorch", lambda t: t.RMSNorm(3), ROWS, -1),
    ("complextorch", lambda t: t.RMSNorm(3, elementwise_affine=False), ROWS, -1),
    ("complextorch", lambda t: t.Upsample(scale_factor=2, mode="linear"), LINE, 1),
    ("complextorch", lambda t: t.zReLU(), LINE, 1),
    ("torchcvnn", lambda t: t.AdaptiveAvgPool2d(3), PLANE, 1),
    ("torchcvnn", lambda t: t.AvgPool2d(2, 2, 0), PLANE, 1),
    ("torchcvnn", lambda t: t.CGELU(), LINE, 1),
    ("torchcvnn", lambda t: t.CReLU(), LINE, 1),
    ("torchcvnn", lambda t: t.Cardioid(), LINE, 1),
    ("torchcvnn", lambda t: t.ConvTranspose2d(3, 4, 3, stride=2, padding=1, dtype=torch.float64), PLANE, 1),
    ("torchcvnn", lambda t: t.Upsample(scale_factor=2), PLANE, 1),
    ("torchcvnn", lambda t: t.zReLU(), LINE, 1),
]


@pytest.mark.parametrize(("name", "make", "shape", "axis"), OTHERS)
def test_other_layers(name: str, make: Callable[[Any], nn.Module], shape: tuple[int, ...], axis: int) -> None:
    theirs = in_double(trained(make(library(name))))
    assert_same(theirs, CONVERTERS[name](theirs), numbers(*shape), axis)


def test_batch_norm_of_torchcvnn_divides_by_one_less_in_training() -> None:
    theirs = trained(library("torchcvnn").BatchNorm1d(3))
    ours, z = from_torchcvnn(theirs), numbers(50, 3, 40).to(torch.complex64)
    assert_same(theirs, ours, z, training=False)
    theirs.train(), ours.train()
    assert_close(ours(z), theirs(z), rtol=2e-3, atol=2e-3)


@pytest.mark.parametrize("name", CONVERTERS)
def test_parametrised_activations_take_their_channels_from_the_layer_before(name: str) -> None:
    t = library(name)
    conv = t.Conv1d(3, 4, 3) if name == "complextorch" else nn.Conv1d(3, 4, 3, dtype=torch.complex64)
    theirs = nn.Sequential(conv, t.CPReLU(), t.modReLU())
    if name == "complextorch":
        theirs.append(t.AdaptiveModReLU(4))
    theirs = in_double(trained(theirs))
    assert_same(theirs, CONVERTERS[name](theirs), numbers(*LINE))
    with pytest.raises(ValueError, match=r"modReLU, needs a convolution or linear layer before it"):
        CONVERTERS[name](t.modReLU())


@pytest.mark.parametrize("name", CONVERTERS)
def test_dropout_keeps_its_probability(name: str) -> None:
    ours = CONVERTERS[name](library(name).Dropout(0.3))
    assert isinstance(ours, ComplexDropout) and ours.p == 0.3 and ours.training


class Network(nn.Module):
    """A network of one's own, with a real layer behind the complex ones."""

    def __init__(self, t: Any) -> None:
        super().__init__()
        self.complex = nn.Sequential(t.Conv1d(3, 4, 3), t.BatchNorm1d(4), t.zReLU(), nn.Sequential(t.MagMaxPool1d(2)))
        self.real = nn.Linear(12, 2)

    def forward(self, z: Tensor) -> Tensor:
        return self.real(self.complex(z).abs().flatten(1))


def test_a_network_of_ones_own_is_copied() -> None:
    theirs = in_double(trained(Network(library("complextorch")))).eval()
    theirs.complex[0].requires_grad_(False)
    before, z = {name: value.clone() for name, value in theirs.state_dict().items()}, numbers(*LINE)
    ours: Any = from_complextorch(theirs)
    assert isinstance(ours, Network) and not ours.training
    assert_close(ours(z), theirs(z))
    assert [type(layer) for layer in ours.complex[1]] == [ComplexBatchNorm, ComplexAffine]
    assert not any(weight.requires_grad for weight in ours.complex[0].parameters())
    with torch.no_grad():
        for weight in ours.parameters():
            weight.zero_()
    assert_close(theirs.state_dict(), before)


def test_layers_without_counterpart_are_named() -> None:
    t = library("complextorch")
    with pytest.raises(ValueError, match=r"0\.1, complextorch\.nn\.CVSigmoid, has no counterpart in audiocx\.nn; rep"):
        from_complextorch(nn.Sequential(nn.Sequential(t.Conv1d(3, 4, 3), t.CVSigmoid())))
    with pytest.raises(ValueError, match=r"^The network, complextorch\.nn\.AvgPool2d, has settings that"):
        from_complextorch(t.AvgPool2d(2, divisor_override=3))


# State dicts of both libraries, as they were recorded: names and shapes.
RECORDED: dict[str, dict[str, tuple[torch.dtype, tuple[int, ...]]]] = {
    "complextorch": {
        "0.conv.weight": (torch.complex64, (4, 3, 3)),
        "0.conv.bias": (torch.complex64, (4,)),
        "1.weight": (torch.float32, (2, 2, 4)),
        "1.bias": (torch.float32, (2, 4)),
        "1.running_mean": (torch.float32, (2, 4)),
        "1.running_var": (torch.float32, (2, 2, 4)),
        "1.num_batches_tracked": (torch.int64, ()),
        "3.linear.weight": (torch.complex64, (2, 6)),
        "3.linear.bias": (torch.complex64, (2,)),
    },
    "torchcvnn": {
        "0.weight": (torch.complex64, (4, 3, 3)),
        "0.bias": (torch.complex64, (4,)),
        "1.weight": (torch.float32, (4, 2, 2)),
        "1.bias": (torch.complex64, (4,)),
        "1.running_mean": (torch.complex64, (4,)),
        "1.running_var": (torch.float32, (4, 2, 2)),
        "1.num_batches_tracked": (torch.int64, ()),
        "3.weight": (torch.complex64, (2, 6)),
        "3.bias": (torch.complex64, (2,)),
    },
}


def recorded(name: str) -> dict[str, Tensor]:
    state = {
        entry: torch.randn(shape, dtype=dtype) if dtype != torch.int64 else torch.tensor(3)
        for entry, (dtype, shape) in RECORDED[name].items()
    }
    matrices = state["1.running_var"] if name == "complextorch" else state["1.running_var"].permute(1, 2, 0)
    matrices[0, 0], matrices[1, 1] = 2.0, 1.0
    matrices[0, 1] = matrices[1, 0] = 0.5
    return state


def network_of_ours() -> nn.Sequential:
    layers = (ComplexConv1d(3, 4, 3), ComplexBatchNorm(4, eps=1e-5), CReLU(), ComplexLinear(6, 2))
    return nn.Sequential(*layers).eval()


@pytest.mark.parametrize("name", CONVERTERS)
def test_recorded_state_dicts(name: str) -> None:
    """Against the formulas, without the libraries."""
    state, into, z = recorded(name), network_of_ours(), torch.randn(*LINE, dtype=torch.complex64)
    before = {key: value.clone() for key, value in into.state_dict().items()}
    ours = CONVERTERS[name](state, into)
    assert_close(into.state_dict(), before)
    weights = [state[f"{key}.weight"] for key in (("0.conv", "3.linear") if name == "complextorch" else ("0", "3"))]
    biases = [state[f"{key}.bias"] for key in (("0.conv", "3.linear") if name == "complextorch" else ("0", "3"))]
    y = torch.nn.functional.conv1d(z, weights[0], biases[0])
    if name == "complextorch":
        mean, beta = torch.complex(*state["1.running_mean"]), torch.complex(*state["1.bias"])
        cov, gamma = state["1.running_var"].permute(2, 0, 1), state["1.weight"].permute(2, 0, 1)
    else:
        mean, beta, gamma = state["1.running_mean"], state["1.bias"], state["1.weight"]
        cov = state["1.running_var"] + 1e-5 * torch.eye(2)
    values, vectors = torch.linalg.eigh(cov)
    matrix = gamma @ vectors @ torch.diag_embed(values.rsqrt()) @ vectors.mT
    parts = torch.view_as_real(y - mean[:, None])
    y = torch.view_as_complex(torch.einsum("cij,bclj->bcli", matrix, parts).contiguous()) + beta[:, None]
    y = torch.complex(y.real.relu(), y.imag.relu()) @ weights[1].mT + biases[1]
    assert_close(ours(z), y, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", CONVERTERS)
def test_the_recorded_layouts_are_those_of_the_library(name: str) -> None:
    t = library(name)
    native = t if name == "complextorch" else NATIVE
    theirs = nn.Sequential(native.Conv1d(3, 4, 3), t.BatchNorm1d(4), t.CReLU(), native.Linear(6, 2))
    assert {key: (value.dtype, (*value.shape,)) for key, value in theirs.state_dict().items()} == RECORDED[name]
    from_modules, from_state = CONVERTERS[name](theirs), CONVERTERS[name](theirs.state_dict(), network_of_ours())
    assert_close(from_state.state_dict(), from_modules.state_dict())


def test_transposed_convolutions_of_torchcvnn_from_a_state_dict() -> None:
    state = {f"{part}.{name}": torch.randn(*shape) for part in ("m_real", "m_imag") for name, shape in (
        ("weight", (3, 2, 2, 2)), ("bias", (2,)))}  # fmt: skip
    z = torch.randn(1, 3, 4, 5, dtype=torch.complex64)
    real, imag = (
        lambda x, part=part: torch.nn.functional.conv_transpose2d(x, state[f"{part}.weight"], state[f"{part}.bias"])
        for part in ("m_real", "m_imag")
    )
    expected = torch.complex(real(z.real) - imag(z.imag), real(z.imag) + imag(z.real))
    assert_close(from_torchcvnn(state, ComplexConvTranspose2d(3, 2, 2))(z), expected, rtol=1e-4, atol=1e-4)


def test_state_dicts_that_do_not_fit_are_refused() -> None:
    state = recorded("complextorch")
    with pytest.raises(ValueError, match="give a network of audiocx of that structure, too"):
        from_complextorch(state)
    with pytest.raises(ValueError, match=re.escape("no place for '4.weight'")):
        from_complextorch(state | {"4.weight": torch.zeros(1)}, network_of_ours())
    del state["3.linear.weight"]
    with pytest.raises(ValueError, match="3 does not fit ComplexLinear.*weight"):
        from_complextorch(state, network_of_ours())

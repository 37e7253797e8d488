"""Convolutions with standardised weights."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from audiocx.nn import ComplexConv2d, StandardizedComplexConv2d, StandardizedConv2d, fold_sequence


def layer(kind: type, **options: object) -> nn.Module:
    torch.manual_seed(0)
    network = kind(3, 4, (2, 3), padding=(1, 1), **options).double()
    nn.init.uniform_(network.gain, 0.5, 2.0)
    nn.init.normal_(network.bias)
    return network


def filters(network: nn.Module) -> torch.Tensor:
    """Complex where the layer is, [O, I, *K]."""
    if isinstance(network, StandardizedConv2d):
        return network.standard_weight()
    return torch.complex(*network.weights())


@pytest.mark.parametrize("kind", [StandardizedComplexConv2d, StandardizedConv2d])
def test_filters_have_mean_zero_and_the_gain_as_norm(kind: type) -> None:
    network = layer(kind)
    weight = filters(network).detach()
    assert weight.mean((1, 2, 3)).abs().max() < 1e-12
    torch.testing.assert_close(weight.abs().square().sum((1, 2, 3)).sqrt(), network.gain.detach(), rtol=1e-6, atol=0)


@pytest.mark.parametrize("kind", [StandardizedComplexConv2d, StandardizedConv2d])
def test_scale_and_mean_of_the_raw_weights_do_not_matter(kind: type) -> None:
    network, x = layer(kind), torch.randn(2, 6 if kind is StandardizedComplexConv2d else 3, 5, 7, dtype=torch.float64)
    before = network(x)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if name.startswith("weight"):
                parameter.mul_(3.0).add_(0.7)
    torch.testing.assert_close(network(x), before, rtol=1e-6, atol=1e-6)


def test_rotating_the_raw_weights_rotates_the_output() -> None:
    network, x = layer(StandardizedComplexConv2d, bias=True), torch.randn(2, 3, 5, 7, dtype=torch.complex128)
    nn.init.zeros_(network.bias)
    before = network(x)
    with torch.no_grad():
        turned = torch.complex(network.weight_real, network.weight_imag) * torch.polar(
            *torch.tensor([1.0, 0.7]).double()
        )
        network.weight_real.copy_(turned.real)
        network.weight_imag.copy_(turned.imag)
    torch.testing.assert_close(network(x), before * torch.polar(*torch.tensor([1.0, 0.7]).double()))


@pytest.mark.parametrize("kind", [StandardizedComplexConv2d, StandardizedConv2d])
def test_folds_into_a_plain_convolution_by_its_filters(kind: type) -> None:
    network = layer(kind)
    channels = 6 if kind is StandardizedComplexConv2d else 3
    x = torch.randn(2, channels, 5, 7, dtype=torch.float64)
    (plain,) = fold_sequence([network.eval()])
    assert type(plain) is nn.Conv2d
    torch.testing.assert_close(plain(x), network(x))
    assert isinstance(network, ComplexConv2d) == (kind is StandardizedComplexConv2d)


@pytest.mark.parametrize("kind", [StandardizedComplexConv2d, StandardizedConv2d])
def test_gradients_match_finite_differences(kind: type) -> None:
    network = layer(kind)
    x = torch.randn(1, 6 if kind is StandardizedComplexConv2d else 3, 3, 4, dtype=torch.float64)
    names, values = zip(*network.named_parameters(), strict=True)

    def output(*parameters: torch.Tensor) -> torch.Tensor:
        return torch.func.functional_call(network, dict(zip(names, parameters, strict=True)), (x,))

    assert torch.autograd.gradcheck(output, values, fast_mode=True)

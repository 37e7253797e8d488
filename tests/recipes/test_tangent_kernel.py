"""Tangent kernels against the Jacobian, and wide networks against the infinite-width limit."""

from __future__ import annotations

import math

import pytest
import torch
from tangent_kernel import distance, limit_kernel, linear_dynamics, relu_moments, tangent_kernel, tanh_moments
from torch import Tensor, nn
from torch.testing import assert_close

from audiocx.nn import ComplexLinear, CReLU, ModReLU, ZReLU


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


def jacobian(network: nn.Module, x: Tensor) -> Tensor:
    """By autograd, an output at a time."""
    parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
    rows = []
    for output in network(x).flatten():
        gradients = torch.autograd.grad(output, parameters, retain_graph=True)
        rows.append(torch.cat([gradient.flatten() for gradient in gradients]))
    return torch.stack(rows)


NETWORKS = {
    "real": [nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 2)],
    "crelu": [ComplexLinear(3, 5), CReLU(), ComplexLinear(5, 1)],
    "zrelu": [ComplexLinear(3, 5), ZReLU(), ComplexLinear(5, 1)],
    "modrelu": [ComplexLinear(3, 5), ModReLU(5), ComplexLinear(5, 1)],
}


@pytest.mark.parametrize("name", NETWORKS)
def test_the_kernel_is_the_jacobians(name: str) -> None:
    network, x = nn.Sequential(*NETWORKS[name]).double(), torch.randn(4, 6, dtype=torch.float64)
    expected = jacobian(network, x)
    kernel = tangent_kernel(network, x)
    assert kernel.shape == (8, 8)
    assert_close(kernel, expected @ expected.T)
    assert not kernel.requires_grad


def test_frozen_parameters_do_not_count() -> None:
    network = nn.Linear(1, 1)
    x = torch.tensor([[2.0], [3.0]])
    assert_close(tangent_kernel(network, x), torch.tensor([[5.0, 7.0], [7.0, 10.0]]))  # x x' + 1
    network.bias.requires_grad_(False)
    assert_close(tangent_kernel(network, x), torch.tensor([[4.0, 6.0], [6.0, 9.0]]))


def test_a_distance_by_hand() -> None:
    one, other = torch.diag(torch.tensor([3.0, 0.0])), torch.diag(torch.tensor([0.0, 0.5]))
    assert distance(one, 7 * one) == 0
    assert distance(one, other) == pytest.approx(math.sqrt(2))
    assert distance(one, torch.eye(2)) == pytest.approx(math.sqrt(2 - math.sqrt(2)))


# Training


def test_the_dynamics_of_a_linear_model_are_exact() -> None:
    network, x = nn.Linear(3, 1).double(), torch.randn(6, 3, dtype=torch.float64)
    targets, rate = torch.randn(4, dtype=torch.float64), 0.03
    kernel, start = tangent_kernel(network, x), network(x).detach()[:, 0]
    predicted = linear_dynamics(kernel, start, targets, rate, 50)
    optimizer = torch.optim.SGD(network.parameters(), lr=rate)
    for expected in predicted:
        y = network(x)[:, 0]
        assert_close(y, expected)
        optimizer.zero_grad()
        ((y[:4] - targets) ** 2).sum().div(2).backward()
        optimizer.step()
    assert (predicted[-1, :4] - targets).norm() < 0.9 * (predicted[0, :4] - targets).norm()


def test_small_steps_are_an_exponential() -> None:
    root = torch.randn(3, 3, dtype=torch.float64)
    kernel, targets, start = root @ root.T, torch.randn(3, dtype=torch.float64), torch.randn(3, dtype=torch.float64)
    last = linear_dynamics(kernel, start, targets, 1e-4, 5000)[-1]
    expected = targets + torch.linalg.matrix_exp(-0.5 * kernel) @ (start - targets)
    assert_close(last, expected, rtol=1e-3, atol=1e-3)


# The limit


def test_moments_of_relu_by_hand() -> None:
    values, slopes = relu_moments(torch.tensor([[4.0, 0.0], [0.0, 1.0]]))
    assert_close(values, torch.tensor([[2.0, 2 / (2 * math.pi)], [2 / (2 * math.pi), 0.5]]))
    assert_close(slopes, torch.tensor([[0.5, 0.25], [0.25, 0.5]]))


def test_moments_of_tanh_are_integrals() -> None:
    covariance = torch.tensor([[2.0, 0.8, -2.0], [0.8, 1.0, -0.8], [-2.0, -0.8, 2.0]], dtype=torch.float64)
    values, slopes = tanh_moments(covariance)
    u = torch.linspace(-9, 9, 1501, dtype=torch.float64)
    one, other = torch.meshgrid(u, u, indexing="ij")
    normal = torch.exp(-(one**2 + other**2) / 2)
    normal = normal / normal.sum()
    first, second = math.sqrt(2) * one, 0.8 / math.sqrt(2) * one + math.sqrt(1 - 0.32) * other
    assert values[0, 1].item() == pytest.approx((first.tanh() * second.tanh() * normal).sum().item(), abs=1e-5)
    expected = ((1 - first.tanh() ** 2) * (1 - second.tanh() ** 2) * normal).sum().item()
    assert slopes[0, 1].item() == pytest.approx(expected, abs=1e-5)
    assert_close(values, values.T, rtol=1e-5, atol=1e-5)
    assert_close(values[0, 2], -values[0, 0]), assert_close(slopes[0, 2], slopes[0, 0])


def test_the_limit_by_hand() -> None:
    x = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    # Covariances 2 * (x x' / 2): 1 and 0. One hidden layer: 2 (values + kernel * slopes).
    expected = torch.tensor([[2 * (0.5 + 0.5), 2 / (2 * math.pi)], [2 / (2 * math.pi), 2.0]], dtype=torch.float64)
    assert_close(limit_kernel(x, relu_moments, 1, math.sqrt(2)), expected)
    assert_close(limit_kernel(x, relu_moments, 0, 1.0), torch.eye(2, dtype=torch.float64) / 2)


class Scaled(nn.Module):
    """A network of the tangent kernel's parametrisation, real."""

    def __init__(self, activation: nn.Module, width: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(n, m, bias=False) for n, m in ((6, width), (width, width), (width, 1)))
        self.activation = activation
        for parameter in self.parameters():
            nn.init.normal_(parameter)

    def forward(self, x: Tensor) -> Tensor:
        for index, layer in enumerate(self.layers):
            x = layer(self.activation(x) if index else x) * math.sqrt(2 / x.shape[-1])
        return x


@pytest.mark.parametrize(("activation", "moments"), [(nn.ReLU(), relu_moments), (nn.Tanh(), tanh_moments)])
def test_wide_networks_approach_the_limit(activation: nn.Module, moments: object) -> None:
    x = torch.randn(5, 6)
    limit = limit_kernel(x, moments, 2, math.sqrt(2))  # type: ignore[arg-type]
    near, far = (tangent_kernel(Scaled(activation, width), x).double() for width in (1024, 16))
    assert distance(near, limit) < 0.06 < distance(far, limit)
    assert near.trace() / limit.trace() == pytest.approx(1, abs=0.15)

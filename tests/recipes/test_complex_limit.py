"""Complex networks of infinite width: moments against Monte Carlo, and what their kernels depend on."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from complex_limit import complex_limit_kernel, modrelu_moments, split_moments, zrelu_moments
from tangent_kernel import distance, limit_kernel, relu_moments, tangent_kernel
from torch import Tensor
from torch.testing import assert_close
from wide_network import GAIN, KINDS, Multilayer, equal_products

from audiocx.nn.functional import to_complex

COMPLEX = [name for name, kind in KINDS.items() if kind.complex]
ANGLES = torch.linspace(0, 1.5, 12, dtype=torch.float64)


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


def wirtinger(name: str, u: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Of complex [S, N], by autograd: f, df/du and df/du^*."""
    x, y = u.real.clone().requires_grad_(), u.imag.clone().requires_grad_()
    real, imag = KINDS[name].activation(torch.cat([x, y], 1)).chunk(2, 1)
    real_x, real_y = torch.autograd.grad(real.sum(), (x, y), retain_graph=True)
    imag_x, imag_y = torch.autograd.grad(imag.sum(), (x, y))
    value = torch.complex(real, imag).detach()
    return (
        value,
        torch.complex(real_x + imag_y, imag_x - real_y) / 2,
        torch.complex(real_x - imag_y, imag_x + real_y) / 2,
    )


@pytest.mark.parametrize("name", COMPLEX)
def test_moments_are_expectations(name: str) -> None:
    # The third variable is the first, turned and of half the size: fully correlated.
    mixing = torch.tensor([[1.3, 0], [0.4 + 0.7j, 0.9], [0.65j, 0]], dtype=torch.complex128)
    u = torch.randn(200_000, 2, dtype=torch.complex128) @ mixing.mT
    moments = KINDS[name].moments
    assert moments is not None
    for found, drawn in zip(moments(mixing @ mixing.mH), wirtinger(name, u), strict=True):
        products = drawn[:, :, None] * drawn[:, None, :].conj()
        error = products.sub(products.mean(0)).abs().square().mean(0).sqrt() / math.sqrt(len(u))
        assert ((found - products.mean(0)).abs() < 5 * error + 2e-4).all()
        assert_close(found, found.mH)


def test_moments_by_hand() -> None:
    apart = 2 * torch.eye(2, dtype=torch.complex128)
    _, slopes, other = zrelu_moments(apart)
    assert_close(slopes.real, torch.tensor([[1 / 4, 1 / 16], [1 / 16, 1 / 4]], dtype=torch.float64), rtol=0, atol=1e-4)
    assert other.abs().max() == 0
    values, slopes, other = modrelu_moments(0.0)(apart)  # the identity
    (
        assert_close(values, apart),
        assert_close(slopes, torch.ones_like(apart)),
        assert_close(other, torch.zeros_like(apart)),
    )
    magnitude = torch.linspace(1, 12, 100_001, dtype=torch.float64)
    density = magnitude * torch.exp(-(magnitude**2) / 2)  # E |u|^2 = 2
    expected = torch.trapezoid((magnitude - 1) ** 2 * density, magnitude)
    assert_close(modrelu_moments(-1.0)(apart)[0].diagonal().real, expected.expand(2), rtol=1e-5, atol=0)


def test_the_limit_of_crelu_is_that_of_a_real_network() -> None:
    x = torch.randn(6, 10, dtype=torch.float64)
    complex_one = complex_limit_kernel(to_complex(x), split_moments(relu_moments), 3, GAIN)
    assert_close(complex_one, limit_kernel(x, relu_moments, 3, GAIN))


def test_a_network_without_hidden_layers_by_hand() -> None:
    z = torch.tensor([[1.0 + 1j], [2.0 - 1j]])
    expected = torch.tensor([[2.0, 1.0], [1.0, 5.0]], dtype=torch.float64)  # Re z z'^*
    assert_close(complex_limit_kernel(z, zrelu_moments, 0, GAIN), expected)


@pytest.mark.parametrize(("name", "expected"), [*zip(KINDS, (0.154, 0.141, 0.0, 0.0, 0.0), strict=True)])
def test_which_limits_tell_imaginary_products(name: str, expected: float) -> None:
    inputs = equal_products(ANGLES)
    real, other = (x @ x.mT for x in inputs)
    assert_close(real, other, rtol=1e-4, atol=1e-4)
    kernels = [KINDS[name].limit(x, 2) for x in inputs]
    assert distance(*kernels) == pytest.approx(expected, abs=1e-3 if expected else 1e-6)
    assert all(torch.linalg.eigvalsh(kernel)[0] > -1e-3 * kernel.trace() for kernel in kernels)


@pytest.mark.parametrize(("name", "expected"), [("modReLU", 0.013), ("zReLU", 0.015), ("CReLU", 0.0)])
def test_a_real_rotation_of_random_inputs_hardly_changes_limits(name: str, expected: float) -> None:
    rng = np.random.default_rng(0)
    inputs = rng.standard_normal((12, 16))
    rotation, _ = np.linalg.qr(rng.standard_normal((16, 16)))
    kernels = [KINDS[name].limit(torch.from_numpy(x), 2) for x in (inputs, inputs @ rotation)]
    assert distance(*kernels) == pytest.approx(expected, abs=5e-4)


@pytest.mark.parametrize("name", KINDS)
def test_the_kernel_of_a_network_is_its_jacobians(name: str) -> None:
    network, x = Multilayer(KINDS[name], 5, 2).double(), equal_products(ANGLES[:4])[1].double()
    gradients = [torch.autograd.grad(network(row)[0, 0], list(network.parameters())) for row in x.split(1)]
    jacobian = torch.stack([torch.cat([part.flatten() for part in row]) for row in gradients])
    assert_close(network.tangent_kernel(x), jacobian @ jacobian.T)
    assert_close(tangent_kernel(network, x), jacobian @ jacobian.T)


@pytest.mark.parametrize("name", KINDS)
def test_wide_networks_approach_their_limits(name: str) -> None:
    x = torch.cat(equal_products(ANGLES[::4]))
    limit = KINDS[name].limit(x, 1)
    near, far = (
        sum(distance(Multilayer(KINDS[name], width, 1).tangent_kernel(x).double(), limit) for _ in range(4)) / 4
        for width in (4096, 64)
    )
    assert near < 0.05 and near < 0.5 * far


def step_error(name: str) -> float:
    """Of one step of gradient descent, relative to the change that the kernel predicts."""
    x, network = equal_products(ANGLES)[1].double(), Multilayer(KINDS[name], 512, 2).double()
    kernel, before = network.tangent_kernel(x), network(x)[:, 0]
    rate = 0.3 / float(torch.linalg.matrix_norm(kernel, 2))
    (before.square().sum() / 2).backward()
    torch.optim.SGD(network.parameters(), lr=rate).step()
    change, predicted = (network(x)[:, 0] - before).detach(), -rate * kernel @ before.detach()
    return float((change - predicted).norm() / predicted.norm())


@pytest.mark.parametrize("name", KINDS)
def test_a_step_changes_outputs_as_the_kernel_says_but_for_zrelu(name: str) -> None:
    # zReLU jumps where a unit crosses an edge of the quadrant, of which the gradient says nothing.
    error = sum(step_error(name) for _ in range(4)) / 4
    assert error > 0.3 if name == "zReLU" else error < 0.1

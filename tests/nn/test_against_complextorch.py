"""Agreement with complextorch 2.1.1, an independent implementation.

Its conventions differ in three respects, which the tests account for: weights are native complex numbers; batch
normalisation starts its running covariance at the identity instead of I / sqrt 2; and it adds eps before tracking the
covariance, where audiocx adds it when using it.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from audiocx.nn import (
    ComplexAvgPool2d,
    ComplexBatchNorm,
    ComplexConv1d,
    ComplexConv2d,
    ComplexLinear,
    MagnitudeMaxPool1d,
    MagnitudeMaxPool2d,
)
from audiocx.nn.functional import to_channels, to_complex

EPS = 1e-4


@pytest.fixture(scope="module")
def cvnn() -> ModuleType:
    import complextorch.nn

    return complextorch.nn


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


def assert_same_outputs_and_input_gradients(ours: Any, theirs: Any, z: Tensor) -> None:
    z = z.requires_grad_()
    y, expected = ours(z), theirs(z)
    assert_close(y, expected)
    towards = torch.randn_like(expected)
    assert_close(torch.autograd.grad(y, z, towards), torch.autograd.grad(expected, z, towards))


def share_weights(ours: Any, theirs: Any) -> None:
    ours.double()
    with torch.no_grad():
        torch.nn.init.normal_(ours.bias)
        theirs.weight.copy_(torch.complex(ours.weight_real, ours.weight_imag))
        theirs.bias.copy_(to_complex(ours.bias, 0))


def test_linear(cvnn: ModuleType) -> None:
    ours, theirs = ComplexLinear(5, 4), cvnn.Linear(5, 4, dtype=torch.complex128)
    share_weights(ours, theirs.linear)
    assert_same_outputs_and_input_gradients(ours, theirs, torch.randn(3, 2, 5, dtype=torch.complex128))


@pytest.mark.parametrize("options", [{}, {"stride": 2, "padding": 1}, {"dilation": 2, "groups": 2}])
def test_convolutions(cvnn: ModuleType, options: dict[str, int]) -> None:
    conv1d, conv2d = ComplexConv1d(4, 6, 3, **options), ComplexConv2d(4, 6, (3, 2), **options)
    their_conv1d = cvnn.Conv1d(4, 6, 3, dtype=torch.complex128, **options)
    their_conv2d = cvnn.Conv2d(4, 6, (3, 2), dtype=torch.complex128, **options)
    share_weights(conv1d, their_conv1d.conv)
    share_weights(conv2d, their_conv2d.conv)
    assert_same_outputs_and_input_gradients(conv1d, their_conv1d, torch.randn(2, 4, 9, dtype=torch.complex128))
    assert_same_outputs_and_input_gradients(conv2d, their_conv2d, torch.randn(2, 4, 8, 7, dtype=torch.complex128))


def norms(cvnn: ModuleType, axes: int) -> tuple[ComplexBatchNorm, Any]:
    """Two normalisations with the same general gamma and beta, and the same running statistics."""
    ours = ComplexBatchNorm(3).double()
    theirs = {1: cvnn.BatchNorm1d, 2: cvnn.BatchNorm2d}[axes](3, eps=EPS).double()
    with torch.no_grad():
        rr, ii, ri = ours.gamma.normal_()
        theirs.weight.copy_(torch.stack([rr, ri, ri, ii]).view(2, 2, 3))
        theirs.bias.copy_(ours.beta.normal_().view(2, 3))
        ours.running_cov.copy_(torch.tensor([[1.0], [1.0], [0.0]]))
    return ours, theirs


def correlated(*shape: int) -> Tensor:
    z = torch.randn(shape, dtype=torch.complex128)
    return 1 - 2j + z.real + 3j * z.imag + 0.8 * z.conj()


@pytest.mark.parametrize("shape", [(30, 3), (8, 3, 5), (6, 3, 4, 5)])
def test_whitening_in_training_and_evaluation(cvnn: ModuleType, shape: tuple[int, ...]) -> None:
    ours, theirs = norms(cvnn, max(1, len(shape) - 2))
    for _ in range(3):
        assert_same_outputs_and_input_gradients(ours, theirs, correlated(*shape))
    assert_close(ours.running_mean.view(2, 3), theirs.running_mean)
    rr, ii, ri = ours.running_cov
    # Three steps of momentum 0.1 put 1 - 0.9^3 of eps into the covariance that complextorch tracks.
    eps = EPS * (1 - 0.9**3)
    assert_close(torch.stack([rr + eps, ri, ri, ii + eps]).view(2, 2, 3), theirs.running_var)
    theirs.running_var.copy_(torch.stack([rr + EPS, ri, ri, ii + EPS]).view(2, 2, 3))
    assert_same_outputs_and_input_gradients(ours.eval(), theirs.eval(), correlated(*shape))


def test_degenerate_input_is_why_the_determinant_is_clamped(cvnn: ModuleType) -> None:
    part = 1e3 * torch.randn(64, 3)
    z = torch.complex(part, part)
    assert not cvnn.BatchNorm1d(3, eps=EPS)(z).isfinite().all()
    assert ComplexBatchNorm(3)(z).isfinite().all()


def test_pools(cvnn: ModuleType) -> None:
    z = torch.randn(2, 3, 9, dtype=torch.complex128)
    assert_same_outputs_and_input_gradients(MagnitudeMaxPool1d(3, 2), cvnn.MagMaxPool1d(3, 2), z)
    z = torch.randn(2, 3, 6, 8, dtype=torch.complex128)
    assert_same_outputs_and_input_gradients(MagnitudeMaxPool2d((3, 2)), cvnn.MagMaxPool2d((3, 2)), z)
    assert_close(to_channels(ComplexAvgPool2d((1, 2))(z)), torch.nn.functional.avg_pool2d(to_channels(z), (1, 2)))

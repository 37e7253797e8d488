"""Neural tangent kernels: the change of a network's output for one input by a gradient step on another.

Source: Jacot, Gabriel and Hongler, "Neural tangent kernel", 2018; of finite networks, by products with the kernel,
Novak, Sohl-Dickstein and Schoenholz, "Fast finite width neural tangent kernel", 2022, section 3.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call, vjp

# For an activation f and jointly normal u of covariance [N, N]: E f(u_i) f(u_j) and E f'(u_i) f'(u_j).
Moments = Callable[[Tensor], tuple[Tensor, Tensor]]
_NODES = 64


def tangent_kernel(network: nn.Module, x: Tensor) -> Tensor:
    """Compute the empirical tangent kernel, J J^T with J the Jacobian of all outputs in all parameters.

    It is computed row by row: the gradient of one output, and the derivative of all outputs along it, which is the
    gradient of the gradient's product with it. So there are never more than a few copies of the parameters, while J has
    one for every output. Complex weights are two real ones, as in ordinary backpropagation.

    Args:
        network: Maps ``x`` to outputs of any shape, each independent of the others' inputs. Parameters that require no
            gradient are left out.
        x: Inputs.

    Returns:
        Shape [K, K] for K outputs, flattened; symmetric.
    """
    parameters = {name: value.detach() for name, value in network.named_parameters() if value.requires_grad}

    def outputs(parameters: dict[str, Tensor]) -> Tensor:
        return functional_call(network, parameters, (x,)).flatten()

    values, pullback = vjp(outputs, parameters)  # type: ignore[misc]
    # J^T u is linear in u: the pullback of u to it is J.
    _, push = vjp(lambda u: pullback(u)[0], torch.zeros_like(values))  # type: ignore[misc]
    units = torch.eye(len(values), dtype=values.dtype, device=values.device)
    return torch.stack([push(pullback(unit)[0])[0] for unit in units])


def linear_dynamics(kernel: Tensor, start: Tensor, targets: Tensor, rate: float, steps: int) -> Tensor:
    """Predict outputs during gradient descent on half the sum of squared errors, with a constant tangent kernel.

    Exact for models that are linear in their parameters. For small rates the errors on inputs trained on are
    exp(-rate * steps * kernel) times those at the start.

    Args:
        kernel: Shape [M, M].
        start: Outputs before training, shape [M].
        targets: Of the first N outputs, shape [N]; the others are not trained on.
        rate: Learning rate.
        steps: Number of steps.

    Returns:
        Outputs before training and after each step, shape [steps + 1, M].

    Source: Jacot et al. 2018, section 5, with discrete steps.
    """
    outputs = [start]
    for _ in range(steps):
        error = outputs[-1][: len(targets)] - targets
        outputs.append(outputs[-1] - rate * (kernel[:, : len(targets)] @ error))
    return torch.stack(outputs)


def distance(kernel: Tensor, other: Tensor) -> float:
    """Compute the Frobenius norm of the difference of two kernels, each scaled to a norm of 1.

    Args:
        kernel: Shape [N, N].
        other: Same shape.

    Returns:
        0 if they differ only by a factor, up to sqrt 2 between positive kernels.
    """
    difference = kernel / torch.linalg.matrix_norm(kernel) - other / torch.linalg.matrix_norm(other)
    return float(torch.linalg.matrix_norm(difference))


def limit_kernel(x: Tensor, moments: Moments, hidden_layers: int, gain: float) -> Tensor:
    """Compute the tangent kernel of a real multilayer network of infinite width with one output and no biases.

    In the tangent kernel's parametrisation: a layer multiplies n inputs by gain / sqrt(n) and independent weights of
    variance 1.

    Args:
        x: Inputs [N, D].
        moments: Those of the activation: :func:`relu_moments` or :func:`tanh_moments`.
        hidden_layers: Number of hidden layers.
        gain: The factor above.

    Returns:
        Shape [N, N], float64.

    Source: Jacot et al. 2018, theorem 1.
    """
    x = x.double()
    covariance = gain**2 / x.shape[1] * (x @ x.mT)
    kernel = covariance
    for _ in range(hidden_layers):
        values, derivatives = moments(covariance)
        covariance, kernel = gain**2 * values, gain**2 * (values + kernel * derivatives)
    return kernel


def relu_moments(covariance: Tensor) -> tuple[Tensor, Tensor]:
    """Compute the moments of ReLU; see :data:`Moments`.

    Args:
        covariance: Shape [N, N].

    Returns:
        Two tensors [N, N].

    Source: Cho and Saul, "Kernel methods for deep learning", 2009, section 2, orders 1 and 0.
    """
    lengths, cosine = _polar(covariance)
    angle = cosine.acos()
    derivatives = (math.pi - angle) / (2 * math.pi)
    return lengths * (angle.sin() / (2 * math.pi) + cosine * derivatives), derivatives


def tanh_moments(covariance: Tensor) -> tuple[Tensor, Tensor]:
    """Compute the moments of tanh, by Gauss-Hermite quadrature; see :data:`Moments`.

    Args:
        covariance: Shape [N, N].

    Returns:
        Two tensors [N, N], accurate to 1e-5 for standard deviations up to 1.4.
    """
    nodes, weights = (torch.from_numpy(part).to(covariance) for part in np.polynomial.hermite_e.hermegauss(_NODES))
    weights = weights / weights.sum()
    _, cosine = _polar(covariance)
    std = covariance.diagonal().sqrt()
    # Two normal variables of this correlation, from independent ones.
    mixed = cosine[..., None, None] * nodes[:, None] + (1 - cosine**2).sqrt()[..., None, None] * nodes
    u, v = (std[:, None] * nodes).tanh(), (std[:, None, None] * mixed).tanh()
    both = weights[:, None] * weights
    values = torch.einsum("ia,ijab,ab->ij", u, v, both)
    return values, torch.einsum("ia,ijab,ab->ij", 1 - u**2, 1 - v**2, both)


def _polar(covariance: Tensor) -> tuple[Tensor, Tensor]:
    """Return the products of the standard deviations, and the correlations."""
    std = covariance.diagonal().sqrt()
    lengths = std[:, None] * std
    return lengths, (covariance / lengths).clamp(-1, 1)

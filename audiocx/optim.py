"""Optimisers that keep the state matrices of recurrent layers unitary.

A unitary matrix W takes steps on the manifold of unitary matrices by a Cayley transform,
W' = (I + lr/2 A)^-1 (I - lr/2 A) W with the skew-Hermitian A = G W^H - W G^H, where G is its gradient, without momentum
or scaling. All other parameters are updated by RMSprop, Adam or AdamW. The alternative,
``torch.nn.utils.parametrizations.orthogonal``, works with any optimiser but computes the unitary matrix from a free one
in every forward pass, at the cost of a matrix exponential (or the like) and its gradient.

Source: Wisdom et al., "Full-Capacity Unitary Recurrent Neural Networks", 2016, equation 6, after Tagare 2011; Wolter
and Yao, "Complex Gated Recurrent Neural Networks", 2018.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

if find_spec("torch") is None:
    raise ImportError("audiocx.optim needs PyTorch; run pip install 'audiocx[torch]'.", name="torch")

import torch
from torch import Tensor, nn

from .nn import (
    ComplexBatchNorm,
    ComplexGate,
    ComplexGroupNorm,
    ComplexLayerNorm,
    ComplexStateMatrix,
    ComplexStructuredStateMatrix,
)

__all__ = [
    "StiefelAdam",
    "StiefelAdamW",
    "StiefelRMSprop",
    "cayley_step_",
    "decayed_parameters",
    "nearest_unitary_",
    "unitary_drift",
    "unitary_parameters",
]

# Modules whose parameters have more than one axis, but no weight decay.
_NOT_DECAYED = (
    ComplexBatchNorm,
    ComplexGroupNorm,
    ComplexLayerNorm,
    ComplexStateMatrix,
    ComplexStructuredStateMatrix,
    ComplexGate,
)


def unitary_parameters(network: nn.Module) -> list[nn.Parameter]:
    """Return the parameters that are constrained to be unitary.

    Args:
        network: Network with layers such as :class:`audiocx.nn.ComplexGatedRNN`.

    Returns:
        Weights of its :class:`audiocx.nn.ComplexStateMatrix` modules with ``unitary=True``, [2, H, H] each.
    """
    return [module.weight for module in network.modules() if isinstance(module, ComplexStateMatrix) and module.unitary]


def decayed_parameters(network: nn.Module) -> list[nn.Parameter]:
    """Return the parameters that weight decay applies to: matrices and kernels.

    Biases and other vectors, parameters of norms, recurrent state matrices and gates have none.

    Args:
        network: Any network.

    Returns:
        The parameters, in the network's order.
    """
    exempt = {
        id(parameter)
        for module in network.modules()
        if isinstance(module, _NOT_DECAYED)
        for parameter in module.parameters(recurse=False)
    }
    return [p for p in network.parameters() if p.ndim > 1 and id(p) not in exempt]


@torch.no_grad()
def unitary_drift(network: nn.Module) -> float:
    """Return the largest deviation of the constrained matrices from unitarity.

    Args:
        network: Network with layers such as :class:`audiocx.nn.ComplexGatedRNN`.

    Returns:
        Largest Frobenius norm ||W^H W - I||, in double precision; 0 if no matrix is constrained.
    """
    matrices = [torch.complex(*weight.double()) for weight in unitary_parameters(network)]
    return max((float((w.mH @ w - torch.eye(len(w), device=w.device)).norm()) for w in matrices), default=0.0)


@torch.no_grad()
def cayley_step_(weight: Tensor, gradient: Tensor, rate: float) -> None:
    """Take one descent step on the manifold of unitary matrices, in place.

    Rounding errors would accumulate; one Newton-Schulz iteration after the step, W (3 I - W^H W) / 2, removes them for
    the cost of two products.

    Args:
        weight: W, real part first, [2, H, H].
        gradient: G, gradient of the loss with respect to both parts, same shape.
        rate: Learning rate.

    Source: Wisdom et al. 2016, equation 6.

    Examples:
        >>> weight = torch.stack([torch.eye(2), torch.zeros(2, 2)])
        >>> cayley_step_(weight, torch.tensor([[[0.0, 1.0], [0.0, 0.0]], [[0.0, 0.0], [0.0, 0.0]]]), rate=0.1)
        >>> weight[0]
        tensor([[ 0.9950, -0.0998],
                [ 0.0998,  0.9950]])
    """
    w, g = torch.complex(*weight), torch.complex(*gradient)
    half = g @ w.mH
    half = (half - half.mH) * (rate / 2)
    eye = torch.eye(len(w), dtype=w.dtype, device=w.device)
    w = torch.linalg.solve(eye + half, w - half @ w)
    w = 1.5 * w - 0.5 * (w @ (w.mH @ w))
    weight.copy_(torch.stack([w.real, w.imag]))


@torch.no_grad()
def nearest_unitary_(weight: Tensor) -> None:
    """Replace a matrix by the nearest unitary one, in place, for instance after averaging several.

    Args:
        weight: Matrix of full rank, real part first, [2, H, H].

    Source: Fan and Hoffman, "Some metric inequalities in the space of matrices", 1955: the nearest one is the
    unitary factor of the polar decomposition.
    """
    u, _, vh = torch.linalg.svd(torch.complex(*weight))
    w = u @ vh
    weight.copy_(torch.stack([w.real, w.imag]))


class _Stiefel(torch.optim.Optimizer):
    """Mixin that updates the unitary matrices by Cayley steps and hides them from the optimiser's own step.

    Args:
        network: Network to train.
        lr: Learning rate.
        unitary_lr: Learning rate of the unitary matrices; ``lr`` when None.
        options: Options of the optimiser of all other parameters.
    """

    def __init__(self, network: nn.Module, lr: float = 1e-3, unitary_lr: float | None = None, **options: Any) -> None:
        unitary = unitary_parameters(network)
        marked = {id(parameter) for parameter in unitary}
        groups = self._groups(network, marked)
        if unitary:
            groups.append({"params": unitary, "lr": lr if unitary_lr is None else unitary_lr, "unitary": True})
        super().__init__(groups, lr=lr, **options)  # type: ignore[call-arg]
        if unitary:
            # A fused optimiser divides by the gradient scale of float16 itself; a Cayley step needs it done before.
            self._step_supports_amp_scaling = False

    def _groups(self, network: nn.Module, unitary: set[int]) -> list[dict[str, Any]]:
        """Return parameter groups of what is not unitary, in the network's order."""
        return [{"params": [p for p in network.parameters() if id(p) not in unitary]}]

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Take one step.

        Args:
            closure: Function that computes the loss and its gradients again, or None.

        Returns:
            The loss that the closure returned; None without a closure.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        hidden = [
            (parameter, parameter.grad, group["lr"])
            for group in self.param_groups
            if group.get("unitary")
            for parameter in group["params"]
            if parameter.grad is not None
        ]
        for parameter, gradient, rate in hidden:
            cayley_step_(parameter, gradient, float(rate))
            parameter.grad = None
        super().step()
        for parameter, gradient, _ in hidden:
            parameter.grad = gradient
        return loss


class StiefelRMSprop(_Stiefel, torch.optim.RMSprop):
    """RMSprop with Cayley steps for the unitary matrices.

    Args:
        network: Network to train.
        lr: Learning rate.
        unitary_lr: Learning rate of the unitary matrices; ``lr`` when None.
        options: Options of :class:`torch.optim.RMSprop`.

    Source: Wisdom et al. 2016; Wolter and Yao 2018, with both learning rates 1e-3 and ``alpha`` 0.9.
    """


class StiefelAdam(_Stiefel, torch.optim.Adam):
    """Adam with Cayley steps for the unitary matrices.

    Args:
        network: Network to train.
        lr: Learning rate.
        unitary_lr: Learning rate of the unitary matrices; ``lr`` when None.
        options: Options of :class:`torch.optim.Adam`.
    """


class StiefelAdamW(_Stiefel, torch.optim.AdamW):
    """AdamW with Cayley steps for the unitary matrices, and with weight decay on matrices and kernels only.

    Biases and other vectors, batch normalisation, gates and recurrent state matrices are not decayed.

    Args:
        network: Network to train.
        lr: Learning rate.
        unitary_lr: Learning rate of the unitary matrices; ``lr`` when None.
        options: Options of :class:`torch.optim.AdamW`.
    """

    def _groups(self, network: nn.Module, unitary: set[int]) -> list[dict[str, Any]]:
        decayed = {id(parameter) for parameter in decayed_parameters(network)}
        free = [p for p in network.parameters() if id(p) not in unitary]
        return [
            {"params": [p for p in free if id(p) in decayed]},
            {"params": [p for p in free if id(p) not in decayed], "weight_decay": 0.0},
        ]

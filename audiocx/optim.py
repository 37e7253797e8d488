"""Optimisers that keep the state matrices of recurrent layers unitary while everything else learns as usual.

A unitary matrix W steps along the unitary ones by a Cayley transform, W' = (I + lr/2 A)^-1 (I - lr/2 A) W with the
skew-Hermitian A = G W^H - W G^H, where G is its gradient as it is: no running mean, no scale. All other parameters
are left to RMSprop, Adam or AdamW. ``torch.nn.utils.parametrizations.orthogonal``, which makes a unitary matrix anew
of a free complex one in every forward pass, lets any optimiser do instead, at the price of a matrix exponential (or
its like) there and its gradient, and of weights that are complex.

Source: Wisdom et al., "Full-Capacity Unitary Recurrent Neural Networks", 2016, equation 6, after Tagare 2011; Wolter
and Yao, "Complex Gated Recurrent Neural Networks", 2018.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from .nn import ComplexBatchNorm, Gate, StateMatrix

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
_UNDECAYED = (ComplexBatchNorm, StateMatrix, Gate)


def unitary_parameters(network: nn.Module) -> list[nn.Parameter]:
    """Finds the parameters that are to stay unitary.

    Args:
        network: With layers such as :class:`audiocx.nn.GatedRNN`.

    Returns:
        Those of its :class:`audiocx.nn.StateMatrix` modules that are marked, shape [2, H, H] each.
    """
    return [part.weight for part in network.modules() if isinstance(part, StateMatrix) and part.unitary]


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
        if isinstance(module, _UNDECAYED)
        for parameter in module.parameters(recurse=False)
    }
    return [p for p in network.parameters() if p.ndim > 1 and id(p) not in exempt]


@torch.no_grad()
def unitary_drift(network: nn.Module) -> float:
    """Tells how far training has led from the unitary matrices.

    Args:
        network: With layers such as :class:`audiocx.nn.GatedRNN`.

    Returns:
        The largest Frobenius norm of W^H W - I, in double precision, among the matrices that are to stay unitary; 0
        where there are none.
    """
    matrices = [torch.complex(*weight.double()) for weight in unitary_parameters(network)]
    return max((float((w.mH @ w - torch.eye(len(w), device=w.device)).norm()) for w in matrices), default=0.0)


@torch.no_grad()
def cayley_step_(weight: Tensor, gradient: Tensor, rate: float) -> None:
    """Takes one step from a unitary matrix to another against a gradient, in place.

    Rounding alone would lead away from the unitary matrices, slowly but for good; a Newton-Schulz iteration after the
    step, W (3 I - W^H W) / 2, leads back at the price of two products.

    Args:
        weight: W, shape [2, H, H], real part first.
        gradient: G, of the loss by both parts, same shape.
        rate: Learning rate.
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
    """Replaces a matrix by the unitary one that lies closest to it, in place: an average of several needs it.

    Args:
        weight: Shape [2, H, H], real part first, of full rank.

    Source: Fan and Hoffman, "Some metric inequalities in the space of matrices", 1955: it is the unitary factor of the
    polar decomposition.
    """
    u, _, vh = torch.linalg.svd(torch.complex(*weight))
    w = u @ vh
    weight.copy_(torch.stack([w.real, w.imag]))


class _Stiefel(torch.optim.Optimizer):
    """What stands before an optimiser's own step: the matrices take theirs, and are then hidden from it.

    Args:
        network: What to train.
        lr: Learning rate.
        unitary_lr: That of the unitary matrices; ``lr`` when None.
        options: Of the optimiser for everything else.
    """

    def __init__(self, network: nn.Module, lr: float = 1e-3, unitary_lr: float | None = None, **options: Any) -> None:
        unitary = unitary_parameters(network)
        marked = {id(parameter) for parameter in unitary}
        groups = self._sorted(network, marked)
        if unitary:
            groups.append({"params": unitary, "lr": lr if unitary_lr is None else unitary_lr, "unitary": True})
        super().__init__(groups, lr=lr, **options)  # type: ignore[call-arg]
        if unitary:
            # A fused optimiser would take float16's scaled gradients for a gradient scaler; a Cayley step cannot.
            self._step_supports_amp_scaling = False

    def _sorted(self, network: nn.Module, unitary: set[int]) -> list[dict[str, Any]]:
        """Return parameter groups of what is not unitary, in the network's order."""
        return [{"params": [p for p in network.parameters() if id(p) not in unitary]}]

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Takes one step.

        Args:
            closure: Computes the loss and its gradients anew, if given.

        Returns:
            The closure's loss; None without one.
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
    """Cayley steps for unitary matrices, RMSprop for everything else.

    Args:
        network: What to train.
        lr: Learning rate.
        unitary_lr: That of the unitary matrices; ``lr`` when None.
        options: Of :class:`torch.optim.RMSprop`.

    Source: Wisdom et al. 2016; Wolter and Yao 2018, whose rate is 1e-3 for both and whose ``alpha`` is 0.9.
    """


class StiefelAdam(_Stiefel, torch.optim.Adam):
    """Cayley steps for unitary matrices, Adam for everything else.

    Args:
        network: What to train.
        lr: Learning rate.
        unitary_lr: That of the unitary matrices; ``lr`` when None.
        options: Of :class:`torch.optim.Adam`.
    """


class StiefelAdamW(_Stiefel, torch.optim.AdamW):
    """Cayley steps for unitary matrices, AdamW for everything else, with decay on matrices and kernels alone.

    Args:
        network: What to train.
        lr: Learning rate.
        unitary_lr: That of the unitary matrices; ``lr`` when None.
        options: Of :class:`torch.optim.AdamW`.
    """

    def _sorted(self, network: nn.Module, unitary: set[int]) -> list[dict[str, Any]]:
        decayed = {id(parameter) for parameter in decayed_parameters(network)}
        free = [p for p in network.parameters() if id(p) not in unitary]
        return [
            {"params": [p for p in free if id(p) in decayed]},
            {"params": [p for p in free if id(p) not in decayed], "weight_decay": 0.0},
        ]

"""Wide multilayer networks, complex and real, in the tangent kernel's parametrisation, and inputs for them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from complex_limit import ComplexMoments, complex_limit_kernel, modrelu_moments, split_moments, zrelu_moments
from tangent_kernel import limit_kernel, relu_moments, tanh_moments
from torch import Tensor, nn

from audiocx.nn import ComplexLinear
from audiocx.nn.functional import crelu, modrelu, to_complex, zrelu

FEATURES, INPUT_SEED = 8, 5
# He's: ReLU then keeps the scale of its inputs.
GAIN = math.sqrt(2)
# With a bias of 0, the usual initial value, modReLU is the identity. The magnitudes before it are about 2.
MODRELU_BIAS = -1.0


class Kind(NamedTuple):
    """A network: its activation, and the activation's moments if it is complex, for the limit of infinite width."""

    activation: Callable[[Tensor], Tensor]
    moments: ComplexMoments | None

    @property
    def complex(self) -> bool:
        """Whether the network is complex."""
        return self.moments is not None

    def limit(self, x: Tensor, hidden_layers: int) -> Tensor:
        """Compute the tangent kernel [N, N] of infinite width on inputs [N, 2 FEATURES]."""
        if self.moments is None:
            return limit_kernel(x, relu_moments, hidden_layers, GAIN)
        return complex_limit_kernel(to_complex(x.double()), self.moments, hidden_layers, GAIN)


KINDS = {
    "modReLU": Kind(lambda x: modrelu(x, x.new_full((1,), MODRELU_BIAS)), modrelu_moments(MODRELU_BIAS)),
    "zReLU": Kind(zrelu, zrelu_moments),
    "CReLU": Kind(crelu, split_moments(relu_moments)),
    "split tanh": Kind(torch.tanh, split_moments(tanh_moments)),
    "real ReLU": Kind(torch.relu, None),
}


class Multilayer(nn.Module):
    """A multilayer network in the tangent kernel's parametrisation, without biases.

    Weights, and the real and imaginary parts of complex ones, are of variance 1; a layer multiplies by them and by
    gain / sqrt(n), n being how many real numbers go in: pre-activations of real and complex networks have the same
    variance, and as many real inputs.

    Shape: input [N, 2 FEATURES], real parts first; output [N, 1], of the complex network the real part.

    Args:
        kind: Which.
        width: Units of a hidden layer.
        hidden_layers: Number of hidden layers.
    """

    def __init__(self, kind: Kind, width: int, hidden_layers: int) -> None:
        super().__init__()
        self.kind = kind
        sizes = [FEATURES if kind.complex else 2 * FEATURES, *[width] * hidden_layers, 1]
        layer = ComplexLinear if kind.complex else nn.Linear
        with torch.device("meta"):  # their own initialisation is not needed, and slow
            self.layers = nn.ModuleList(layer(*pair, bias=False) for pair in itertools.pairwise(sizes))
        self.to_empty(device="cpu")
        for parameter in self.parameters():
            nn.init.normal_(parameter)

    def forward(self, x: Tensor) -> Tensor:
        """Return the outputs."""
        return self._trace(x)[1][-1][:, :1]

    def tangent_kernel(self, x: Tensor) -> Tensor:
        """Compute the empirical tangent kernel from the layers' inputs and the gradients in their outputs.

        The gradient in a layer's weights is a product of both, and is never formed. The function of the same name does
        without layers, for any network, at the cost of one such gradient for each input.

        Args:
            x: Inputs [N, 2 FEATURES].

        Returns:
            Shape [N, N].
        """
        inputs, outputs = self._trace(x)
        gradients = torch.autograd.grad(outputs[-1][:, :1].sum(), outputs)
        kernel = x.new_zeros(len(x), len(x))
        for before, gradient in zip(inputs, gradients, strict=True):
            scale = GAIN**2 / before.shape[1]
            if self.kind.complex:
                one, other = (to_complex(part.detach()) for part in (before, gradient))
                kernel += scale * ((other @ other.mH) * (one @ one.mH).conj()).real
            else:
                kernel += scale * (gradient @ gradient.mT) * (before @ before.mT).detach()
        return kernel

    def _trace(self, x: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Return the input and the output of each layer, before activations."""
        inputs: list[Tensor] = []
        outputs: list[Tensor] = []
        for layer in self.layers:
            inputs.append(self.kind.activation(outputs[-1]) if outputs else x)
            outputs.append(layer(inputs[-1]) * (GAIN / math.sqrt(inputs[-1].shape[1])))
        return inputs, outputs


def equal_products(angles: Tensor) -> tuple[Tensor, Tensor]:
    """Return two sets of inputs with the same real products between each other, and different imaginary ones.

    z e^(it), whose complex products are |z|^2 e^(i(t - t')), and z cos t + q sin t, with q orthogonal to z and as long,
    whose products are |z|^2 cos(t - t'), without an imaginary part.

    Args:
        angles: t, float64 [N].

    Returns:
        Two tensors float32 [N, 2 FEATURES], real parts first.
    """
    rng = np.random.default_rng(INPUT_SEED)
    z, q = (rng.standard_normal(FEATURES) + 1j * rng.standard_normal(FEATURES) for _ in range(2))
    q -= z * (z.conj() @ q) / (z.conj() @ z)
    q *= np.linalg.norm(z) / np.linalg.norm(q)
    t = angles.numpy()[:, None]
    turned, mixed = (
        torch.from_numpy(np.concatenate([part.real, part.imag], 1)).float()
        for part in (z * np.exp(1j * t), z * np.cos(t) + q * np.sin(t))
    )
    return turned, mixed

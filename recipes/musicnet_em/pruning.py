"""Pruning of note networks: fewer feature maps between the two convolutions of each residual block.

In each block the maps are removed one by one that the second convolution can do best without: its weights are fitted
anew by least squares to what it gave before, on examples. Training goes on from there (finetune.py).

Source: He, Zhang & Sun, "Channel pruning for accelerating very deep neural networks", 2017; which map to remove next:
Hassibi & Stork, "Second order derivatives for network pruning: optimal brain surgeon", 1993, for groups of weights.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from audiocx.kinds import build
from audiocx.models.note_network import NoteNetwork
from audiocx.nn import ComplexConv2d

__all__ = ["pruned"]

# Positions of the examples that the weights are fitted to, and the weight of small weights in it.
_POSITIONS, _RIDGE = 20_000, 1e-4


@torch.no_grad()
def pruned(network: NoteNetwork, samples: Tensor, maps: int, seed: int = 0) -> NoteNetwork:
    """Return a note network with fewer feature maps inside its residual blocks.

    Args:
        network: A complex network with standardised weights, which is not changed.
        samples: Examples, float32 [B, N] as for the network.
        maps: Complex feature maps that each block keeps.
        seed: Random seed of the positions that are looked at.

    Returns:
        A network without normalisation, to be trained further.
    """
    result: NoteNetwork = build(replace(network.config, norm="none", block_channels=maps))
    generator = torch.Generator().manual_seed(seed)
    x = network.stacked(network.front_end(samples))
    old: Any
    new: Any
    for old, new in zip(network.body, result.body, strict=True):
        if hasattr(old, "scale"):
            first, second = old.body[0], old.body[3]
            hidden = old.body[:3](x)
            kept, weights, shift = _fitted(hidden, second, maps, generator)
            real, imag = first.weights()
            _set(new.body[0], real[kept], imag[kept], _pairs(first.bias)[:, kept].flatten())
            _set(new.body[3], weights.real, weights.imag, second.bias + torch.cat([shift.real, shift.imag]))
            new.scale.copy_(old.scale)
        elif isinstance(old, ComplexConv2d):
            real, imag = old.weights()
            _set(new, real, imag, old.bias)
        else:
            new.load_state_dict(old.state_dict())
        x = new(x)
    return result


def _pairs(parts: Tensor) -> Tensor:
    """Split real from imaginary parts: [2 C, ...] to [2, C, ...]."""
    return parts.unflatten(0, (2, -1))


def _set(layer: Any, real: Tensor, imag: Tensor, bias: Tensor | None) -> None:
    for name, value in (("weight_real", real), ("weight_imag", imag), ("bias", bias)):
        getattr(layer, name).copy_(value)


def _fitted(hidden: Tensor, second: Any, maps: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Choose maps and fit the weights of the convolution over notes that reads them.

    Args:
        hidden: Its input, float32 [B, 2 C, T, P], real parts first.
        second: The convolution, with three taps over notes.
        maps: Maps to keep.
        generator: Of random positions.

    Returns:
        Indices of the maps, [maps], complex weights [O, maps, 1, 3], and what is added to the complex bias, [O].
    """
    real, imag = second.weights()
    wanted = torch.complex(real.double(), imag.double())[:, :, 0].flatten(1)  # [O, C * 3]
    dilation, notes = second.dilation[1], hidden.shape[3]
    padded = nn.functional.pad(hidden, (dilation, dilation))
    taps = torch.stack([padded[..., tap * dilation : tap * dilation + notes] for tap in range(3)], 2)
    rows = taps.permute(0, 3, 4, 1, 2).flatten(0, 2)
    rows = rows[torch.randint(len(rows), (_POSITIONS,), generator=generator)].double()
    values = torch.complex(*rows.unflatten(1, (2, -1)).unbind(1)).flatten(1)  # [positions, C * 3]
    # What varies counts; the bias takes the rest.
    means = values.mean(0)
    values = values - means
    gram = values.T.conj() @ values / len(values)
    gram += _RIDGE * gram.diagonal().real.mean() * torch.eye(len(gram))
    products = gram @ wanted.T
    kept = torch.arange(wanted.shape[1] // 3)
    while True:
        columns = (3 * kept[:, None] + torch.arange(3)).flatten()
        inverse = torch.linalg.inv(gram[columns][:, columns])
        weights = inverse @ products[columns]
        if len(kept) == maps:
            shift = wanted @ means - weights.T @ means[columns]
            return kept, weights.T.unflatten(1, (maps, 1, 3)).cfloat(), shift.cfloat()
        groups = weights.unflatten(0, (-1, 3))
        own = torch.stack([inverse[3 * index : 3 * index + 3, 3 * index : 3 * index + 3] for index in range(len(kept))])
        losses = (groups.conj() * torch.linalg.solve(own, groups)).real.sum((1, 2))
        kept = torch.cat([kept[: (least := int(losses.argmin()))], kept[least + 1 :]])

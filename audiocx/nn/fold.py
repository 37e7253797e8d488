"""Folding of batch normalisation into the preceding convolution, for inference.

Whitening is widely linear (z to a z + b conj(z)), not complex linear, so the folded layer is a general real
convolution over the 2C channels.
"""

from __future__ import annotations

from typing import Any, TypeGuard

import torch
from torch import Tensor, nn

from .conv import ComplexConv1d, ComplexConv2d, ComplexConv3d, ConvolutionBase
from .conv_transpose import ComplexConvTranspose1d, ComplexConvTranspose2d, ComplexConvTranspose3d
from .functional import complex_weight
from .norm import ComplexBatchNorm
from .standardized import StandardizedConv2d

__all__ = ["fold", "fold_sequence"]

_BATCH_NORMS = ((nn.Conv1d, nn.BatchNorm1d), (nn.Conv2d, nn.BatchNorm2d), (nn.Conv3d, nn.BatchNorm3d))
_CONVOLUTIONS: tuple[type[ConvolutionBase], ...] = (
    ComplexConv1d,
    ComplexConv2d,
    ComplexConv3d,
    ComplexConvTranspose1d,
    ComplexConvTranspose2d,
    ComplexConvTranspose3d,
)


@torch.no_grad()
def fold(conv: ConvolutionBase, norm: ComplexBatchNorm | None = None) -> nn.Module:
    """Merge a complex convolution and the normalisation after it into one real convolution.

    Args:
        conv: Complex convolution of I to O complex channels, transposed or not, over one to three axes, without
            groups, in evaluation mode.
        norm: Its normalisation, in evaluation mode; the running statistics are used. None for none.

    Returns:
        Real convolution of 2I to 2O channels, transposed or not, over as many axes, equal to both up to rounding.

    Raises:
        ValueError: The convolution has groups, or pads an even kernel of stride above 1 to "same"; the normalisation
            has other channels, or no running statistics; or one of them is in training mode.
    """
    if reason := _obstacle(conv):
        raise ValueError(f"{reason} cannot be folded; keep it as it is.")
    _check_evaluation(conv, norm)
    real, imag = conv.weights()
    weight = complex_weight(real, -imag).transpose(0, 1) if conv.transposed else complex_weight(real, imag)
    bias = weight.new_zeros(len(weight)) if conv.bias is None else conv.bias
    if norm is not None:
        if not _has_statistics(norm):
            raise ValueError("A normalisation without running statistics cannot be folded; keep it as it is.")
        if 2 * norm.channels != len(weight):
            raise ValueError(f"The convolution has {len(weight) // 2} complex channels, its norm {norm.channels}.")
        (rr, ri, ir, ii), shift = norm.affine()
        weight = _mix(weight, rr, ri, ir, ii)
        bias = _mix(bias[:, None], rr, ri, ir, ii).flatten() + shift
    settings: dict[str, Any] = {name: getattr(conv, name) for name in conv.real_settings}
    if any(getattr(conv, "end_padding", ())):
        settings["padding"] = "same"
    kind: Any = next(complex_kind.real_type for complex_kind in _CONVOLUTIONS if isinstance(conv, complex_kind))
    folded: nn.Module = kind(
        2 * conv.in_channels, 2 * conv.out_channels, conv.kernel_size, dtype=weight.dtype, device="meta", **settings
    )
    folded.weight = nn.Parameter((weight.transpose(0, 1) if conv.transposed else weight).contiguous())
    folded.bias = nn.Parameter(bias)
    return folded.eval()


def _obstacle(conv: ConvolutionBase) -> str | None:
    """Return what keeps a convolution from being a layer of torch.nn."""
    if conv.groups != 1:
        return "A grouped complex convolution"
    if any(getattr(conv, "end_padding", ())) and any(step > 1 for step in conv.stride):
        return "A strided convolution that pads an even kernel to 'same'"
    return None


def _has_statistics(norm: ComplexBatchNorm) -> bool:
    return getattr(norm, "running_mean", None) is not None


def _check_evaluation(*layers: nn.Module | None) -> None:
    for layer in layers:
        if layer is not None and layer.training:
            raise ValueError(f"{type(layer).__name__} is in training mode; call .eval() before folding.")


@torch.no_grad()
def _plain(conv: StandardizedConv2d) -> nn.Conv2d:
    """Return the equal convolution with its weights standardised once."""
    out_channels, in_channels, height, width = conv.weight.shape
    settings: dict[str, Any] = {
        name: getattr(conv, name) for name in ("stride", "padding", "dilation", "groups", "padding_mode")
    }
    plain = nn.Conv2d(in_channels * conv.groups, out_channels, (height, width), device="meta", **settings)
    plain.weight, plain.bias = nn.Parameter(conv.standard_weight()), conv.bias
    return plain.train(conv.training)


def _mix(weight: Tensor, rr: Tensor, ri: Tensor, ir: Tensor, ii: Tensor) -> Tensor:
    real, imag = weight.chunk(2)
    rr, ri, ir, ii = (entry.view(-1, *[1] * (weight.ndim - 1)) for entry in (rr, ri, ir, ii))
    return torch.cat([rr * real + ri * imag, ir * real + ii * imag])


def fold_sequence(layers: list[nn.Module]) -> list[nn.Module]:
    """Fold batch normalisation and weight standardisation into the convolutions of a sequence of layers.

    Args:
        layers: Layers in evaluation mode, complex or real.

    Returns:
        An equal sequence of real convolutions and the layers that cannot be folded, which are shared, not copied.

    Raises:
        ValueError: A layer to be folded is in training mode.

    Examples:
        >>> layers = [ComplexConv2d(1, 2, 3).eval(), ComplexBatchNorm(2).eval()]
        >>> fold_sequence(layers)
        [Conv2d(2, 4, kernel_size=(3, 3), stride=(1, 1))]
    """
    folded: list[nn.Module] = []
    for layer in layers:
        if isinstance(layer, StandardizedConv2d):
            _check_evaluation(layer)
            layer = _plain(layer)
        before = folded[-1] if folded else None
        if isinstance(layer, ComplexBatchNorm) and _foldable(before) and _has_statistics(layer):
            folded[-1] = fold(before, layer)
        elif isinstance(before, nn.Module) and any(type(before) is c and isinstance(layer, n) for c, n in _BATCH_NORMS):
            _check_evaluation(before, layer)
            folded[-1] = nn.utils.fusion.fuse_conv_bn_eval(before, layer)  # type: ignore[arg-type,type-var]
        else:
            folded.append(layer)
    return [fold(layer) if _foldable(layer) else layer for layer in folded]


def _foldable(layer: nn.Module | None) -> TypeGuard[ConvolutionBase]:
    return isinstance(layer, _CONVOLUTIONS) and _obstacle(layer) is None

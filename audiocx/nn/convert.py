"""Networks of other complex-valued libraries as networks of audiocx, with their weights.

Sources: complextorch 2.1.1, https://github.com/josiahwsmith10/complextorch; torchcvnn 0.10.0,
https://github.com/torchcvnn/torchcvnn.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from .activation import CGELU, Cardioid, CPReLU, CReLU, CSigmoid, CTanh, ModReLU, ModTanh, ZReLU
from .channel_maps import ComplexAffine
from .conv import ComplexConv1d, ComplexConv2d, ComplexConv3d, ConvolutionBase
from .conv_transpose import ComplexConvTranspose1d, ComplexConvTranspose2d, ComplexConvTranspose3d
from .dropout import ComplexDropout
from .layer_norm import ComplexGroupNorm, ComplexLayerNorm, ComplexRMSNorm
from .linear import ComplexLinear
from .norm import ComplexBatchNorm
from .pool import (
    ComplexAdaptiveAvgPool1d,
    ComplexAdaptiveAvgPool2d,
    ComplexAdaptiveAvgPool3d,
    ComplexAvgPool1d,
    ComplexAvgPool2d,
    ComplexAvgPool3d,
    ComplexUpsample,
    MagnitudeMaxPool1d,
    MagnitudeMaxPool2d,
    MagnitudeMaxPool3d,
)
from .whitening import START

__all__ = ["from_complextorch", "from_torchcvnn"]

State = Mapping[str, Tensor]
Norm = ComplexBatchNorm | ComplexGroupNorm | ComplexLayerNorm


def from_complextorch(source: nn.Module | State, into: nn.Module | None = None) -> nn.Module:
    """Return a network of audiocx that computes what a network of complextorch does.

    Containers and modules of your own are copied, with their layers replaced: convolutions, ``Linear``, ``BatchNorm``,
    activations, dropout and pools of complextorch, and complex convolutions and ``Linear`` of ``torch.nn``. Real
    layers of ``torch.nn`` stay. The network then takes native complex tensors, as before, or real channels.

    A normalisation whose affine matrix is not symmetric, as after training, becomes two layers:
    :class:`ComplexBatchNorm` without gamma, and :class:`ComplexAffine`. Dropout zeroes whole complex numbers, where
    complextorch has a mask for each part.

    Args:
        source: The network; or its state dict, for which complextorch need not be installed.
        into: For a state dict, a network of audiocx of the same structure and names, whose weights do not matter; it
            is not changed.

    Returns:
        A new network in the same mode, on the same device, of the real dtype of the source's parameters.

    Raises:
        ValueError: A layer has no counterpart, an entry of the state dict has no place or is missing, or ``into`` is
            missing.

    Examples:
        >>> state = {"0.linear.weight": torch.ones(3, 2, dtype=torch.complex64)}
        >>> network = from_complextorch(state, nn.Sequential(ComplexLinear(2, 3, bias=False)))
        >>> network[0].weight_real.shape
        torch.Size([3, 2])
    """
    return _convert("complextorch", source, into)


def from_torchcvnn(source: nn.Module | State, into: nn.Module | None = None) -> nn.Module:
    """Return a network of audiocx that computes what a network of torchcvnn does.

    As :func:`from_complextorch`. Three things differ: in training, torchcvnn divides covariances by N - 1 instead of N;
    its ``MaxPool2d`` takes all values from the first channel of the first sample, which its counterpart does not; and
    ``zReLU`` returns 0 on the axes.

    Args:
        source: The network; or its state dict, for which torchcvnn need not be installed.
        into: For a state dict, a network of audiocx of the same structure and names, whose weights do not matter; it
            is not changed.

    Returns:
        A new network in the same mode, on the same device, of the real dtype of the source's parameters.

    Raises:
        ValueError: A layer has no counterpart, an entry of the state dict has no place or is missing, or ``into`` is
            missing.
    """
    return _convert("torchcvnn", source, into)


def _convert(library: str, source: nn.Module | State, into: nn.Module | None) -> nn.Module:
    if isinstance(source, nn.Module):
        return _Layers(library).convert(source, "")
    if into is None:
        raise ValueError("A state dict does not tell the layers; give a network of audiocx of that structure, too.")
    return _Entries(library, source).loaded(into)


# From the entries of a layer to those of its counterpart.


def _weights(entries: State) -> State:
    """Entries of a convolution or linear layer."""
    if "m_real.weight" in entries:  # torchcvnn's transposed convolution consists of two real ones
        weight = torch.complex(entries["m_real.weight"], entries["m_imag.weight"])
        bias = None
        if "m_real.bias" in entries:  # each is added twice
            real, imag = entries["m_real.bias"], entries["m_imag.bias"]
            bias = torch.complex(real - imag, real + imag)
    else:  # complextorch's have one of torch.nn inside
        own = {name.rpartition(".")[-1]: value for name, value in entries.items()}
        weight, bias = own["weight"], own.get("bias")
    state = {"weight_real": weight.real.clone(), "weight_imag": weight.imag.clone()}
    return state if bias is None else {**state, "bias": torch.cat([bias.real, bias.imag])}


def _symmetric(matrices: Tensor) -> Tensor:
    """Return the rows rr, ii, ri of symmetric matrices [2, 2, *]."""
    return torch.stack([matrices[0, 0], matrices[1, 1], matrices[0, 1]])


def _norm(library: str, norm: Norm, entries: State) -> tuple[State, State]:
    """Entries of the normalisation, and of the :class:`ComplexAffine` after it: none where it takes none."""

    def matrices(name: str) -> Tensor:
        return entries[name] if library == "complextorch" else entries[name].permute(1, 2, 0)

    def numbers(name: str) -> Tensor:
        value = entries[name]
        return torch.cat([value.real, value.imag]) if value.is_complex() else value.flatten(0, 1).clone()

    state: dict[str, Tensor] = {}
    if "running_var" in entries:
        cov = _symmetric(matrices("running_var"))
        if library == "complextorch":  # which adds eps before it tracks them
            cov[:2] -= norm.eps
        state = {"running_mean": numbers("running_mean"), "running_cov": cov, "running_cov_rest": torch.zeros_like(cov)}
        if isinstance(norm, ComplexBatchNorm) and norm.momentum is None:
            state["num_batches_tracked"] = entries["num_batches_tracked"].clone()
    if "weight" not in entries:  # ours has a gain without gamma, theirs has none
        gamma = next(iter(state.values()), torch.empty(0)).new_ones(norm.state_dict()["gamma"].shape)
        gamma[2] = 0
        zero = {"beta": torch.zeros_like(gamma[:2]).flatten(0, 1)} if "beta" in norm.state_dict() else {}
        return state | {"gamma": gamma} | zero, {}
    weight, bias = matrices("weight"), {"bias": numbers("bias")} if "bias" in entries else {}
    if torch.equal(weight[0, 1], weight[1, 0]):
        return state | {"gamma": _symmetric(weight)} | ({"beta": bias["bias"]} if bias else {}), {}
    if weight.ndim > 3:
        raise ValueError("their affine matrices over several axes are not symmetric, and have no counterpart")
    # Without gamma, ours has a gain.
    return state, {"weight": weight.flatten(0, 1) / START[norm.variant], **bias}


def _without_gamma(norm: Norm, **options: Any) -> Norm:
    """Return a normalisation of the same settings without gamma and beta."""
    if isinstance(norm, ComplexBatchNorm):
        options |= {"momentum": norm.momentum, "track_running_stats": norm.track_running_stats}
        return ComplexBatchNorm(norm.channels, norm.eps, affine=False, **options)
    if isinstance(norm, ComplexGroupNorm):
        return ComplexGroupNorm(norm.num_groups, norm.channels, norm.eps, norm.variant, affine=False, **options)
    return type(norm)(norm.normalized_shape, norm.eps, norm.variant, elementwise_affine=False, **options)


def _filled(layer: nn.Module, library: str, entries: State, path: str) -> nn.Module:
    """Load a layer's weights from the other library's entries; return it, or what takes its place."""
    tensor = next(iter(layer.state_dict().values()), torch.empty(0))
    options: dict[str, Any] = {"device": tensor.device, "dtype": tensor.dtype}
    added: State = {}
    try:
        if isinstance(layer, (ComplexBatchNorm, ComplexGroupNorm, ComplexLayerNorm)):
            state, added = _norm(library, layer, entries)
            layer = _without_gamma(layer, **options) if added else layer
        elif isinstance(layer, ModReLU):  # theirs have one number for all channels, or one for each
            (bias,) = entries.values()
            state = {"bias": bias.expand(len(layer.bias)).clone()}
        elif isinstance(layer, CPReLU):  # theirs have one number for all real parts and one for the imaginary ones
            state = {"weight": torch.cat([slope.expand(len(layer.weight) // 2) for slope in entries.values()])}
        else:
            state = _weights(entries)
        layer.load_state_dict(state, assign=tensor.is_meta)
        if not added:
            return layer
        affine = ComplexAffine(len(added["weight"][0]), -1 if isinstance(layer, ComplexLayerNorm) else 1, **options)
        affine.load_state_dict(
            {"bias": torch.zeros_like(added["weight"][:2]).flatten(), **added}, assign=tensor.is_meta
        )
        return nn.Sequential(layer, affine)
    except (KeyError, RuntimeError, ValueError) as error:
        raise ValueError(f"{path or 'The state dict'} does not fit {layer}: {error}") from error


class _Entries:
    """A state dict of another library, to be loaded into a network of audiocx."""

    def __init__(self, library: str, state: State) -> None:
        self.library, self.state, self.left = library, state, set(state)

    def loaded(self, network: nn.Module) -> nn.Module:
        """Return a copy of the network with these weights."""
        network = self._load(copy.deepcopy(network), "")
        if self.left:
            raise ValueError(f"The network has no place for {min(self.left)!r} of the state dict; compare the layers.")
        return network

    def _load(self, layer: nn.Module, path: str) -> nn.Module:
        start = f"{path}." if path else ""
        entries = {name.removeprefix(start): value for name, value in self.state.items() if name.startswith(start)}
        if isinstance(layer, _WITH_WEIGHTS):
            self.left -= {start + name for name in entries}
            return _filled(layer, self.library, entries, path).train(layer.training)
        for name, child in layer.named_children():
            setattr(layer, name, self._load(child, start + name))
        for name, value in layer.state_dict().items():
            if "." in name:
                continue  # of a child
            if name not in entries or entries[name].shape != value.shape:
                raise ValueError(f"The state dict has no {start + name} of {[*value.shape]}; compare it with {layer}.")
            self.left.discard(start + name)
            with torch.no_grad():
                value.copy_(entries[name])
        return layer


# From a layer to its counterpart, without weights.


def _changed(layer: Any, **defaults: Any) -> dict[str, Any]:
    """Return the settings that are not the defaults."""
    settings = {name: getattr(layer, name, default) for name, default in defaults.items()}
    return {name: value for name, value in settings.items() if value != defaults[name]}


def _convolution(layer: Any) -> nn.Module:
    for name in ("conv", "conv_transposed", "m_real"):
        layer = getattr(layer, name, layer)
    ours = _CONVOLUTIONS[type(layer).__name__]
    options = {name: getattr(layer, name) for name in ("stride", "padding", "dilation", "groups")}
    if layer.transposed:
        options["output_padding"] = layer.output_padding
    options |= _changed(layer, padding_mode="zeros")
    return ours(layer.in_channels, layer.out_channels, layer.kernel_size, bias=layer.bias is not None, **options)


def _linear(layer: Any) -> nn.Module:
    layer = getattr(layer, "linear", layer)
    return ComplexLinear(layer.in_features, layer.out_features, layer.bias is not None)


def _batch_norm(layer: Any) -> nn.Module:
    statistics = {"momentum": layer.momentum, "track_running_stats": layer.track_running_stats}
    return ComplexBatchNorm(layer.num_features, layer.eps, **statistics)


def _group_norm(layer: Any) -> nn.Module:
    return ComplexGroupNorm(layer.num_groups, layer.num_channels, layer.eps)


def _layer_norm(layer: Any) -> nn.Module:
    return ComplexLayerNorm(layer.normalized_shape, layer.eps)


def _rms_norm(layer: Any) -> nn.Module:
    return ComplexRMSNorm(layer.normalized_shape, layer.eps, "naive")


def _pool(ours: Callable[..., nn.Module]) -> Callable[[Any], nn.Module]:
    def make(layer: Any) -> nn.Module:
        inner = getattr(layer, "m", layer)
        # torchcvnn's average is one of torch.nn over two axes and the two parts.
        axes = 2 if isinstance(inner, nn.AvgPool3d) and inner is not layer else None
        sizes = {name: getattr(inner, name) for name in ("kernel_size", "stride", "padding")}
        sizes = {name: size if isinstance(size, int) else tuple(size)[:axes] for name, size in sizes.items()}
        others = _changed(inner, dilation=1, ceil_mode=False, count_include_pad=True, divisor_override=None)
        return ours(**sizes, **others, **_changed(layer, return_indices=False))

    return make


def _upsample(layer: Any) -> nn.Module:
    layer = getattr(layer, "up_module", layer)
    options = _changed(layer, align_corners=None, recompute_scale_factor=None)
    return ComplexUpsample(layer.size, layer.scale_factor, layer.mode, **options)


def _plain(ours: Callable[..., nn.Module], *names: str) -> Callable[[Any], nn.Module]:
    return lambda layer: ours(*(getattr(layer, name) for name in names))


_CONVOLUTIONS: dict[str, type[Any]] = {
    "Conv1d": ComplexConv1d,
    "Conv2d": ComplexConv2d,
    "Conv3d": ComplexConv3d,
    "ConvTranspose1d": ComplexConvTranspose1d,
    "ConvTranspose2d": ComplexConvTranspose2d,
    "ConvTranspose3d": ComplexConvTranspose3d,
}
_WITH_WEIGHTS = (
    ConvolutionBase, ComplexLinear, ComplexBatchNorm, ComplexGroupNorm, ComplexLayerNorm, CPReLU, ModReLU,
)  # fmt: skip
_OF_TORCH: dict[str, Callable[[Any], nn.Module]] = {**dict.fromkeys(_CONVOLUTIONS, _convolution), "Linear": _linear}
_COUNTERPARTS: dict[str, dict[str, Callable[[Any], nn.Module]]] = {
    "torch": _OF_TORCH,
    "complextorch": {
        **_OF_TORCH,
        "AdaptiveAvgPool1d": _plain(ComplexAdaptiveAvgPool1d, "output_size"),
        "AdaptiveAvgPool2d": _plain(ComplexAdaptiveAvgPool2d, "output_size"),
        "AdaptiveAvgPool3d": _plain(ComplexAdaptiveAvgPool3d, "output_size"),
        "AvgPool1d": _pool(ComplexAvgPool1d),
        "AvgPool2d": _pool(ComplexAvgPool2d),
        "AvgPool3d": _pool(ComplexAvgPool3d),
        "BatchNorm1d": _batch_norm,
        "BatchNorm2d": _batch_norm,
        "BatchNorm3d": _batch_norm,
        "CGELU": _plain(CGELU),
        "CReLU": _plain(CReLU),
        "CSigmoid": _plain(CSigmoid),
        "CTanh": _plain(CTanh),
        "CVCardiod": _plain(Cardioid),
        "CVPolarTanh": _plain(ModTanh),
        "CVSplitGELU": _plain(CGELU),
        "CVSplitReLU": _plain(CReLU),
        "CVSplitSigmoid": _plain(CSigmoid),
        "CVSplitTanh": _plain(CTanh),
        "Dropout": lambda layer: ComplexDropout(layer.dropout_r.p),
        "GroupNorm": _group_norm,
        "LayerNorm": _layer_norm,
        "MagMaxPool1d": _pool(MagnitudeMaxPool1d),
        "MagMaxPool2d": _pool(MagnitudeMaxPool2d),
        "MagMaxPool3d": _pool(MagnitudeMaxPool3d),
        "RMSNorm": _rms_norm,
        "Upsample": _upsample,
        "zReLU": _plain(ZReLU),
    },
    "torchcvnn": {  # its LayerNorm and RMSNorm take their statistics over the batch
        "AdaptiveAvgPool2d": _plain(ComplexAdaptiveAvgPool2d, "output_size"),
        "AvgPool2d": _pool(ComplexAvgPool2d),
        "BatchNorm1d": _batch_norm,
        "BatchNorm2d": _batch_norm,
        "CGELU": _plain(CGELU),
        "CReLU": _plain(CReLU),
        "CSigmoid": _plain(CSigmoid),
        "CTanh": _plain(CTanh),
        "Cardioid": _plain(Cardioid),
        "ConvTranspose2d": _convolution,
        "Dropout": _plain(ComplexDropout, "p"),
        "MaxPool2d": _pool(MagnitudeMaxPool2d),
        "Upsample": _upsample,
        "zReLU": _plain(ZReLU),
    },
}
# With numbers for all channels, which are those of the layer before.
_PER_CHANNEL: dict[str, Callable[[int], nn.Module]] = {
    "AdaptiveModReLU": ModReLU,
    "CPReLU": CPReLU,
    "modReLU": ModReLU,
}


class _Layers:
    """Converts a tree of modules, in the order in which they are registered."""

    def __init__(self, library: str) -> None:
        self.library = library
        self.channels: int | None = None  # of the last convolution or linear layer

    def convert(self, module: nn.Module, path: str) -> nn.Module:
        """Return the counterpart of a module, or a copy of it with counterparts of its children."""
        library = type(module).__module__.partition(".")[0]
        complex_valued = any(weight.is_complex() for weight in module.parameters(recurse=False))
        if library == self.library or (library == "torch" and complex_valued):
            return self._counterpart(module, library, path)
        twin = copy.copy(module)
        twin._parameters, twin._buffers = copy.deepcopy(module._parameters), copy.deepcopy(module._buffers)
        twin._modules = {
            name: child and self.convert(child, f"{path}.{name}" if path else name)
            for name, child in module._modules.items()
        }
        return twin

    def _counterpart(self, module: nn.Module, library: str, path: str) -> nn.Module:
        with torch.device("meta"):
            layer = self._empty(module, library, path)
        if isinstance(layer, (ConvolutionBase, ComplexLinear)):
            self.channels = layer.out_channels if isinstance(layer, ConvolutionBase) else len(layer.weight_real)
        if isinstance(layer, _WITH_WEIGHTS):
            layer = _filled(layer, self.library, module.state_dict(), path)
            if not any(weight.requires_grad for weight in module.parameters()):
                layer.requires_grad_(False)
        return layer.train(module.training)

    def _empty(self, module: nn.Module, library: str, path: str) -> nn.Module:
        """Return the counterpart without its weights."""
        name = type(module).__name__
        where = f"{path or 'The network'}, {library}.nn.{name},"
        if library == self.library and name in _PER_CHANNEL:
            if self.channels is None:
                raise ValueError(f"{where} needs a convolution or linear layer before it, which tells its channels.")
            return _PER_CHANNEL[name](self.channels)
        make = _COUNTERPARTS[library].get(name)
        try:
            if make is not None:
                return make(module)
            reason = "has no counterpart in audiocx.nn"
        except TypeError as error:  # of a setting that ours does not take
            reason = f"has settings that its counterpart does not take ({error})"
        raise ValueError(f"{where} {reason}; replace it before the network is converted.")

"""Networks of other complex-valued libraries as networks of audiocx, with their weights.

Sources: complextorch 2.1.1, https://github.com/josiahwsmith10/complextorch; torchcvnn 0.10.0,
https://github.com/torchcvnn/torchcvnn.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import ConfigError
from .activation import ComplexDropout, CReLU, ModReLU, ZReLU
from .affine import ComplexAffine
from .conv import ComplexConv1d, ComplexConv2d
from .linear import ComplexLinear
from .norm import ComplexBatchNorm
from .pool import ComplexAvgPool1d, ComplexAvgPool2d, MagnitudeMaxPool1d, MagnitudeMaxPool2d

__all__ = ["from_complextorch", "from_torchcvnn"]

State = Mapping[str, Tensor]


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
        ConfigError: A layer has no counterpart, an entry of the state dict has no place or is missing, or ``into`` is
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
        ConfigError: A layer has no counterpart, an entry of the state dict has no place or is missing, or ``into`` is
            missing.
    """
    return _convert("torchcvnn", source, into)


def _convert(library: str, source: nn.Module | State, into: nn.Module | None) -> nn.Module:
    if isinstance(source, nn.Module):
        return _Layers(library).convert(source, "")
    if into is None:
        raise ConfigError("A state dict does not tell the layers; give a network of audiocx of that structure, too.")
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
    """Return the rows rr, ii, ri of symmetric matrices [2, 2, C]."""
    return torch.stack([matrices[0, 0], matrices[1, 1], matrices[0, 1]])


def _norm(library: str, norm: ComplexBatchNorm, entries: State) -> tuple[State, State]:
    """Entries of the normalisation, and of the :class:`ComplexAffine` after it: none where it takes none."""

    def matrices(name: str) -> Tensor:
        return entries[name] if library == "complextorch" else entries[name].permute(1, 2, 0)

    def numbers(name: str) -> Tensor:
        value = entries[name]
        return torch.cat([value.real, value.imag]) if value.is_complex() else value.flatten().clone()

    state: dict[str, Tensor] = {}
    if "running_var" in entries:
        cov = _symmetric(matrices("running_var"))
        if library == "complextorch":  # which adds eps before it tracks them
            cov[:2] -= norm.eps
        state = {"running_mean": numbers("running_mean"), "running_cov": cov, "running_cov_rest": torch.zeros_like(cov)}
        if norm.momentum is None:
            state["num_batches_tracked"] = entries["num_batches_tracked"].clone()
    if "weight" not in entries:
        gamma = next(iter(state.values()), torch.empty(0)).new_ones(3, norm.channels)
        gamma[2] = 0
        return state | {"gamma": gamma, "beta": torch.zeros_like(gamma[:2]).flatten()}, {}
    weight, bias = matrices("weight"), numbers("bias")
    if torch.equal(weight[0, 1], weight[1, 0]):
        return state | {"gamma": _symmetric(weight), "beta": bias}, {}
    # Without gamma both parts have a variance of 1/2.
    return state, {"weight": weight.flatten(0, 1) * math.sqrt(2), "bias": bias}


def _filled(layer: nn.Module, library: str, entries: State, path: str) -> nn.Module:
    """Load a layer's weights from the other library's entries; return it, or what takes its place."""
    tensors = layer.state_dict().values()
    on = {"device": next(iter(tensors)).device, "dtype": next(iter(tensors)).dtype}
    assign, added = on["device"].type == "meta", {}
    try:
        if isinstance(layer, ComplexBatchNorm):
            state, added = _norm(library, layer, entries)
            if added:
                statistics = {"momentum": layer.momentum, "track_running_stats": layer.track_running_stats}
                layer = ComplexBatchNorm(layer.channels, layer.eps, affine=False, **statistics, **on)
        elif isinstance(layer, ModReLU):  # theirs have one number for all channels, or one for each
            (bias,) = entries.values()
            state = {"bias": bias.expand(len(layer.bias)).clone()}
        else:
            state = _weights(entries)
        layer.load_state_dict(state, assign=assign)
        if not added:
            return layer
        affine = ComplexAffine(layer.channels, **on)
        affine.load_state_dict(added, assign=assign)
        return nn.Sequential(layer, affine)
    except (KeyError, RuntimeError, ValueError) as error:
        raise ConfigError(f"{path or 'The state dict'} does not fit {layer}: {error}") from error


class _Entries:
    """A state dict of another library, to be loaded into a network of audiocx."""

    def __init__(self, library: str, state: State) -> None:
        self.library, self.state, self.left = library, state, set(state)

    def loaded(self, network: nn.Module) -> nn.Module:
        """Return a copy of the network with these weights."""
        network = self._load(copy.deepcopy(network), "")
        if self.left:
            raise ConfigError(f"The network has no place for {min(self.left)!r} of the state dict; compare the layers.")
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
                raise ConfigError(f"The state dict has no {start + name} of {[*value.shape]}; compare it with {layer}.")
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
    norm = ComplexBatchNorm(
        layer.num_features, layer.eps, layer.momentum, track_running_stats=layer.track_running_stats
    )
    return norm.requires_grad_(layer.affine)


def _pool(ours: Callable[..., nn.Module]) -> Callable[[Any], nn.Module]:
    def make(layer: Any) -> nn.Module:
        inner, axes = getattr(layer, "m", layer), None
        if isinstance(inner, nn.AvgPool3d) and inner is not layer:  # torchcvnn's, over two axes and the two parts
            axes = 2
        sizes = {name: getattr(inner, name) for name in ("kernel_size", "stride", "padding")}
        sizes = {name: size if isinstance(size, int) else tuple(size)[:axes] for name, size in sizes.items()}
        if not any((sizes["padding"],) if isinstance(sizes["padding"], int) else sizes["padding"]):
            del sizes["padding"]
        others = _changed(inner, dilation=1, ceil_mode=False, count_include_pad=True, divisor_override=None)
        return ours(**sizes, **others, **_changed(layer, return_indices=False))

    return make


def _plain(ours: Callable[..., nn.Module], *names: str) -> Callable[[Any], nn.Module]:
    return lambda layer: ours(*(getattr(layer, name) for name in names))


_CONVOLUTIONS: dict[str, Any] = {"Conv1d": ComplexConv1d, "Conv2d": ComplexConv2d}
_WITH_WEIGHTS = (ComplexBatchNorm, ComplexLinear, ModReLU, *_CONVOLUTIONS.values())
_OF_TORCH: dict[str, Callable[[Any], nn.Module]] = {**dict.fromkeys(_CONVOLUTIONS, _convolution), "Linear": _linear}
_COUNTERPARTS: dict[str, dict[str, Callable[[Any], nn.Module]]] = {
    "complextorch": {
        **_OF_TORCH,
        "AvgPool1d": _pool(ComplexAvgPool1d),
        "AvgPool2d": _pool(ComplexAvgPool2d),
        "BatchNorm1d": _batch_norm,
        "BatchNorm2d": _batch_norm,
        "BatchNorm3d": _batch_norm,
        "CReLU": _plain(CReLU),
        "CVSplitReLU": _plain(CReLU),
        "Dropout": lambda layer: ComplexDropout(layer.dropout_r.p),
        "MagMaxPool1d": _pool(MagnitudeMaxPool1d),
        "MagMaxPool2d": _pool(MagnitudeMaxPool2d),
        "zReLU": _plain(ZReLU),
    },
    "torchcvnn": {
        **{name: make for name, make in _OF_TORCH.items() if "Transpose" in name},
        "AvgPool2d": _pool(ComplexAvgPool2d),
        "BatchNorm1d": _batch_norm,
        "BatchNorm2d": _batch_norm,
        "CReLU": _plain(CReLU),
        "Dropout": _plain(ComplexDropout, "p"),
        "MaxPool2d": _pool(MagnitudeMaxPool2d),
        "zReLU": _plain(ZReLU),
    },
}
# One number for all channels, which are those of the layer before.
_MODRELU = {"complextorch": ("modReLU", "AdaptiveModReLU"), "torchcvnn": ("modReLU",)}


class _Layers:
    """Converts a tree of modules, in the order in which they are registered."""

    def __init__(self, library: str) -> None:
        self.library = library
        self.channels: int | None = None  # of the last layer with weights

    def convert(self, module: nn.Module, path: str) -> nn.Module:
        """Return the counterpart of a module, or a copy of it with counterparts of its children."""
        if (counterpart := self._counterpart(module, path)) is not None:
            return counterpart
        twin = copy.copy(module)
        twin._parameters, twin._buffers = (copy.deepcopy(part) for part in (module._parameters, module._buffers))
        twin._modules = {
            name: child and self.convert(child, f"{path}.{name}" if path else name)
            for name, child in module._modules.items()
        }
        return twin

    def _counterpart(self, module: nn.Module, path: str) -> nn.Module | None:
        name, library = type(module).__name__, type(module).__module__.partition(".")[0]
        complex_valued = any(weight.is_complex() for weight in module.parameters(recurse=False))
        if library != self.library and not (library == "torch" and complex_valued):
            return None
        where = f"{path or 'The network'}, {library}.nn.{name},"
        rules = _OF_TORCH if library == "torch" else _COUNTERPARTS[library]
        try:
            with torch.device("meta"):
                if name in _MODRELU[self.library] and library == self.library:
                    if self.channels is None:
                        raise ConfigError(f"{where} needs a layer before it that tells the number of channels.")
                    layer: nn.Module = ModReLU(self.channels)
                else:
                    layer = rules[name](module)
        except (KeyError, TypeError) as error:  # TypeError: of settings that ours does not take
            settings = f" with these settings: {module}" if name in rules else ""
            raise ConfigError(
                f"{where} has no counterpart in audiocx.nn{settings}; replace it before the network is converted."
            ) from error
        if isinstance(layer, _WITH_WEIGHTS):
            trained = [weight.requires_grad for weight in module.parameters()]
            layer = _filled(layer, library, module.state_dict(), path)
            if not any(trained):
                layer.requires_grad_(False)
            self.channels = next(iter(layer.state_dict().values())).shape[0]
        return layer.train(module.training)

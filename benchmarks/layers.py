"""Complex layers beside other libraries' and the real layer of as many real channels, which is the limit.

python benchmarks/layers.py [--threads N] [--device cuda] [--rounds 5] [--quick] [-o STEM]

Convolutions, linear layers, whitening and activations at the shapes of our networks, read off them; the other layers at
shapes of their own. Forward alone and forward with backward, of a layer in training. Each library gets complex numbers
as it takes them: ours real channels, the innermost axis in memory as in our networks, like the real layer; the others
complex64. All take turns; a figure is the least of the rounds. Prints a Markdown table; with -o also writes it to
STEM.md, and a picture to STEM.png.
benchmarks/README.md tells how to install the others; one that is missing is left out.
"""

from __future__ import annotations

import argparse
import datetime
import platform
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from audiocx import nn as ours
from audiocx.io.atomic_write import atomic_write
from audiocx.kinds import build
from audiocx.models import NoteConfig, TranscriberConfig
from audiocx.nn.functional import to_channels
from audiocx.plots.figure import INK, LINE_COLOURS, new_figure, save_figure

OURS, LIMIT, NATIVE = "audiocx", "real layer", "PyTorch complex64"
PEERS = {
    "complextorch": "complextorch.nn",
    "torchcvnn": "torchcvnn.nn",
    "complexPyTorch": "complexPyTorch.complexLayers",
}
OWN: dict[str, Callable[..., nn.Module]] = {
    "conv": partial(ours.ComplexConv2d, scheme="rayleigh"),  # the weights do not matter; unitary ones take seconds
    "linear": partial(ours.ComplexLinear, scheme="rayleigh"),
    "norm": ours.ComplexBatchNorm,
    "crelu": ours.CReLU,
    "zrelu": ours.ZReLU,
    "modrelu": ours.ModReLU,
}


class SelfAttention(nn.Module):
    """Attention of a sequence to itself, without the weights as a result."""

    def __init__(self, attention: nn.Module, **options: Any) -> None:
        super().__init__()
        self.attention, self.options = attention, options

    def forward(self, x: Tensor) -> Tensor:
        """Attend."""
        return _first(self.attention(x, x, x, **self.options))


@dataclass(frozen=True)
class Other:
    """A layer that our networks do not have.

    Attributes:
        shape: Of its input, complex channels at ``axis``.
        quick_shape: The same with --quick.
        own: Makes our layer, for C complex channels.
        real: Makes the real layer of the same arithmetic, for C complex channels.
        peers: Makes the layer of another library, from its module, for C complex channels.
        axis: Of the channels.
        native: Makes PyTorch's layer of complex dtype.
    """

    shape: tuple[int, ...]
    quick_shape: tuple[int, ...]
    own: Callable[[int], nn.Module]
    real: Callable[[int], nn.Module]
    peers: dict[str, Callable[[Any, int], nn.Module]]
    axis: int = 1
    native: Callable[[int], nn.Module] | None = None


HEADS, WIDER = 4, 2  # of attention; of the layer inside a transformer's
SEQUENCE, QUICK_SEQUENCE = (16, 250, 128), (2, 3, 8)
RECURRENT, QUICK_RECURRENT = (32, 100, 64), (2, 3, 4)
MAPS, QUICK_MAPS = (8, 32, 128, 88), (2, 8, 4, 6)
FRAMES, QUICK_FRAMES = (4, 20, 16, 16), (2, 3, 2, 4)  # of convolutional LSTMs
TRANSPOSED: dict[str, Any] = {"kernel_size": 4, "stride": 2, "padding": 1}


def _of_maps(
    own: Callable[[], nn.Module], real: Callable[[], nn.Module], **others: Callable[[Any], nn.Module]
) -> Other:
    """Return a layer over feature maps that does not depend on their number; ``others`` as ``Other.peers``."""
    of_any: dict[str, Callable[[Any, int], nn.Module]] = {
        name: partial(lambda make, library, channels: make(library), make) for name, make in others.items()
    }
    return Other(MAPS, QUICK_MAPS, lambda channels: own(), lambda channels: real(), of_any)


OTHERS: dict[str, Other] = {
    "transposed conv 4, stride 2,": Other(
        (32, 32, 512),
        (2, 8, 6),
        lambda c: ours.ComplexConvTranspose1d(c, c // 2, scheme="rayleigh", **TRANSPOSED),
        lambda c: nn.ConvTranspose1d(2 * c, c, **TRANSPOSED),
        {"complextorch": lambda t, c: t.ConvTranspose1d(c, c // 2, **TRANSPOSED)},
        native=lambda c: nn.ConvTranspose1d(c, c // 2, dtype=torch.complex64, **TRANSPOSED),
    ),
    "transposed conv 4x4, stride 2,": Other(
        (8, 32, 64, 44),
        QUICK_MAPS,
        lambda c: ours.ComplexConvTranspose2d(c, c // 2, scheme="rayleigh", **TRANSPOSED),
        lambda c: nn.ConvTranspose2d(2 * c, c, **TRANSPOSED),
        {
            "complextorch": lambda t, c: t.ConvTranspose2d(c, c // 2, **TRANSPOSED),
            "torchcvnn": lambda t, c: t.ConvTranspose2d(c, c // 2, dtype=torch.float32, **TRANSPOSED),
            "complexPyTorch": lambda t, c: t.ComplexConvTranspose2d(c, c // 2, **TRANSPOSED),
        },
        native=lambda c: nn.ConvTranspose2d(c, c // 2, dtype=torch.complex64, **TRANSPOSED),
    ),
    "conv 3x3x3": Other(
        (4, 16, 16, 32, 32),
        (1, 2, 3, 4, 3),
        lambda c: ours.ComplexConv3d(c, c, 3, padding=1, scheme="rayleigh"),
        lambda c: nn.Conv3d(2 * c, 2 * c, 3, padding=1),
        {"complextorch": lambda t, c: t.Conv3d(c, c, 3, padding=1)},
        native=lambda c: nn.Conv3d(c, c, 3, padding=1, dtype=torch.complex64),
    ),
    "group norm": Other(
        MAPS,
        QUICK_MAPS,
        lambda c: ours.ComplexGroupNorm(8, c),
        lambda c: nn.GroupNorm(8, 2 * c),
        {"complextorch": lambda t, c: t.GroupNorm(8, c)},
    ),
    "layer norm": Other(
        SEQUENCE,
        QUICK_SEQUENCE,
        ours.ComplexLayerNorm,
        lambda c: nn.LayerNorm(2 * c),
        {"complextorch": lambda t, c: t.LayerNorm(c)},
        -1,
    ),
    "rms norm": Other(
        SEQUENCE,
        QUICK_SEQUENCE,
        ours.ComplexRMSNorm,
        lambda c: nn.RMSNorm(2 * c),
        {"complextorch": lambda t, c: t.RMSNorm(c)},
        -1,
    ),
    "self-attention": Other(
        SEQUENCE,
        QUICK_SEQUENCE,
        lambda c: ours.ComplexMultiheadAttention(c, HEADS, scheme="rayleigh"),
        lambda c: SelfAttention(nn.MultiheadAttention(2 * c, HEADS, batch_first=True), need_weights=False),
        {
            "complextorch": lambda t, c: SelfAttention(t.MultiheadAttention(HEADS, c, c // HEADS, c // HEADS, 0.0)),
            "torchcvnn": lambda t, c: SelfAttention(
                t.MultiheadAttention(c, HEADS, batch_first=True), need_weights=False
            ),
        },
        -1,
    ),
    "transformer encoder layer": Other(
        SEQUENCE,
        QUICK_SEQUENCE,
        lambda c: ours.ComplexTransformerEncoderLayer(c, HEADS, WIDER * c, 0.0),
        lambda c: nn.TransformerEncoderLayer(2 * c, HEADS, WIDER * 2 * c, 0.0, batch_first=True),
        {
            "complextorch": lambda t, c: t.TransformerEncoderLayer(c, HEADS, WIDER * c, 0.0),
            "torchcvnn": lambda t, c: t.TransformerEncoderLayer(c, HEADS, WIDER * c, 0.0, batch_first=True),
        },
        -1,
    ),
    "lstm": Other(
        RECURRENT,
        QUICK_RECURRENT,
        lambda c: ours.ComplexLSTM(c, c),
        lambda c: nn.LSTM(2 * c, 2 * c, batch_first=True),
        {"complextorch": lambda t, c: t.LSTM(c, c, batch_first=True)},
        -1,
    ),
    "gru": Other(
        RECURRENT,
        QUICK_RECURRENT,
        lambda c: ours.ComplexGRU(c, c),
        lambda c: nn.GRU(2 * c, 2 * c, batch_first=True),
        {"complextorch": lambda t, c: t.GRU(c, c, batch_first=True)},
        -1,
    ),
    "conv lstm over one axis": Other(
        FRAMES,
        QUICK_FRAMES,
        lambda c: ours.ComplexConvLSTM(c, c),
        lambda c: ours.ConvLSTM(2 * c, 2 * c, complex=False),
        {},
        2,
    ),
    "conv lstm over two axes": Other(
        (*FRAMES, 12),
        (*QUICK_FRAMES, 3),
        lambda c: ours.ComplexConvLSTM2d(c, c),
        lambda c: ours.ConvLSTM2d(2 * c, 2 * c, complex=False),
        {},
        2,
    ),
    "average pool 2x2": _of_maps(
        lambda: ours.ComplexAvgPool2d(2),
        lambda: nn.AvgPool2d(2),
        complextorch=lambda t: t.AvgPool2d(2),
        torchcvnn=lambda t: t.AvgPool2d(2, 2, 0),
    ),
    "max pool 2x2": _of_maps(
        lambda: ours.MagnitudeMaxPool2d(2),
        lambda: nn.MaxPool2d(2),
        complextorch=lambda t: t.MagMaxPool2d(2),
        torchcvnn=lambda t: t.MaxPool2d(2),
    ),
    "adaptive average pool to 4x4": _of_maps(
        lambda: ours.ComplexAdaptiveAvgPool2d(4),
        lambda: nn.AdaptiveAvgPool2d(4),
        complextorch=lambda t: t.AdaptiveAvgPool2d(4),
        torchcvnn=lambda t: t.AdaptiveAvgPool2d(4),
    ),
    "adaptive max pool to 4x4": _of_maps(lambda: ours.MagnitudeAdaptiveMaxPool2d(4), lambda: nn.AdaptiveMaxPool2d(4)),
    "upsampling by 2, bilinear": _of_maps(
        lambda: ours.ComplexUpsample(scale_factor=2, mode="bilinear"),
        lambda: nn.Upsample(scale_factor=2, mode="bilinear"),
        complextorch=lambda t: t.Upsample(scale_factor=2, mode="bilinear"),
        torchcvnn=lambda t: t.Upsample(scale_factor=2, mode="bilinear"),
    ),
    "cardioid": _of_maps(
        ours.Cardioid, nn.ReLU, complextorch=lambda t: t.CVCardiod(), torchcvnn=lambda t: t.Cardioid()
    ),
    "modtanh": _of_maps(ours.ModTanh, nn.Tanh, complextorch=lambda t: t.CVPolarTanh()),
    "cgelu": _of_maps(ours.CGELU, nn.GELU, complextorch=lambda t: t.CGELU(), torchcvnn=lambda t: t.CGELU()),
    "ctanh": _of_maps(ours.CTanh, nn.Tanh, complextorch=lambda t: t.CTanh(), torchcvnn=lambda t: t.CTanh()),
    "csigmoid": _of_maps(
        ours.CSigmoid, nn.Sigmoid, complextorch=lambda t: t.CSigmoid(), torchcvnn=lambda t: t.CSigmoid()
    ),
    "cprelu": Other(
        MAPS,
        QUICK_MAPS,
        ours.CPReLU,
        lambda c: nn.PReLU(2 * c),
        {"complextorch": lambda t, c: t.CPReLU(), "torchcvnn": lambda t, c: t.CPReLU()},
    ),
}
ACTIVATIONS = ("crelu", "zrelu", "modrelu")
# What one or another library calls them, the name first that no real layer has.
NAMES = {
    "conv": ("ComplexConv2d", "Conv2d"),
    "linear": ("ComplexLinear", "Linear"),
    "norm": ("ComplexBatchNorm2d", "BatchNorm2d"),
    "crelu": ("ComplexReLU", "CReLU"),
    "zrelu": ("zReLU",),
    "modrelu": ("modReLU",),
}
PASSES = ("forward", "forward+backward")
# Of the transcriber; and of the note network, whose frames are a training segment's. --quick: enough to run through.
BATCHES, QUICK_BATCHES = (256, 8), (2, 1)
NOTE_FRAMES, QUICK_NOTE_FRAMES = 256, 8
CUDA_CALLS = 20  # a time, for what starts them not to count more than they do


@dataclass(frozen=True)
class Case:
    """A layer as a network has it.

    Attributes:
        kind: "conv", "linear", "norm", an activation: "crelu", "zrelu", "modrelu"; or one of OTHERS.
        shape: Of its input, complex channels at axis 1.
        maps: Complex channels that come out, of "conv" and "linear".
        how: Further arguments of the convolution.
    """

    kind: str
    shape: tuple[int, ...]
    maps: int = 0
    how: tuple[tuple[str, tuple[int, ...]], ...] = ()

    def __str__(self) -> str:
        size = "x".join(map(str, dict(self.how).get("kernel_size", ())))
        to = f" to {self.maps}" if self.maps else ""
        return " ".join(filter(None, [self.kind, size, f"{list(self.shape)}{to}"]))


def cases(quick: bool) -> list[Case]:
    """Reads off our networks what their layers are given, and adds the others; --quick: one of each kind."""
    batch, note_batch = QUICK_BATCHES if quick else BATCHES
    frames = QUICK_NOTE_FRAMES if quick else NOTE_FRAMES
    notes = NoteConfig(norm="none")  # its convolutions standardise their weights, what is compared does not
    samples = notes.window_samples + frames * notes.hop_samples
    deep, shallow = TranscriberConfig(), TranscriberConfig(architecture="shallow")
    found: dict[Case, None] = {}
    for config, shape in ((deep, (batch, 4096)), (shallow, (batch, 4096)), (notes, (note_batch, samples))):
        found |= dict.fromkeys(_given(config, shape))
    of_kind: dict[str, list[Case]] = {}
    for case in found:
        of_kind.setdefault(case.kind, []).append(case)
    # The heaviest activations stand for all.
    largest = max(of_kind.pop("crelu"), key=lambda case: torch.Size(case.shape).numel())
    listed = [case for some in of_kind.values() for case in (some[:1] if quick else some)]
    others = [Case(kind, other.quick_shape if quick else other.shape) for kind, other in OTHERS.items()]
    return [*listed, *(Case(kind, largest.shape) for kind in ACTIVATIONS), *others]


def _given(config: TranscriberConfig | NoteConfig, shape: tuple[int, ...]) -> list[Case]:
    found: list[Case] = []

    def note(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        batch, channels, *places = inputs[0].shape
        of = (batch, channels // 2, *places)
        if isinstance(layer, ours.ComplexConv2d):
            if max(layer.dilation) > 1:
                return  # the undilated one of the same size stands for it
            out_channels, _, *kernel = layer.weight_real.shape
            how = {"kernel_size": tuple(kernel), "stride": layer.stride, "padding": layer.padding}
            found.append(Case("conv", of, out_channels, tuple(how.items())))
        elif isinstance(layer, ours.ComplexLinear):
            found.append(Case("linear", of, len(layer.weight_real)))
        elif isinstance(layer, (ours.ComplexBatchNorm, ours.CReLU)):
            found.append(Case("norm" if isinstance(layer, ours.ComplexBatchNorm) else "crelu", of))

    with torch.device("meta"):  # nothing is computed
        network = build(config).to("meta")
        for layer in network.modules():
            layer.register_forward_pre_hook(note)
        network(torch.empty(shape))
    return found


def contenders(case: Case) -> dict[str, nn.Module]:
    """Makes the layer of each library that is there and has one."""
    if case.kind in OTHERS:
        return _other_contenders(OTHERS[case.kind], case.shape[OTHERS[case.kind].axis])
    channels, how = case.shape[1], dict(case.how)
    sizes = (channels, case.maps) if case.maps else () if case.kind in ("crelu", "zrelu") else (channels,)
    real: dict[str, Callable[[], nn.Module]] = {
        "conv": lambda: nn.Conv2d(2 * channels, 2 * case.maps, **how),  # type: ignore[arg-type]
        "linear": lambda: nn.Linear(2 * channels, 2 * case.maps),
        "norm": lambda: nn.BatchNorm2d(2 * channels),
    }
    layers: dict[str, nn.Module] = {OURS: OWN[case.kind](*sizes, **how)}
    layers[LIMIT] = real.get(case.kind, nn.ReLU)()
    if case.maps:
        native: Any = nn.Conv2d if case.kind == "conv" else nn.Linear
        layers[NATIVE] = native(*sizes, dtype=torch.complex64, **how)
    for peer, library in peers().items():
        kind = next((getattr(library, name) for name in NAMES[case.kind] if hasattr(library, name)), None)
        if kind is not None:
            layers[peer] = kind() if case.kind in ACTIVATIONS else kind(*sizes, **how)
    return layers


def _other_contenders(other: Other, channels: int) -> dict[str, nn.Module]:
    layers = {OURS: other.own(channels), LIMIT: other.real(channels)}
    if other.native is not None:
        layers[NATIVE] = other.native(channels)
    return layers | {name: other.peers[name](there, channels) for name, there in peers().items() if name in other.peers}


def peers() -> dict[str, ModuleType]:
    """Imports the other libraries that are there."""
    there = {}
    for name, module in PEERS.items():
        try:
            there[name] = import_module(module)
        except ImportError:
            continue
    return there


def timed(
    layers: dict[str, nn.Module], case: Case, device: torch.device, rounds: int
) -> dict[str, tuple[float, float]]:
    """Measures each layer forward, and forward with backward, in turns: the least, in milliseconds."""
    z = torch.randn(case.shape, dtype=torch.complex64, device=device)
    x = to_channels(z, OTHERS[case.kind].axis if case.kind in OTHERS else 1)
    if x.ndim == 4:
        x = x.contiguous(memory_format=torch.channels_last)
    inputs = {name: (x if name in (OURS, LIMIT) else z).clone().requires_grad_() for name in layers}
    best = {name: (float("inf"), float("inf")) for name in layers}
    for layer in layers.values():
        layer.to(device).train()
        for part in layer.modules():
            if hasattr(part, "inplace"):
                part.inplace = False  # type: ignore[assignment]  # what it is given must stay for the next time
    for round_ in range(rounds + 1):
        for name, layer in layers.items():
            took = _took_ms(layer, inputs[name], device)
            if round_:  # the first warms up
                best[name] = (min(best[name][0], took[0]), min(best[name][1], took[1]))
    return best


def _took_ms(layer: nn.Module, x: Tensor, device: torch.device) -> tuple[float, float]:
    weights = [x, *layer.parameters()]

    def forward() -> None:
        with torch.no_grad():
            layer(x)

    def both() -> None:
        y = _first(layer(x))
        torch.autograd.grad(y, weights, torch.ones_like(y))

    return _call_ms(forward, device), _call_ms(both, device)


def _first(y: Any) -> Any:
    """Return the outputs of a layer that also gives its last states, or the weights of its attention."""
    return y[0] if isinstance(y, tuple) else y


def _call_ms(call: Callable[[], Any], device: torch.device) -> float:
    cuda = device.type == "cuda"
    calls = CUDA_CALLS if cuda else 1
    if cuda:
        torch.cuda.synchronize(device)
    began_s = time.perf_counter()
    for _ in range(calls):
        call()
    if cuda:
        torch.cuda.synchronize(device)
    return 1000 * (time.perf_counter() - began_s) / calls


def rows(took: dict[str, tuple[float, float]], names: Iterable[str]) -> Iterator[list[Any]]:
    """Gives, for each pass, its name, our milliseconds, and how many times as long the others take; None: have not."""
    for index, which in enumerate(PASSES):
        own = took[OURS][index]
        yield [which, own, *(took[name][index] / own if name in took else None for name in names)]


def table(results: dict[Case, dict[str, tuple[float, float]]], names: Iterable[str]) -> str:
    """Writes the results as Markdown: times of ours, and how many times as long the others take."""
    names = list(names)
    lines = [f"| layer | pass | {OURS}, ms | {' | '.join(names)} |", f"|---|---|---:|{'---:|' * len(names)}"]
    for case, took in results.items():
        for which, own, *ratios in rows(took, names):
            cells = ["" if ratio is None else f"{ratio:.2f}" for ratio in ratios]
            lines.append(f"| {case} | {which} | {own:.3g} | {' | '.join(cells)} |")
    return "\n".join(lines)


def picture(results: dict[Case, dict[str, tuple[float, float]]], names: Iterable[str], path: Path) -> None:
    """Draws how many times as long as the real layer each takes, a group of bars a layer."""
    shown = [OURS, *(name for name in names if name != LIMIT)]
    figure = new_figure(max(12.0, 2 + 0.8 * len(results)), 8)  # the legend is as wide
    for index, (which, axes) in enumerate(zip(PASSES, figure.subplots(2, 1, sharex=True), strict=True)):
        for number, name in enumerate(shown):
            bars = [(at, took) for at, took in enumerate(results.values()) if name in took]
            places = [at + (number - (len(shown) - 1) / 2) * 0.8 / len(shown) for at, _ in bars]
            heights = [took[name][index] / took[LIMIT][index] for _, took in bars]
            axes.bar(places, heights, 0.8 / len(shown), label=name, color=LINE_COLOURS[number])
        axes.axhline(1, color=INK, linewidth=0.8)
        axes.set_yscale("log")
        axes.set_ylabel(f"{which}: time, {LIMIT} = 1")
        axes.set_xticks(range(len(results)), [str(case) for case in results], rotation=45, ha="right", fontsize=7)
        axes.spines[["top", "right"]].set_visible(False)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside upper center", ncols=len(shown), frameon=False)
    save_figure(figure, path)


def main() -> None:
    """Measures, prints and draws."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, help="of the processor (default: PyTorch's choice)")
    parser.add_argument("--device", type=torch.device, default=torch.device("cpu"), help="(default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="(default: %(default)s)")
    parser.add_argument("--quick", action="store_true", help="one small layer of each kind, to see that it runs")
    parser.add_argument("-o", "--output", type=Path, metavar="STEM", help="also write STEM.md and STEM.png")
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    there = [LIMIT, NATIVE, *peers()]
    results = {
        case: timed(contenders(case), case, arguments.device, arguments.rounds) for case in cases(arguments.quick)
    }
    missing = [f"{name} is not installed and left out." for name in PEERS if name not in there]
    cuda = arguments.device.type == "cuda"
    machine = torch.cuda.get_device_name(arguments.device) if cuda else platform.processor() or platform.machine()
    about = f"{machine}, {torch.get_num_threads()} threads, torch {torch.__version__}, float32, least of "
    about += f"{arguments.rounds} rounds, {datetime.date.today()}. Columns: how many times as long as {OURS}."
    text = "\n".join([about, *missing, "", table(results, there)])
    print(text)
    if arguments.output is not None:
        arguments.output.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(arguments.output.with_suffix(".md")) as temporary:
            temporary.write_text(text + "\n", encoding="utf-8")
        picture(results, there, arguments.output.with_suffix(".png"))


if __name__ == "__main__":
    main()

"""How audiocx.nn and other libraries of complex layers behave in cases that matter, as a Markdown table.

python benchmarks/compared.py [--only TEXT]

The others (complextorch, torchcvnn, cplxmodule) are those that can be imported; the page docs/layers/compared.md says
which versions were run. Each cell is the outcome of a check on the CPU in the form of numbers that the library works
with: real channels in audiocx, native complex tensors in complextorch and torchcvnn, pairs of real tensors in
cplxmodule. "yes" means that the result was compared with what it has to be; an exception is shown by its name.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.metadata
import io
import math
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

Layers = dict[str, Callable[[], nn.Module]]


@dataclass(frozen=True)
class Library:
    """One library: constructors by the name of the layer, and conversions of complex tensors to its form and back."""

    name: str
    layers: Layers
    pack: Callable[[Tensor, Tensor, int], Any]
    unpack: Callable[[Any, int], tuple[Tensor, Tensor]]

    def make(self, name: str) -> nn.Module:
        """Construct a layer; raise Missing if there is none."""
        torch.manual_seed(0)
        if name not in self.layers:
            raise Missing
        return self.layers[name]()


class Missing(Exception):
    """The library has no such layer."""


class Parts(nn.Module):
    """A library's layer as one of real and imaginary parts, so that all take and return the same tensors."""

    def __init__(self, library: Library, layer: nn.Module, dim: int = 1) -> None:
        super().__init__()
        self.layer, self.dim = layer, dim
        self.pack, self.unpack = library.pack, library.unpack

    def forward(self, real: Tensor, imag: Tensor) -> tuple[Tensor, Tensor]:
        """Apply the layer."""
        y = self.layer(self.pack(real, imag, self.dim))
        return self.unpack(y[0] if isinstance(y, tuple) else y, self.dim)


def native(name: str, layers: Layers) -> Library:
    """Return a library of native complex tensors."""
    return Library(name, layers, lambda real, imag, _: torch.complex(real, imag), lambda z, _: (z.real, z.imag))


def audiocx_library() -> Library:
    """Return this one."""
    import audiocx.nn as cx

    layers: Layers = {
        "conv": lambda: cx.ComplexConv1d(3, 4, 3),
        "batch norm": lambda: cx.ComplexBatchNorm(4),
        "layer norm": lambda: cx.ComplexLayerNorm(4),
        "modReLU": lambda: cx.ModReLU(4),
        "average": lambda: cx.ComplexAvgPool1d(2),
        "maximum": lambda: cx.MagnitudeMaxPool1d(2),
        "dropout": lambda: cx.ComplexDropout(0.5),
        "encoder": lambda: cx.ComplexTransformerEncoderLayer(4, 2, 8, 0.0),
    }
    return Library(
        "audiocx", layers, lambda real, imag, dim: torch.cat([real, imag], dim), lambda x, dim: x.chunk(2, dim)
    )


def complextorch_library() -> Library:
    """Return complextorch, whose convolutions wrap torch's own complex ones."""
    import complextorch.nn as cx

    layers: Layers = {
        "conv": lambda: cx.Conv1d(3, 4, 3),
        "batch norm": lambda: cx.BatchNorm1d(4),
        "layer norm": lambda: cx.LayerNorm(4),
        "modReLU": lambda: cx.modReLU(0.0, learnable=True),
        "average": lambda: cx.AvgPool1d(2),
        "maximum": lambda: cx.MagMaxPool1d(2),
        "dropout": lambda: cx.Dropout(0.5),
        "encoder": lambda: cx.TransformerEncoderLayer(4, 2, 8, 0.0),
    }
    return native("complextorch", layers)


def torchcvnn_library() -> Library:
    """Return torchcvnn, which leaves convolutions to torch."""
    cx = importlib.import_module("torchcvnn.nn")

    layers: Layers = {
        "conv": lambda: nn.Conv1d(3, 4, 3, dtype=torch.complex64),  # the library takes torch's own
        "batch norm": lambda: cx.BatchNorm1d(4),
        "layer norm": lambda: cx.LayerNorm(4),
        "modReLU": lambda: cx.modReLU(),
        "maximum 2d": lambda: cx.MaxPool2d(2),
        "dropout": lambda: cx.Dropout(0.5),
        "encoder": lambda: cx.TransformerEncoderLayer(4, 2, 8, 0.0, batch_first=True),
    }
    return native("torchcvnn", layers)


def cplxmodule_library() -> Library:
    """Return cplxmodule, which has a tensor type of its own."""
    cx = importlib.import_module("cplxmodule.nn")
    pair = importlib.import_module("cplxmodule.cplx").Cplx

    layers: Layers = {
        "conv": lambda: cx.CplxConv1d(3, 4, 3),
        "batch norm": lambda: cx.CplxBatchNorm1d(4),
        "modReLU": lambda: cx.CplxModReLU(0.0),
        "maximum": lambda: cx.CplxMaxPool1d(2),
        "dropout": lambda: cx.CplxDropout(0.5),
    }
    return Library("cplxmodule", layers, lambda real, imag, _: pair(real, imag), lambda z, _: (z.real, z.imag))


def noise(*shape: int, scale: float = 1.0) -> tuple[Tensor, Tensor]:
    """Return the real and the imaginary parts of complex noise."""
    torch.manual_seed(1)
    return scale * torch.randn(shape), scale * torch.randn(shape)


def power(parts: tuple[Tensor, Tensor]) -> float:
    """Return half the mean of |z|^2."""
    return (parts[0].double() ** 2 + parts[1].double() ** 2).mean().item()


def network(library: Library) -> Parts:
    """Return a convolution, batch normalisation and modReLU, with running statistics of one batch."""
    net = Parts(library, nn.Sequential(*(library.make(name) for name in ("conv", "batch norm", "modReLU"))))
    with torch.no_grad():
        net(*noise(32, 3, 20))
    return net


def close(actual: Any, expected: Any, tolerance: float = 1e-4) -> str:
    """Return "yes" if results agree, relative to the greatest value."""
    scale = max(part.detach().abs().max().item() for part in expected)
    error = max((a.double() - b.double()).abs().max().item() for a, b in zip(actual, expected, strict=True)) / scale
    return "yes" if error <= tolerance else f"differs by {error:.1g}"


# Checks: each returns a cell.


def equal_parts(library: Library) -> str:
    """Whiten a singular distribution."""
    x, _ = noise(64, 4, 50, scale=1e3)
    y = Parts(library, library.make("batch norm"))(x, x)
    return "finite" if all(part.isfinite().all() for part in y) else "NaN"


def nearly_equal_parts(library: Library) -> str:
    """Whiten a nearly singular distribution; compare the power with that of independent parts."""
    (x, other), norm = noise(64, 4, 50, scale=1e5), Parts(library, library.make("batch norm"))
    expected = power(norm(x, other))
    ratio = power(norm(x, x + 1e-4 * other)) / expected
    return "NaN" if math.isnan(ratio) else f"{ratio:.3g}"


def empty_batch(library: Library) -> str:
    """Train on a batch without samples."""
    norm = Parts(library, library.make("batch norm"))
    norm(*noise(0, 4, 50))
    return "finite" if all(value.isfinite().all() for value in norm.buffers()) else "NaN"


def half_modrelu(library: Library, size: float = 100.0) -> str:
    """Apply modReLU of bias 0, which returns its input."""
    layer = Parts(library, library.make("modReLU").half())
    real, imag = torch.full((1, 4, 1), 3 * size).half(), torch.full((1, 4, 1), 4 * size).half()
    y = layer(real, imag)
    return f"{y[0][0, 0, 0].item():.4g} + {y[1][0, 0, 0].item():.4g}i"


def gradient_at_zero(library: Library) -> str:
    """Differentiate modReLU of bias 0 at 0."""
    x = torch.zeros(1, 4, 1, requires_grad=True), torch.zeros(1, 4, 1, requires_grad=True)
    y = Parts(library, library.make("modReLU"))(*x)
    grads = torch.autograd.grad(y[0].sum() + y[1].sum(), x)
    return "finite" if all(grad.isfinite().all() for grad in grads) else "NaN"


def double(library: Library) -> str:
    """Convert parameters to float64 or complex128; compare with the result in single precision."""
    net, x = network(library).eval(), noise(5, 3, 20)
    expected = net(*x)
    for value in (*net.parameters(), *net.buffers()):
        if value.is_floating_point() or value.is_complex():
            value.data = value.data.to(torch.complex128 if value.is_complex() else torch.float64)
    y = net(*(part.double() for part in x))
    return close(y, expected) if y[0].dtype == torch.float64 else f"result in {y[0].dtype}"


def compiled(library: Library, backend: str = "eager") -> str:
    """Compile a network in training to one graph."""
    torch.compiler.reset()
    net, x = network(library), noise(5, 3, 20)
    expected = net(*x)
    return close(torch.compile(net, fullgraph=True, backend=backend)(*x), expected)


def exported(library: Library) -> str:
    """Export a network, and run the program on a larger batch."""
    net, x = network(library).eval(), noise(5, 3, 20)
    batch = torch.export.Dim("batch", min=2, max=64)
    program = torch.export.export(net, x, dynamic_shapes=({0: batch}, {0: batch}), strict=False)
    larger = noise(9, 3, 20)
    return close(program.module()(*larger), net(*larger))


def onnx(library: Library) -> str:
    """Export a network and run it outside PyTorch."""
    import onnxruntime

    net, x = network(library).eval(), noise(5, 3, 20)
    program = torch.onnx.export(net, x, dynamo=True, verbose=False)
    assert program is not None
    session = onnxruntime.InferenceSession(program.model_proto.SerializeToString(), providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_inputs()]
    outputs = session.run(None, {name: part.numpy() for name, part in zip(names, x, strict=True)})
    return close([torch.from_numpy(y) for y in outputs], net(*x))


def unbatched(library: Library, name: str, channels: int) -> str:
    """Apply a layer to one sample without a batch axis."""
    layer, x = library.make(name), noise(1, channels, 20)
    expected = Parts(library, layer)(*x)
    y = Parts(library, layer, 0)(*(part[0] for part in x))
    return close([part[None] for part in y], expected)


def autocast(library: Library) -> str:
    """Run a network in training under autocast."""
    net, x = network(library), noise(5, 3, 20)
    expected = net(*x)
    with torch.autocast("cpu", torch.bfloat16):
        y = net(*x)
    return close(y, expected, 0.05)


def per_sample(library: Library) -> str:
    """Compare the first of the gradients of each sample with its own."""
    from torch.func import functional_call, grad, vmap

    net, x = network(library).eval(), noise(5, 3, 20)
    weights = {name: weight.detach() for name, weight in net.named_parameters()}

    def loss(weights: dict[str, Tensor], real: Tensor, imag: Tensor) -> Tensor:
        return sum(part.square().sum() for part in functional_call(net, weights, (real[None], imag[None])))

    each = vmap(grad(loss), in_dims=(None, 0, 0))(weights, *x)
    first = grad(loss)(weights, x[0][0], x[1][0])
    return close([torch.view_as_real(g[0].resolve_conj()) if g.is_complex() else g[0] for g in each.values()],
                 [torch.view_as_real(g.resolve_conj()) if g.is_complex() else g for g in first.values()])  # fmt: skip


def samples_apart(library: Library, name: str) -> str:
    """Compare a sample's result in a batch with that alone."""
    layer, x = Parts(library, library.make(name).eval(), -1), noise(3, 6, 4)
    y = layer(*x)
    return close([part[1:2] for part in y], layer(*(part[1:2] for part in x)))


def one_mask(library: Library) -> str:
    """Look which numbers are zeroed together."""
    real, imag = Parts(library, library.make("dropout"))(torch.ones(50, 4, 20), torch.ones(50, 4, 20))
    if not torch.equal(real == 0, imag == 0):
        return "masks of both parts differ"
    rows = (real == 0).flatten(2)
    return "one mask, of whole maps" if torch.equal(rows.all(-1), rows.any(-1)) else "one mask, of numbers"


def maximum(library: Library) -> str:
    """Compare with the number of greatest magnitude in each window."""
    planes = "maximum 2d" in library.layers
    layer = Parts(library, library.make("maximum 2d" if planes else "maximum"))
    x = noise(2, 4, 6, 6) if planes else noise(2, 4, 12)
    real, imag = layer(*x)
    windows = [part.unfold(-1, 2, 2) for part in x]
    windows = [part.unfold(2, 2, 2).flatten(-2) for part in windows] if planes else windows
    index = torch.hypot(*windows).argmax(-1, keepdim=True)
    expected = [part.gather(-1, index)[..., 0] for part in windows]
    return "by magnitude" if close((real, imag), expected) == "yes" else "not by magnitude"


def saved(library: Library) -> str:
    """Load the weights into another network."""
    net, file = network(library).eval(), io.BytesIO()
    torch.save(net.layer.state_dict(), file)
    file.seek(0)
    twin = network(library).eval()
    twin.layer.load_state_dict(torch.load(file, weights_only=True))
    return close(twin(*noise(5, 3, 20)), net(*noise(5, 3, 20)))


NET = "convolution, batch norm, modReLU: "
CHECKS: dict[str, Callable[[Library], str]] = {
    "batch norm, float32, re = im at scale 1e3: result": equal_parts,
    "batch norm, float32, im = re + 1e-4 noise at scale 1e5: power of the result (1 is right)": nearly_equal_parts,
    "batch norm: running statistics after an empty batch": empty_batch,
    "modReLU in float16 at 300 + 400i": half_modrelu,
    "modReLU in float16 at 0.0003 + 0.0004i": lambda library: half_modrelu(library, 1e-4),
    "modReLU: gradient at 0": gradient_at_zero,
    NET + "complex128 throughout": double,
    NET + "`torch.compile(fullgraph=True)`, eager backend": compiled,
    NET + "`torch.compile(fullgraph=True)`, Inductor": lambda library: compiled(library, "inductor"),
    NET + "`torch.export`, batch of any size": exported,
    NET + "ONNX, run by onnxruntime": onnx,
    NET + "bfloat16 autocast": autocast,
    NET + "gradients of each sample by `vmap`": per_sample,
    NET + "`state_dict` saved and loaded": saved,
    "unbatched input: convolution": lambda library: unbatched(library, "conv", 3),
    "unbatched input: average pooling": lambda library: unbatched(library, "average", 4),
    "layer norm: samples do not depend on each other": lambda library: samples_apart(library, "layer norm"),
    "encoder layer, batch first: samples do not depend on each other": lambda library: samples_apart(
        library, "encoder"
    ),
    "dropout": one_mask,
    "max pooling": maximum,
}


def cell(name: str, check: Callable[[Library], str], library: Library) -> str:
    """Return the outcome of a check."""
    try:
        return check(library)
    except Missing:
        return "no such layer"
    except Exception as error:
        print(f"{library.name}: {name}: {' '.join(str(error).split())[:300]}", file=sys.stderr)
        return f"`{type(error).__name__}`"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="rows whose name has this text")
    only = parser.parse_args().only
    warnings.simplefilter("ignore")
    libraries = []
    for make in (audiocx_library, complextorch_library, torchcvnn_library, cplxmodule_library):
        try:
            libraries.append(make())
        except ImportError as error:
            print(f"Left out: {error}")
    print(f"PyTorch {importlib.metadata.version('torch')}\n")
    print("| | " + " | ".join(library.name for library in libraries) + " |\n|---|" + "---|" * len(libraries))
    for name, check in CHECKS.items():
        if only in name:
            print(f"| {name} | " + " | ".join(cell(name, check, library) for library in libraries) + " |", flush=True)


if __name__ == "__main__":
    main()

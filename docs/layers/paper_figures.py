"""Figures 5 and 6 of "Deep Complex Networks", with numbers: python docs/layers/paper_figures.py standardization.

"standardization": 250 complex numbers under random 2x2 maps and a normalisation after each, naive or whitening; prints
how far their distribution is from round. "phases": what CReLU, zReLU and modReLU keep of a complex number, region by
region of the plane, and where they move a normal distribution. Each writes a picture of its name.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.colors import ListedColormap
from matplotlib.patches import Patch
from torch import Tensor, nn

from audiocx.nn import ComplexBatchNorm, CReLU, ModReLU, ZReLU
from audiocx.nn.norm import NormVariant

OUT = Path(__file__).parent / "img"
BLUE, ORANGE, GREY = "#2f6db3", "#e07b39", "#9a9a9a"
POINTS, LAYERS, SEEDS = 250, 12, 100
SHOWN = (0, 2, 4, 8, 12)
LIMIT, SIDE, BIAS = 2.0, 201, -0.8
# What an activation keeps, and its colour.
KEPT = {"nothing": "white", "real part": "#7fb77e", "imaginary part": "#8fb4d9", "both, phase unchanged": "#f0a868"}


def through_layers(variant: NormVariant) -> list[Tensor]:
    """Return 250 complex numbers, complex64 [250, SEEDS], at first and after each random 2x2 map and norm."""
    generator = torch.Generator().manual_seed(0)
    found = [torch.randn(POINTS, SEEDS, dtype=torch.complex64, generator=generator)]
    norm = ComplexBatchNorm(SEEDS, variant=variant)
    for _ in range(LAYERS):
        maps = torch.randn(SEEDS, 2, 2, generator=generator)
        mixed = torch.einsum("nsi,sij->nsj", torch.view_as_real(found[-1]), maps)
        found.append(norm(torch.view_as_complex(mixed.contiguous())).detach())
    return found


def roundness(z: Tensor) -> np.ndarray:
    """Return the ratios of the short to the long axis of the ellipses of one standard deviation, float64 [SEEDS]."""
    parts = torch.view_as_real(z).double().transpose(0, 1)
    parts = parts - parts.mean(1, keepdim=True)
    axes = torch.linalg.eigvalsh(parts.mT @ parts).clamp_min(0).sqrt()
    ratios: np.ndarray = (axes[:, 0] / axes[:, 1]).numpy()
    return ratios


def standardization(out: Path) -> None:
    """Draw Figure 5 and print its numbers."""
    figure, rows = plt.subplots(2, len(SHOWN) + 1, figsize=(15, 5.4), layout="constrained")
    variants: tuple[NormVariant, ...] = ("naive", "whitening")
    for row, variant in zip(rows, variants, strict=True):
        layers = through_layers(variant)
        for axes, layer in zip(row, SHOWN, strict=False):
            z = layers[layer][:, 0]
            axes.scatter(z.real.numpy(), z.imag.numpy(), s=5, color=BLUE, alpha=0.6, linewidths=0)
            axes.set(xlim=(-3, 3), ylim=(-3, 3), aspect="equal", title="input" if layer == 0 else f"layer {layer}")
        row[0].set_ylabel(f"{variant}\nIm")
        middle = [float(np.median(roundness(z))) for z in layers]
        row[-1].semilogy(middle, "o-", color=ORANGE, markersize=3)
        row[-1].set(title="short axis / long axis", ylim=(1e-5, 3), xlabel="layer")
        print(f"{variant}: short axis / long axis after {LAYERS} layers {middle[-1]:.1g} (median of {SEEDS} seeds)")
    for axes in rows[1, :-1]:
        axes.set_xlabel("Re")
    _save(out, "standardization.png")


def kept(layer: nn.Module, z: Tensor) -> Tensor:
    """Return what a layer keeps of each number, as an index into KEPT.

    Args:
        layer: The activation, of one channel.
        z: complex64 [N].

    Returns:
        int64 [N]: where its derivatives vanish, nothing; where they have rank 1, the part that is not constant; where
        they have rank 2, both.
    """
    parts = torch.view_as_real(z).clone().requires_grad_()
    y = layer(parts)
    rows = [torch.autograd.grad(y[:, part].sum(), parts, retain_graph=True)[0] for part in (0, 1)]
    both = (rows[0][:, 0] * rows[1][:, 1] - rows[0][:, 1] * rows[1][:, 0]).abs() > 1e-6
    unchanged = ((torch.view_as_complex(y.detach()) / z).angle().abs() < 1e-4) & both
    assert torch.equal(unchanged, both)
    return torch.where(both, 3, rows[0].abs().amax(1).gt(1e-6).long() + 2 * rows[1].abs().amax(1).gt(1e-6).long())


def phases(out: Path) -> None:
    """Draw Figure 6 and print the shares of what is kept of a normal distribution."""
    modrelu = ModReLU(1)
    nn.init.constant_(modrelu.bias, BIAS)
    layers = {"CReLU": CReLU(), "zReLU": ZReLU(), f"modReLU, b = {BIAS}": modrelu}
    axis = torch.linspace(-LIMIT, LIMIT, SIDE + 1)[:-1] + LIMIT / SIDE  # not on the axes, where derivatives jump
    grid = torch.complex(axis.expand(SIDE, SIDE), axis[:, None].expand(SIDE, SIDE)).flatten()
    z = torch.randn(2000, dtype=torch.complex64) * 2**0.5
    shown = {"vmin": -np.pi, "vmax": np.pi, "cmap": "twilight", "s": 6, "linewidths": 0}
    figure, (top, bottom) = plt.subplots(2, 4, figsize=(13, 6.6), layout="constrained")
    top[0].axis("off")
    top[0].legend(handles=[Patch(facecolor=c, edgecolor=GREY, label=k) for k, c in KEPT.items()], title="kept", loc=10)
    for upper, lower, (name, layer) in zip(top[1:], bottom[1:], layers.items(), strict=True):
        regions = kept(layer, grid).view(SIDE, SIDE)
        upper.imshow(
            regions.numpy(),
            origin="lower",
            extent=[-LIMIT, LIMIT] * 2,
            cmap=ListedColormap(list(KEPT.values())),
            vmin=0,
            vmax=3,
        )
        upper.set_title(name)
        y = layer(z[:, None])[:, 0].detach()
        lower.scatter(y.real.numpy(), y.imag.numpy(), c=z.angle().numpy(), **shown)
        shares = torch.bincount(kept(layer, z), minlength=4) / len(z)
        print(f"{name}: " + ", ".join(f"{key} {share:.0%}" for key, share in zip(KEPT, shares.tolist(), strict=True)))
    points = bottom[0].scatter(z.real.numpy(), z.imag.numpy(), c=z.angle().numpy(), **shown)
    bottom[0].set_title("input")
    for axes in (*bottom, *top[1:]):
        axes.axhline(0, color=GREY, linewidth=0.6, zorder=0)
        axes.axvline(0, color=GREY, linewidth=0.6, zorder=0)
        axes.set(xlim=(-3.2, 3.2) if axes in bottom else None, ylim=(-3.2, 3.2) if axes in bottom else None, aspect=1)
        axes.set_xlabel("Re")
    bottom[0].set_ylabel("Im")
    top[1].set_ylabel("Im")
    figure.colorbar(points, ax=bottom, label="phase of the input (rad)")
    _save(out, "phases.png")


def _save(out: Path, name: str) -> None:
    plt.savefig(out / name, dpi=110)
    plt.close()


def main() -> None:
    """Draw one figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    figures = {"standardization": standardization, "phases": phases}
    parser.add_argument("figure", choices=list(figures))
    parser.add_argument("-o", "--output", type=Path, default=OUT, help="folder of the picture (default: %(default)s)")
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    figures[arguments.figure](arguments.output)


if __name__ == "__main__":
    main()

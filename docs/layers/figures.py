"""Figures of the pages on complex layers: python docs/layers/figures.py writes docs/layers/img/*.png."""

from __future__ import annotations

import math
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axes import Axes
from torch import Tensor

from audiocx.nn import (
    Cardioid,
    ComplexAvgPool1d,
    ComplexBatchNorm,
    ComplexConv1d,
    ComplexLinear,
    ComplexStateMatrix,
    CReLU,
    MagnitudeMaxPool1d,
    ModReLU,
    ModTanh,
    ZReLU,
)
from audiocx.nn.init import rayleigh_, unitary_
from audiocx.optim import StiefelRMSprop, cayley_step_, unitary_drift

OUT = Path(__file__).parent / "img"
BLUE, ORANGE, GREY = "#2f6db3", "#e07b39", "#9a9a9a"


def plane(axes: Axes, title: str, limit: float, labels: bool = True) -> None:
    """Draw the axes of a complex plane."""
    axes.axhline(0, color=GREY, linewidth=0.6, zorder=0)
    axes.axvline(0, color=GREY, linewidth=0.6, zorder=0)
    axes.set(xlim=(-limit, limit), ylim=(-limit, limit), aspect="equal", title=title)
    if labels:
        axes.set(xlabel="Re", ylabel="Im")


def save(name: str) -> None:
    """Write the current figure."""
    plt.savefig(OUT / name, dpi=110)
    plt.close()


def scatter(axes: Axes, z: Tensor, colour: str = BLUE, size: float = 4) -> None:
    """Plot complex numbers as points."""
    z = z.detach().flatten()
    axes.scatter(z.real, z.imag, s=size, color=colour, alpha=0.6, linewidths=0)


def arrow(axes: Axes, value: complex, style: dict[str, object]) -> None:
    """Draw an arrow from 0 to a complex number."""
    axes.annotate("", (value.real, value.imag), (0, 0), arrowprops=style)


def linear() -> None:
    """A grid before and after complex multiplication: rotation and scaling."""
    layer = ComplexLinear(1, 1, bias=False)
    with torch.no_grad():
        layer.weight_real.fill_(0.8 * math.cos(0.6))
        layer.weight_imag.fill_(0.8 * math.sin(0.6))
    line = torch.linspace(-1, 1, 50)
    figure, (before, after) = plt.subplots(1, 2, figsize=(7, 3.5), layout="constrained")
    for level in torch.linspace(-1, 1, 9):
        for z, colour in (
            (torch.complex(line, level.expand(50)), BLUE),
            (torch.complex(level.expand(50), line), ORANGE),
        ):
            out = layer(z[:, None])[:, 0].detach()
            before.plot(z.real, z.imag, color=colour, linewidth=1)
            after.plot(out.real, out.imag, color=colour, linewidth=1)
    plane(before, "$z$", 1.3)
    plane(after, r"$Wz$ with $W = 0.8\,e^{0.6i}$", 1.3)
    save("linear.png")


def convolution() -> None:
    """A complex kernel as a band-pass filter of one sign of frequency."""
    time = torch.arange(128)
    up, down = torch.polar(torch.ones(128), 0.5 * time), torch.polar(torch.ones(128), -0.5 * time)
    kernel = torch.polar(torch.hann_window(25), 0.5 * torch.arange(25.0))
    layer = ComplexConv1d(1, 1, 25, padding="same", bias=False)
    with torch.no_grad():  # the layer correlates: conjugate for a matched filter
        layer.weight_real.copy_(kernel.real / 12)
        layer.weight_imag.copy_(-kernel.imag / 12)
    figure, rows = plt.subplots(2, 2, figsize=(8, 3.8), sharex=True, sharey=True, layout="constrained")
    for row, z, name in zip(rows, (up, down), (r"$e^{0.5it}$", r"$e^{-0.5it}$"), strict=True):
        y = layer(z[None, None])[0, 0].detach()
        for axes, values, title in ((row[0], z, f"input {name}"), (row[1], y, "output")):
            axes.plot(values.real, color=BLUE, label="Re")
            axes.plot(values.imag, color=ORANGE, label="Im")
            axes.set(title=title, ylim=(-1.3, 1.3))
    rows[1, 1].legend(loc="upper right", ncols=2, fontsize=8)
    for axes in rows[1]:
        axes.set_xlabel("t")
    save("convolution.png")


def normalization() -> None:
    """Points before normalisation, after the naive variant and after whitening."""
    noise = torch.randn(800, 1, dtype=torch.complex64)
    z = 1 + 0.5j + noise.real * (1.4 + 0.8j) + 0.35j * noise.imag
    figure, panels = plt.subplots(1, 3, figsize=(10, 3.5), layout="constrained")
    outputs = (z, ComplexBatchNorm(1, variant="naive")(z), ComplexBatchNorm(1)(z))
    titles = ("input", 'variant="naive"', 'variant="whitening"')
    for axes, values, title, limit in zip(panels, outputs, titles, (5, 3, 3), strict=True):
        scatter(axes, values)
        plane(axes, title, limit)
    save("normalization.png")


def activation() -> None:
    """Magnitude and phase of the outputs over the complex plane."""
    axis = torch.linspace(-2, 2, 300)
    z = torch.complex(axis.expand(300, 300), axis.flip(0)[:, None].expand(300, 300)).reshape(-1, 1)
    modrelu = ModReLU(1)
    torch.nn.init.constant_(modrelu.bias, -0.8)
    maps = {"z": z, "CReLU": CReLU()(z), "ZReLU": ZReLU()(z), "ModReLU, b = −0.8": modrelu(z).detach()}
    maps |= {"Cardioid": Cardioid()(z), "ModTanh": ModTanh()(z)}
    figure, rows = plt.subplots(2, 6, figsize=(14, 4.8), sharex=True, sharey=True, layout="constrained")
    for column, (name, values) in enumerate(maps.items()):
        grid = values.reshape(300, 300).numpy()
        extent = (-2, 2, -2, 2)
        magnitude = rows[0, column].imshow(np.abs(grid), extent=extent, vmin=0, vmax=2.8, cmap="viridis")
        phase = np.ma.masked_where(np.abs(grid) == 0, np.angle(grid))
        phases = rows[1, column].imshow(phase, extent=extent, vmin=-np.pi, vmax=np.pi, cmap="twilight")
        rows[0, column].set_title(name)
        rows[1, column].set_xlabel("Re")
        rows[1, column].set_facecolor("white")
    rows[0, 0].set_ylabel("Im")
    rows[1, 0].set_ylabel("Im")
    figure.colorbar(magnitude, ax=rows[0], label="magnitude", shrink=0.9)
    figure.colorbar(phases, ax=rows[1], label="phase (rad), white: output 0", shrink=0.9)
    save("activation.png")


def pooling() -> None:
    """Windows of three numbers and what either pool returns."""
    z = torch.tensor([0.4 + 0.9j, 1.5 + 0.4j, 0.9 - 0.4j, -1.2 + 0.8j, -0.5 - 0.6j, -0.3 + 1.2j])
    average, largest = (pool(3)(z[None, None])[0, 0] for pool in (ComplexAvgPool1d, MagnitudeMaxPool1d))
    figure, panels = plt.subplots(1, 2, figsize=(7.5, 3.9), layout="constrained")
    for axes, out, title in zip(
        panels, (average, largest), ("ComplexAvgPool1d(3)", "MagnitudeMaxPool1d(3)"), strict=True
    ):
        for window, colour in enumerate((BLUE, ORANGE)):
            for value in z[3 * window : 3 * window + 3].tolist():
                axes.annotate(
                    "", (value.real, value.imag), (0, 0), arrowprops={"arrowstyle": "->", "color": colour, "alpha": 0.5}
                )
            value = out[window].item()
            axes.annotate(
                "", (value.real, value.imag), (0, 0), arrowprops={"arrowstyle": "-|>", "color": colour, "lw": 3}
            )
        plane(axes, title, 1.8)
    save("pooling.png")


def recurrent() -> None:
    """A state under repeated multiplication by a unitary and by other matrices."""
    torch.manual_seed(3)
    unitary = torch.complex(*ComplexStateMatrix(8).weight.detach())
    start = torch.randn(8, dtype=torch.complex64)
    start /= start.norm()
    figure, (circle, norms) = plt.subplots(1, 2, figsize=(9, 3.9), layout="constrained")
    eigenvalues = torch.linalg.eigvals(unitary)
    angle = np.linspace(0, 2 * np.pi, 200)
    circle.plot(np.cos(angle), np.sin(angle), color=GREY, linewidth=1)
    for scale, colour in ((1.0, BLUE), (0.95, ORANGE), (1.05, "#3f9b5f")):
        scatter(circle, scale * eigenvalues, colour, 22)
        state, lengths = start, []
        for _ in range(100):
            lengths.append(state.norm().item())
            state = scale * unitary @ state
        norms.semilogy(lengths, color=colour, label=f"{scale:g} W" if scale != 1 else "W (unitary)")
    plane(circle, "Eigenvalues of the state matrix", 1.25)
    norms.set(title="Norm of the state", xlabel="time step", ylabel=r"$\|h_t\| / \|h_0\|$")
    norms.legend()
    save("recurrent.png")


def initialization() -> None:
    """Magnitudes, phases and the Gram matrix of initial weights."""
    figure, panels = plt.subplots(2, 3, figsize=(10, 5.6), layout="constrained")
    for row, name, fill in zip(panels, ("rayleigh", "unitary"), (rayleigh_, unitary_), strict=True):
        real, imag = torch.empty(2, 64, 64)
        fill(real, imag)
        w = torch.complex(real, imag)
        sigma = math.sqrt(1 / 64)
        x = np.linspace(0, 4 * sigma, 200)
        row[0].hist(w.abs().flatten().numpy(), 50, density=True, color=BLUE, alpha=0.7)
        row[0].plot(x, x / sigma**2 * np.exp(-(x**2) / (2 * sigma**2)), color=ORANGE, label="Rayleigh density")
        row[0].set(title=f'"{name}": |W|', xlabel="|W|")
        row[1].hist(w.angle().flatten().numpy(), 40, density=True, color=BLUE, alpha=0.7)
        row[1].axhline(1 / (2 * np.pi), color=ORANGE)
        row[1].set(title="phase", xlabel="rad")
        gram = row[2].imshow((w @ w.mH).abs().numpy(), cmap="Greys", vmin=0, vmax=2)
        row[2].set(title=r"$|W W^H|$", xticks=[], yticks=[])
        figure.colorbar(gram, ax=row[2], shrink=0.9)
    panels[0, 0].legend(fontsize=8)
    save("initialization.png")


def optimizers() -> None:
    """Distance from unitarity under Adam and under Cayley steps; the loss of both."""
    target = torch.complex(*ComplexStateMatrix(16).weight.detach())
    start = ComplexStateMatrix(16).state_dict()
    figure, (losses, drifts) = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    for name, colour in (("Adam", ORANGE), ("Cayley steps", BLUE)):
        matrix = ComplexStateMatrix(16)
        matrix.load_state_dict(start)
        adam = name == "Adam"
        optimizer = torch.optim.Adam(matrix.parameters(), 0.02) if adam else StiefelRMSprop(matrix, 0.05)
        loss_curve, drift_curve = [], []
        for _ in range(200):
            optimizer.zero_grad()
            loss = (torch.complex(*matrix.weight) - target).abs().square().sum()
            loss.backward()
            optimizer.step()
            loss_curve.append(loss.item())
            drift_curve.append(unitary_drift(matrix))
        losses.semilogy(loss_curve, color=colour, label=name)
        drifts.semilogy(drift_curve, color=colour, label=name)
    losses.set(title=r"Loss $\|W - W_0\|^2$, $W_0$ unitary", xlabel="step", ylim=(1e-4, 100))
    drifts.set(title=r"Drift $\|W^H W - I\|$", xlabel="step")
    losses.legend()
    save("optimizers.png")


def theory() -> None:
    """One number under steps of the Cayley transform and of plain gradient descent."""
    figure, axes = plt.subplots(figsize=(4.2, 4), layout="constrained")
    angle = np.linspace(0, 2 * np.pi, 200)
    axes.plot(np.cos(angle), np.sin(angle), color=GREY, linewidth=1)
    target = complex(math.cos(2.4), math.sin(2.4))
    weight, plain = torch.tensor([[[1.0]], [[0.0]]]), 1 + 0j
    cayley, straight = [1 + 0j], [plain]
    for _ in range(12):
        w = complex(*weight.flatten().tolist())
        gradient = 2 * (w - target)
        cayley_step_(weight, torch.tensor([[[gradient.real]], [[gradient.imag]]]), 0.12)
        cayley.append(complex(*weight.flatten().tolist()))
        plain -= 0.12 * 2 * (plain - target)
        straight.append(plain)
    axes.plot(np.real(straight), np.imag(straight), "o-", color=ORANGE, markersize=4, label="gradient descent")
    axes.plot(np.real(cayley), np.imag(cayley), "o-", color=BLUE, markersize=4, label="Cayley steps")
    axes.plot(target.real, target.imag, "k*", markersize=12, label="minimum")
    plane(axes, "A unitary 1 x 1 matrix", 1.35)
    axes.legend(fontsize=8, loc="lower left")
    save("cayley.png")


def main() -> None:
    """Draw all figures."""
    OUT.mkdir(exist_ok=True)
    for draw in (
        linear,
        convolution,
        normalization,
        activation,
        pooling,
        recurrent,
        initialization,
        optimizers,
        theory,
    ):
        torch.manual_seed(0)
        draw()


if __name__ == "__main__":
    main()

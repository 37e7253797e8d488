"""Commands that reproduce figures of the paper on layers, and count the operations of its networks."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest
from recipe_runs import run_script


def test_whitening_stays_round_where_the_naive_norm_collapses(tmp_path: Path) -> None:
    printed = run_script("../docs/layers/paper_figures", "standardization", "-o", tmp_path)
    ratios = {name: float(ratio) for name, ratio in re.findall(r"^(\w+): .* layers (\S+) \(", printed, re.MULTILINE)}
    assert ratios["naive"] < 1e-2 and ratios["whitening"] > 0.95
    assert (tmp_path / "standardization.png").read_bytes().startswith(b"\x89PNG")


def test_crelu_keeps_parts_where_zrelu_and_modrelu_keep_all_or_nothing(tmp_path: Path) -> None:
    printed = run_script("../docs/layers/paper_figures", "phases", "-o", tmp_path)
    shares = {line.partition(":")[0]: list(map(int, re.findall(r"(\d+)%", line))) for line in printed.splitlines()}
    # Nothing, real part, imaginary part, both. |z| < .8 has the probability 1 - exp(-.8^2 / 2 / variance of a part).
    assert all(22 <= share <= 28 for share in shares["CReLU"])
    assert shares["zReLU"][1:3] == [0, 0] and 22 <= shares["zReLU"][3] <= 28
    nothing, *parts, both = shares["modReLU, b = -0.8"]
    assert parts == [0, 0] and 24 <= nothing <= 31 and 69 <= both <= 76
    assert (tmp_path / "phases.png").read_bytes().startswith(b"\x89PNG")


def test_operations_are_those_of_the_layers_by_hand() -> None:
    printed = run_script("musicnet/operations")
    counts = {
        cells[0].strip(): float(cells[2]) for line in printed.splitlines()[2:] if (cells := line.strip("|").split("|"))
    }
    # The deep complex network: (maps in, maps out, kernel, positions) of complex convolutions, then the dense layers.
    layers = [
        (1, 16, 7, 1024),
        (16, 32, 3, 256),
        (32, 64, 3, 128),
        (64, 64, 3, 64),
        (64, 128, 3, 32),
        (128, 128, 3, 32),
    ]
    deep = sum(4 * math.prod(layer) for layer in layers) + 2 * 128 * 16 * 2048 + 2048 * 84
    assert counts["paper-deep-complex"] == pytest.approx(deep / 1e6, abs=0.05)
    # The shallow real one: 64 kernels of 512 at 225 positions, pooled to 111.
    shallow = 64 * 512 * 225 + 64 * 111 * 2048 + 2048 * 84
    assert counts["paper-shallow-real"] == pytest.approx(shallow / 1e6, abs=0.05)
    # The residual networks do as many operations a weight: 3x3 convolutions of a stage at all its positions.
    stages = 3 * 28 * 18 * 18 * 9 * 32 * 32
    assert counts["residual WS real, images"] == pytest.approx(stages / 1e6, rel=0.01)

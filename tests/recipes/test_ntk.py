"""The measurement of tangent kernels, from command to figure."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from recipe_runs import refusal, run_script

NETWORKS = ["CReLU", "zReLU", "modReLU", "split tanh", "real ReLU", "real tanh"]
SPLIT = ["CReLU", "split tanh", "real ReLU", "real tanh"]


def test_kernels_of_split_activations_approach_the_real_ones(tmp_path: Path) -> None:
    words = ("--seeds", 2, "--hidden-layers", 1, "--device", "cpu", "-o", tmp_path)
    printed = run_script("ntk/measure", "--widths", 128, 4, *words)
    assert printed == (tmp_path / "table.md").read_text(encoding="utf-8") + "\n"
    rows = [line.split(" | ")[0].strip("| ") for line in printed.splitlines() if "+-" in line]
    assert rows == NETWORKS * 2
    found = json.loads((tmp_path / "kernels.json").read_text(encoding="utf-8"))["distances"]
    for measure in found.values():
        means = {name: [np.mean(values) for values in drawn.values()] for name, drawn in measure.items()}
        assert list(means) == NETWORKS and all(list(drawn) == ["4", "128"] for drawn in measure.values())
        for name in SPLIT:
            assert means[name][1] < 0.4 * means[name][0], name
    assert (tmp_path / "kernels.png").read_bytes().startswith(b"\x89PNG")


def test_unsupported_networks_are_refused() -> None:
    assert "seeds two or more" in refusal("ntk/measure", "--seeds", 1)
    assert "Widths" in refusal("ntk/measure", "--widths", 64, 0)
    assert "not available" in refusal("ntk/measure", "--device", "abacus")

"""The measurements of tangent kernels, from command to figure."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from recipe_runs import refusal, run_script

NETWORKS = ["modReLU", "zReLU", "CReLU", "split tanh", "real ReLU"]


def rows(printed: str) -> list[str]:
    return [line.split(" | ")[0].strip("| ") for line in printed.splitlines() if "±" in line]


def test_kernels_of_wide_networks(tmp_path: Path) -> None:
    words = ("--seeds", 2, "--hidden-layers", 1, "-o", tmp_path)
    printed = run_script("ntk/measure", "--widths", 1024, 16, *words)
    assert printed == (tmp_path / "table.md").read_text(encoding="utf-8") + "\n"
    assert rows(printed) == NETWORKS * 2
    found = json.loads((tmp_path / "kernels.json").read_text(encoding="utf-8"))["results"]
    assert len(found) == len(NETWORKS) * 4
    for name in NETWORKS:
        narrow, wide = (
            np.mean([list(found[f"{name}, {width}, {seed}"].values()) for seed in (0, 1)], 0) for width in (16, 1024)
        )
        assert wide[1] < 0.5 * narrow[1], name  # to the limit
        assert wide[0] > 0.05 if name in ("modReLU", "zReLU") else wide[0] < 0.05, name  # between both sets
    assert (tmp_path / "kernels.png").read_bytes().startswith(b"\x89PNG")


def test_an_interrupted_measurement_continues(tmp_path: Path) -> None:
    words = ("--widths", 4, "--hidden-layers", 1, "-o", tmp_path)
    run_script("ntk/measure", "--seeds", 2, *words)
    path = tmp_path / "kernels.json"
    kept = json.loads(path.read_text(encoding="utf-8"))
    marked = dict.fromkeys(kept["results"]["CReLU, 4, 1"], 7.0)
    kept["results"]["CReLU, 4, 1"] = marked
    path.write_text(json.dumps(kept), encoding="utf-8")
    run_script("ntk/measure", "--seeds", 3, *words)
    results = json.loads(path.read_text(encoding="utf-8"))["results"]
    assert results["CReLU, 4, 1"] == marked and len(results) == 15
    assert "Name another folder" in refusal("ntk/measure", "--seeds", 2, "--widths", 4, "-o", tmp_path)


def test_wide_networks_train_as_their_kernels_say(tmp_path: Path) -> None:
    words = ("--seeds", 2, "--hidden-layers", 1, "-o", tmp_path)
    printed = run_script("ntk/dynamics", "--widths", 8, 256, "--steps", 20, *words)
    assert printed == (tmp_path / "dynamics.md").read_text(encoding="utf-8") + "\n"
    assert rows(printed) == NETWORKS * 2
    found = json.loads((tmp_path / "dynamics.json").read_text(encoding="utf-8"))["results"]
    for name in NETWORKS:
        if name != "zReLU":  # not continuous: see the recipe's page
            start = "of its own kernel at the start"
            narrow, wide = (found[f"{name}, {width}, 0"]["z exp(it)"][start] for width in (8, 256))
            assert wide < 0.05 and wide < narrow, name
    # modReLU commutes with a turn of the phase: on z exp(it) it gives sinusoids of t, whatever its weights.
    losses = [found["modReLU, 256, 0"][label]["losses"][0][-1] for label in ("z exp(it)", "z cos t + q sin t")]
    assert losses[0] == pytest.approx(0.5, abs=0.01) and losses[1] < 0.2
    assert (tmp_path / "dynamics.png").read_bytes().startswith(b"\x89PNG")


def test_unsupported_networks_are_refused(tmp_path: Path) -> None:
    assert "seeds two or more" in refusal("ntk/measure", "--seeds", 1, "-o", tmp_path)
    assert "Widths" in refusal("ntk/dynamics", "--widths", 64, 0, "-o", tmp_path)
    assert "--steps" in refusal("ntk/dynamics", "--steps", 0, "-o", tmp_path)

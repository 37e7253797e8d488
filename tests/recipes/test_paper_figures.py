"""Commands that reproduce figures of the paper on layers, and count the operations of its networks."""

from __future__ import annotations

import re
from pathlib import Path

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

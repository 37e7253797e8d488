from __future__ import annotations

import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

import audiocx
from audiocx import checkpoints
from audiocx.io import audio

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def names(requirements: list[str]) -> set[str]:
    return {re.split(r"[^\w.-]", requirement, maxsplit=1)[0].lower().replace("-", "_") for requirement in requirements}


def test_every_direct_dependency_has_a_tested_version() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = names([line for line in lines if re.match(r"[\w-]+==\S+", line)])
    extras = PROJECT["optional-dependencies"]
    listed = [requirement for name, some in extras.items() if name != "torchaudio" for requirement in some]
    wanted = names(PROJECT["dependencies"] + listed) - {"audiocx", "tomli"}
    assert pinned == wanted


def test_dependencies_are_ranges_and_training_is_apart() -> None:
    assert all(">=" in requirement for requirement in PROJECT["dependencies"])
    extras = {name: names(listed) for name, listed in PROJECT["optional-dependencies"].items()}
    assert {"lightning", "intervaltree", "tensorboard", "filelock"} <= extras["train"]
    assert {"mir_eval", "scikit_learn"} == extras["evaluate"] and {"torch", "safetensors"} == extras["torch"]
    base = names(PROJECT["dependencies"])
    assert "onnxruntime" in base and not base & set.union(*extras.values(), {"scipy"})


def test_the_version_lives_once() -> None:
    assert "version" in PROJECT["dynamic"]
    assert re.fullmatch(r"\d+\.\d+\.\d+", audiocx.__version__)
    assert f"## [{audiocx.__version__}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel of this tree, unpacked as an installation would."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    with zipfile.ZipFile(next(folder.glob("*.whl"))) as wheel:
        wheel.extractall(folder / "site")
    return folder / "site"


def test_a_wheel_carries_the_default_networks_and_nothing_else(installed: Path) -> None:
    carried = {path.name for path in (installed / "audiocx" / "pretrained").iterdir()}
    assert carried == {checkpoints.DEFAULT, checkpoints.DEFAULT_PREDICTOR}
    tops = {path.name for path in installed.iterdir()}
    assert tops == {"audiocx", f"audiocx-{audiocx.__version__}.dist-info"}


def test_a_wheel_carries_the_page(installed: Path) -> None:
    there, here = installed / "audiocx" / "serve" / "static", ROOT / "audiocx" / "serve" / "static"
    names = {path.relative_to(here) for path in here.rglob("*")}
    assert names == {path.relative_to(there) for path in there.rglob("*")} and Path("index.html") in names


def test_an_installed_wheel_transcribes(installed: Path, tmp_path: Path) -> None:
    audio.write(tmp_path / "song.wav", 0.1 * np.sin(np.arange(11025) * 0.25), 11025)
    done = subprocess.run(
        [sys.executable, "-m", "audiocx", "transcribe", "song.wav", "--device", "cpu"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "song.mid").is_file()

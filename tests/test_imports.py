"""Who imports whom: what must not be loaded, and that imports run one way."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import audiocx

PACKAGE = Path(audiocx.__file__).parent
# From the bottom up: a module may import its own package and what stands below it.
ORDER = (
    "errors", "config", "nn", "optim", "notes", "io", "stft", "models", "data", "plots", "music", "speech",
    "kinds", "checkpoints", "train", "batch", "api", "serve", "cli",
)  # fmt: skip
TRAINING = {"lightning", "pytorch_lightning", "sklearn", "intervaltree", "mir_eval", "tensorboard", "torchmetrics"}


def imported(path: Path) -> Iterator[str]:
    """Modules of audiocx that a file imports when it is loaded or run, by their name below audiocx; "" for itself."""
    package = ("audiocx", *path.relative_to(PACKAGE).parts[:-1])
    tree = ast.parse(path.read_text(encoding="utf-8"))
    typing_only = {
        node
        for test in ast.walk(tree)
        if isinstance(test, ast.If) and "TYPE_CHECKING" in ast.unparse(test.test)
        for node in ast.walk(test)
    }
    for node in ast.walk(tree):
        if node in typing_only:
            continue
        if isinstance(node, ast.Import):
            yield from (name.name.partition(".")[2] for name in node.names if name.name.split(".")[0] == "audiocx")
        elif isinstance(node, ast.ImportFrom):
            base = list(package[: len(package) - node.level + 1]) if node.level else []
            full = [*base, *(node.module.split(".") if node.module else [])]
            if full[:1] == ["audiocx"]:
                for name in node.names:
                    inside = ".".join([*full[1:], name.name])
                    yield inside if inside in NAMES else ".".join(full[1:])


def modules(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*.py") if "__pycache__" not in path.parts)


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=PACKAGE.parent)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def loaded_by(code: str) -> set[str]:
    return set(run(f"{code}\nimport sys\nprint(*sorted({{name.split('.')[0] for name in sys.modules}}))").split())


def name_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


NAMES = {name_of(path) for path in modules(PACKAGE)}


def test_every_module_has_a_place() -> None:
    assert {name.split(".")[0] for name in NAMES} - {"", "__main__"} <= set(ORDER)


@pytest.mark.parametrize("path", [pytest.param(path, id=str(path.relative_to(PACKAGE))) for path in modules(PACKAGE)])
def test_imports_run_one_way(path: Path) -> None:
    own = name_of(path)
    if own in ("", "__main__"):
        return  # the public names and the command: the very top
    for name in imported(path):
        package = name.split(".")[0]
        if name and name != "__version__":
            assert ORDER.index(package) <= ORDER.index(own.split(".")[0]), f"{own} imports {name}, which is above it"


def test_no_two_files_import_each_other() -> None:
    graph = {name_of(path): {name for name in imported(path) if name in NAMES} for path in modules(PACKAGE)}
    graph.pop("")
    done: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, " -> ".join((*trail, name))
        if name in done or name in trail:
            return
        for other in graph.get(name, set()) - {name}:
            visit(other, (*trail, name))
        done.add(name)

    for name in graph:
        visit(name, ())


@pytest.mark.parametrize("path", [pytest.param(path, id=path.name) for path in modules(PACKAGE / "nn")])
def test_nn_knows_nothing_of_the_rest(path: Path) -> None:
    assert {name.split(".")[0] for name in imported(path)} <= {"nn"}


def test_nothing_imports_a_recipe() -> None:
    for path in modules(PACKAGE):
        names = {
            name
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            for name in (
                [alias.name for alias in node.names] if isinstance(node, ast.Import)
                else [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            )
        }  # fmt: skip
        assert not any(name.split(".")[0] == "recipes" for name in names), path


def test_only_the_training_loop_imports_lightning() -> None:
    users = {path.relative_to(PACKAGE).as_posix() for path in modules(PACKAGE) if "lightning" in loaded_names(path)}
    assert users == {"train/loop.py"}


def loaded_names(path: Path) -> set[str]:
    nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    plain = {alias.name.split(".")[0] for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    return plain | {(node.module or "").split(".")[0] for node in nodes if isinstance(node, ast.ImportFrom)}


@pytest.mark.parametrize("module", ["audiocx", "audiocx.cli", "audiocx.notes", "audiocx.io.midi", "audiocx.io.audio"])
def test_importing_loads_neither_torch_nor_matplotlib(module: str) -> None:
    assert not loaded_by(f"import {module}") & ({"torch", "matplotlib"} | TRAINING)


def test_help_answers_at_once() -> None:
    """In half a second of the processor's time, which a busy machine does not stretch."""
    code = "from audiocx.cli import main\ntry: main(['--help'])\nexcept SystemExit: pass"
    assert float(run(f"{code}\nimport time\nprint(time.process_time())").splitlines()[-1]) < 0.5


def test_listing_networks_loads_no_torch() -> None:
    assert "torch" not in loaded_by("from audiocx.cli import main\nassert main(['models']) == 0")


@pytest.mark.parametrize("kind", ["tiny_checkpoint", "tiny_notes"])
def test_transcribing_loads_nothing_of_training(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    checkpoint = str(request.getfixturevalue(kind))
    code = (
        "import numpy as np, audiocx\n"
        f"result = audiocx.load({checkpoint!r}, 'cpu').transcribe(np.zeros(4000), 8000, threshold=0.01)\n"
        f"result.to_midi({str(tmp_path / 'a.mid')!r})\nresult.to_csv({str(tmp_path / 'a.csv')!r})"
    )
    loaded = loaded_by(code)
    assert {"torch", "pretty_midi"} <= loaded
    assert not loaded & (TRAINING | {"matplotlib"})


def test_the_public_names() -> None:
    assert set(audiocx.__all__) <= set(dir(audiocx))
    for name in audiocx.__all__:
        assert getattr(audiocx, name) is not None
    with pytest.raises(AttributeError, match="nonsense"):
        audiocx.nonsense  # noqa: B018

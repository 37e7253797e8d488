"""API pages: one for each package, with every public name of its modules."""

from __future__ import annotations

import ast
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "audiocx"

HEAD = """# API

Everything public, by package. [Python](../python.md) introduces the functions that most programs need.

| module | what it is |
|---|---|
"""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add a page for each package and each module of the top level, and their index."""
    pages = {module.stem: [module] for module in sorted(PACKAGE.glob("*.py")) if _has_names(module)}
    for folder in sorted(path.parent for path in PACKAGE.rglob("__init__.py") if path.parent != PACKAGE):
        modules = [module for module in sorted(folder.glob("*.py")) if _has_names(module)]
        pages[folder.relative_to(PACKAGE).as_posix().replace("/", ".")] = [folder / "__init__.py", *modules]
    index = HEAD
    for name, modules in pages.items():
        index += f"| [`audiocx.{name}`]({name}.md) | {_summary(modules[0])} |\n"
        files.append(File.generated(config, f"api/{name}.md", content=_page(name, modules)))
    files.append(File.generated(config, "api/index.md", content=index))
    return files


def _page(name: str, modules: list[Path]) -> str:
    blocks = "".join(f"\n::: {_identifier(module)}\n{_options(module)}" for module in modules)
    return f"# audiocx.{name}\n{blocks}"


def _options(module: Path) -> str:
    # A package's own page lists the names of its modules below, each in its one home.
    return "    options:\n      members: false\n      show_root_heading: false\n" if module.stem == "__init__" else ""


def _identifier(module: Path) -> str:
    parts = module.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _has_names(module: Path) -> bool:
    """Whether a module defines public functions, classes or constants that are worth a page."""
    if module.stem.startswith("_"):
        return False
    tree = ast.parse(module.read_text(encoding="utf-8"))
    kinds = (ast.FunctionDef, ast.ClassDef)
    return any(isinstance(node, kinds) and not node.name.startswith("_") for node in tree.body)


def _summary(module: Path) -> str:
    text = ast.get_docstring(ast.parse(module.read_text(encoding="utf-8"))) or ""
    return text.split("\n\n")[0].replace("\n", " ").replace("|", "\\|")

"""API pages: one for each package, with every public name of its modules that no other page documents."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "audiocx"

# Packages that hand-written pages document, and their first page.
GUIDES = {"nn": "layers/index.md", "optim": "layers/optimizers.md"}
# The page's title names the module.
UNTITLED = "    options:\n      show_root_heading: false\n"
_BLOCK = re.compile(r"^::: audiocx\.([\w.]+)$", re.MULTILINE)

HEAD = """# API

Everything public, by package. [Python](../python.md) introduces the functions that most programs need.

| module | what it is |
|---|---|
"""


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Add the pages to the navigation."""
    (reference,) = (section["Reference"] for section in config.nav or () if "Reference" in section)
    (place,) = (index for index, entry in enumerate(reference) if "API" in entry)
    reference[place] = {"API": ["api/index.md", *({f"audiocx.{name}": f"api/{name}.md"} for name in _pages())]}
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add a page for each package and each module of the top level, and their index."""
    pages, index = _pages(), HEAD
    for name, modules in _modules().items():
        page = f"api/{name}.md" if name in pages else GUIDES[name]
        index += f"| [`audiocx.{name}`](../{page}) | {_summary(modules[0])} |\n"
    for name, text in pages.items():
        files.append(File.generated(config, f"api/{name}.md", content=text))
    files.append(File.generated(config, "api/index.md", content=index))
    return files


def _modules() -> dict[str, list[Path]]:
    """Return the modules of each package, its own first, and those of the top level."""
    modules = {module.stem: [module] for module in PACKAGE.glob("*.py") if _public_names(module)}
    for folder in (path.parent for path in PACKAGE.rglob("__init__.py") if path.parent != PACKAGE):
        named = [
            module for module in sorted(folder.glob("*.py")) if _public_names(module) and module.stem != "__init__"
        ]
        modules[folder.relative_to(PACKAGE).as_posix().replace("/", ".")] = [folder / "__init__.py", *named]
    return dict(sorted(modules.items()))


def _pages() -> dict[str, str]:
    """Return the text of each page; packages that other pages document completely have none."""
    documented = {
        block for page in (ROOT / "docs").rglob("*.md") for block in _BLOCK.findall(page.read_text(encoding="utf-8"))
    }
    pages = {}
    for name, modules in _modules().items():
        if blocks := "".join(_block(module, documented) for module in modules):
            guide = f"\nMost of it is described under [Complex layers](../{GUIDES[name]}).\n" if name in GUIDES else ""
            pages[name] = f"# audiocx.{name}\n{guide}{blocks}"
    return pages


def _block(module: Path, documented: set[str]) -> str:
    """Return the block of a module, with the names that no other page documents; "" if there are none."""
    identifier = _identifier(module)
    package = identifier.removeprefix("audiocx.")
    if module.stem == "__init__":
        # A package's own page lists the names of its modules below, each in its one home.
        options = "members: [main, build_parser]" if package == "cli" else "members: false"
        return "" if package in GUIDES else f"\n::: {identifier}\n{UNTITLED}      {options}\n"
    if package in documented:
        return ""
    if module.parent == PACKAGE:
        return f"\n::: {identifier}\n{UNTITLED}"
    names = _public_names(module)
    missing = [name for name in names if f"{package.rpartition('.')[0]}.{name}" not in documented]
    if not missing:
        return ""
    options = f"    options:\n      members: {missing}\n" if missing != names else ""
    return f"\n::: {identifier}\n{options}"


def _identifier(module: Path) -> str:
    parts = module.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _public_names(module: Path) -> list[str]:
    """Return the public functions and classes that a module defines."""
    if module.stem.startswith("_"):
        return []
    tree = ast.parse(module.read_text(encoding="utf-8"))
    kinds = (ast.FunctionDef, ast.ClassDef)
    return [node.name for node in tree.body if isinstance(node, kinds) and not node.name.startswith("_")]


def _summary(module: Path) -> str:
    text = ast.get_docstring(ast.parse(module.read_text(encoding="utf-8"))) or ""
    return text.split("\n\n")[0].replace("\n", " ").replace("|", "\\|")

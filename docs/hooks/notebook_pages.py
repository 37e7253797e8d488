"""Notebooks as pages, with the outputs that are stored in them."""

from __future__ import annotations

from pathlib import Path

import nbformat
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from nbconvert import MarkdownExporter

ROOT = Path(__file__).resolve().parents[2]


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add a page for each notebook in examples/notebooks, and the pictures that it shows."""
    for path in sorted((ROOT / "examples" / "notebooks").glob("*.ipynb")):
        notebook = nbformat.read(path, as_version=4)
        text, resources = MarkdownExporter().from_notebook_node(notebook)
        for name, picture in resources.get("outputs", {}).items():
            files.append(File.generated(config, f"notebooks/{path.stem}_files/{name}", content=picture))
            text = text.replace(f"({name})", f"({path.stem}_files/{name})")
        note = f"*The notebook `examples/notebooks/{path.name}`, run, with its outputs.*\n"
        title, _, rest = text.lstrip().partition("\n")
        files.append(File.generated(config, f"notebooks/{path.stem}.md", content=f"{title}\n\n{note}{rest}"))
    return files

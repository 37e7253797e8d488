"""The command reference, generated from the argument parser."""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

HEAD = """# Commands

Generated from the program's own help: `audiocx COMMAND --help` prints the same. Recipes have scripts of their own,
which [their pages](recipes/index.md) list.
"""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the page of all commands."""
    files.append(File.generated(config, "commands.md", content=reference()))
    return files


def reference() -> str:
    """Return the reference of all commands as Markdown."""
    from audiocx.cli import build_parser

    return HEAD + "".join(_command(command) for command in _subcommands(build_parser()))


def _subcommands(parser: argparse.ArgumentParser) -> list[argparse.ArgumentParser]:
    (commands,) = (action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    return list(dict.fromkeys(commands.choices.values()))


def _command(parser: argparse.ArgumentParser) -> str:
    positionals = [action for action in parser._actions if not action.option_strings]
    arguments = " ".join(str(action.metavar or action.dest) + _more(action) for action in positionals)
    options = [action for action in parser._actions if action.option_strings and action.dest != "help"]
    rows = "".join(_row(parser, action) for action in [*positionals, *options])
    examples = f"\n```text\n{parser.epilog.strip()}\n```\n" if parser.epilog else ""
    description = _escaped(parser.description or "")
    usage = f"{parser.prog} [OPTION ...] {arguments}".rstrip()
    return (
        f"\n## {parser.prog}\n\n{description}\n\n```text\n{usage}\n```\n\n"
        f"| argument | meaning |\n|---|---|\n{rows}{examples}"
    )


def _more(action: argparse.Action) -> str:
    return {"+": " ...", "*": " ...", "?": "?"}.get(str(action.nargs), "")


def _row(parser: argparse.ArgumentParser, action: argparse.Action) -> str:
    if action.help == argparse.SUPPRESS:
        return ""
    if action.nargs == 0:
        value = ""
    elif action.metavar:
        value = f" {action.metavar}"
    elif action.choices:
        value = f" {{{','.join(map(str, action.choices))}}}"
    else:
        value = f" {action.dest.upper()}"
    names = ", ".join(action.option_strings) + (f" [{value.strip()}]" if action.nargs == "?" else value)
    code = names if action.option_strings else str(action.metavar or action.dest)
    text = (action.help or "") % {**vars(action), "prog": parser.prog} if "%" in (action.help or "") else action.help
    return f"| `{code}` | {_escaped(text or '')} |\n"


def _escaped(text: str) -> str:
    text = re.sub(r"\s*\n\s*", " ", text.strip())
    return text.replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*").replace("_", "\\_")

"""Formulas as MathML, made while the site is built: browsers draw them without scripts or fonts from elsewhere."""

from __future__ import annotations

import html
import re

from latex2mathml.converter import convert
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import Files
from mkdocs.structure.pages import Page

_INLINE = re.compile(r'<span class="arithmatex">\\\((.*?)\\\)</span>', re.DOTALL)
_BLOCK = re.compile(r'<div class="arithmatex">\s*\\\[(.*?)\\\]\s*</div>', re.DOTALL)
_UNKNOWN = re.compile(r"<m[a-z]+>(\\[A-Za-z]+)")


def on_page_content(html_text: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Replace the formulas of a page."""
    html_text = _INLINE.sub(lambda formula: _mathml(formula[1], "inline"), html_text)
    return _BLOCK.sub(lambda formula: f'<div class="arithmatex">{_mathml(formula[1], "block")}</div>', html_text)


def _mathml(formula: str, display: str) -> str:
    """Convert a formula; one with a command that the converter does not know fails the build."""
    mathml = convert(html.unescape(formula).strip().replace(r"\arg", r"\operatorname{arg}"), display=display)
    if unknown := _UNKNOWN.search(mathml):
        raise PluginError(f"the formula {formula} has {unknown[1]}, which latex2mathml does not know.")
    return mathml

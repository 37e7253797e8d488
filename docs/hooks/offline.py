"""Pages that fetch nothing: the one script that the theme takes from elsewhere comes with the site."""

from __future__ import annotations

import re

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.pages import Page
from mkdocs.utils import get_relative_url

# Lets the search work in pages that are opened from the disk.
SHIM = re.compile(r"https://unpkg\.com/iframe-worker[^\"]*")
LOCAL_SHIM = "vendor/iframe-worker.js"
_FETCHED = re.compile(r"<(?:script|link|img|iframe)[^>]*\s(?:src|href)=\"(https?://[^\"]+)\"")
_NO_FETCH = ("canonical",)


def on_post_page(output: str, page: Page, config: MkDocsConfig) -> str:
    """Point the theme's script to the local copy, and fail if a page would fetch anything else."""
    output = SHIM.sub(get_relative_url(LOCAL_SHIM, page.url), output)
    fetched = [match[1] for match in _FETCHED.finditer(output) if not any(name in match[0] for name in _NO_FETCH)]
    if fetched:
        raise PluginError(f"{page.file.src_uri} would fetch {', '.join(fetched)}; put a copy into docs/vendor.")
    return output


def on_post_template(output_content: str, template_name: str, config: MkDocsConfig) -> str:
    """Point the theme's script to the local copy in pages without Markdown, such as 404.html."""
    return SHIM.sub(f"/{LOCAL_SHIM}", output_content)

"""Links in docstrings: roles such as ``:class:`Note``` become links to the API pages."""

from __future__ import annotations

import re
from typing import Any

import griffe

_ROLE = re.compile(r":(?:class|func|meth|mod|attr|data|exc):`~?([^`]+)`")


class DocstringRoles(griffe.Extension):
    """Replaces the roles by links, and by code where there is no page: private names and other packages."""

    def on_package(self, *, pkg: griffe.Module, loader: griffe.GriffeLoader, **kwargs: Any) -> None:
        """Replace the roles in all docstrings of a package."""
        _replace(pkg, pkg)


def _replace(thing: griffe.Object, package: griffe.Module) -> None:
    if thing.docstring:
        text = thing.docstring.value
        thing.docstring.value = _ROLE.sub(lambda role: _link(role[1], thing, package), text)
    for member in thing.members.values():
        if isinstance(member, griffe.Object):
            _replace(member, package)


def _link(name: str, thing: griffe.Object, package: griffe.Module) -> str:
    target = _find(name, thing, package)
    is_public = target is not None and not any(part.startswith("_") for part in target.path.split("."))
    return f"[`{name}`][{target.path}]" if target is not None and is_public else f"`{name}`"


def _find(name: str, thing: griffe.Object, package: griffe.Module) -> griffe.Object | None:
    """Return what a name means where a docstring uses it: in its class, its module, or as a full path."""
    path = name.removeprefix(f"{package.path}.")
    scopes: list[griffe.Object] = [package] if path != name else []
    scope: griffe.Object | None = thing
    while scope is not None and not scopes:
        scopes += [scope] if scope.is_module and path.split(".")[0] in scope.all_members else []
        scopes += [scope] if scope.is_class and path.split(".")[0] in scope.all_members else []
        scope = scope.parent
    try:
        found = scopes[0][path] if scopes else None
        return found.final_target if isinstance(found, griffe.Alias) else found
    except (KeyError, griffe.AliasResolutionError):
        return None

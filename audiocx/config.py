"""Settings as dataclasses, read from dictionaries and TOML files; an unknown key is an error."""

from __future__ import annotations

import dataclasses
import math
import sys
import types
import typing
from collections.abc import Collection
from pathlib import Path
from typing import Any, TypeVar

from .errors import ConfigError

__all__ = ["check_ranges", "from_dict", "read_toml", "to_dict", "toml_values"]

T = TypeVar("T")


def from_dict(kind: type[T], values: dict[str, Any], where: str = "configuration") -> T:
    """Builds a (nested) dataclass of plain values.

    Args:
        kind: A dataclass.
        values: Its fields by name, or by the name that a field had before (``field(metadata={"formerly": name})``); a
            nested dataclass is a dictionary. What is left out takes its default.
        where: How error messages call the source.

    Returns:
        An instance of ``kind``.

    Raises:
        ConfigError: An unknown or missing key, or a value of the wrong type.
    """
    hints = typing.get_type_hints(kind)
    fields = {field.name: field for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    formerly = {field.metadata["formerly"]: name for name, field in fields.items() if "formerly" in field.metadata}
    values = {formerly.get(name, name): value for name, value in dict(values).items()}
    unknown = sorted(set(values) - set(fields))
    if unknown:
        raise ConfigError(f"{where}: unknown key {unknown[0]!r}; the keys here are {', '.join(fields)}.")
    built = {}
    for name, value in values.items():
        built[name] = _convert(hints[name], value, f"{where}: {name}")
    try:
        return kind(**built)
    except TypeError:
        required = [f.name for f in fields.values() if f.default is f.default_factory is dataclasses.MISSING]
        missing = ", ".join(name for name in required if name not in built)
        raise ConfigError(f"{where}: please set {missing}.") from None
    except ValueError as error:
        raise ConfigError(f"{where}: {error}") from None


def _convert(hint: Any, value: Any, where: str) -> Any:
    if dataclasses.is_dataclass(hint):
        if not isinstance(value, dict):
            raise ConfigError(f"{where} is a table of settings, not {value!r}.")
        return from_dict(typing.cast(type, hint), value, where)
    options = typing.get_args(hint)
    if typing.get_origin(hint) is typing.Literal:
        if value not in options:
            raise ConfigError(f"{where} is one of {', '.join(map(repr, options))}, not {value!r}.")
        return value
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        if value is None and type(None) in options:
            return None
        return _convert(next(option for option in options if option is not type(None)), value, where)
    if typing.get_origin(hint) is list:
        if not isinstance(value, list):
            raise ConfigError(f"{where} is a list, not {value!r}.")
        return [_convert(options[0], item, f"{where}[{index}]") for index, item in enumerate(value)]
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(hint, type) and (not isinstance(value, hint) or (isinstance(value, bool) and hint is not bool)):
        raise ConfigError(f"{where} is of type {hint.__name__}, not {value!r}.")
    return value


def to_dict(settings: Any) -> dict[str, Any]:
    """Gives a dataclass as plain values; :func:`from_dict` is the inverse.

    Args:
        settings: An instance of a dataclass.

    Returns:
        Its fields, nested dataclasses as dictionaries.
    """
    return dataclasses.asdict(settings)


def read_toml(kind: type[T], path: str | Path) -> T:
    """Reads a TOML file into a dataclass.

    Args:
        kind: A dataclass.
        path: The file, as :func:`toml_values` takes it.

    Returns:
        An instance of ``kind``.

    Raises:
        ConfigError: The file is missing or malformed, or a key in it is unknown.
    """
    return from_dict(kind, toml_values(path), str(path))


def toml_values(path: str | Path) -> dict[str, Any]:
    """Reads a TOML file as it is.

    A file may say ``extends = "other.toml"`` and give only what differs; the other lies beside it.

    Args:
        path: The file.

    Returns:
        Its values, laid over those of the file that it extends.

    Raises:
        ConfigError: The file is missing or malformed.
    """
    return _read(Path(path), ())


def _read(path: Path, extended: tuple[Path, ...]) -> dict[str, Any]:
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        with open(path, "rb") as file:
            values = tomllib.load(file)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}); name an existing .toml file.") from None
    except ValueError as error:  # malformed, or not even UTF-8
        raise ConfigError(f"{path}: not valid TOML ({error}); correct it there.") from None
    if "extends" not in values:
        return values
    base = path.parent / str(values.pop("extends"))
    if base.resolve() in extended:
        raise ConfigError(f"{path}: extends {base.name}, which extends it in turn; break the circle.")
    return _merged(_read(base, (*extended, path.resolve())), values)


def _merged(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """Both, table by table; where they differ, the one above holds."""
    tables = [key for key in above if isinstance(above[key], dict) and isinstance(below.get(key), dict)]
    return {**below, **above, **{key: _merged(below[key], above[key]) for key in tables}}


def check_ranges(settings: Any, up_to_one: Collection[str]) -> None:
    """Refuse settings that are not numbers from 0 on.

    Args:
        settings: A dataclass of numbers.
        up_to_one: The names of those that may not exceed 1.

    Raises:
        ConfigError: If a value is out of its range or not a number.
    """
    for name in (one.name for one in dataclasses.fields(settings)):
        high, value = 1.0 if name in up_to_one else math.inf, getattr(settings, name)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0.0 <= value <= high:
            raise ConfigError(f"{name} must be a number from 0 to {high:g}, not {value!r}.")

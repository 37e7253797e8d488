"""Settings as dataclasses, read from dictionaries and TOML files; an unknown key is an error."""

from __future__ import annotations

import dataclasses
import sys
import types
import typing
import warnings
from pathlib import Path
from typing import Any, TypeVar

from .errors import ConfigError

__all__ = ["check_fields", "from_dict", "to_dict", "toml_values"]

T = TypeVar("T")


def from_dict(kind: type[T], values: dict[str, Any], where: str = "configuration", warn: bool = False) -> T:
    """Build a (nested) dataclass from plain values.

    A field may have had other names or values before: ``field(metadata={"formerly": name})`` still reads the old name,
    ``field(metadata={"values_formerly": {old: new}})`` the old values.

    Args:
        kind: A dataclass.
        values: Its fields by name; a nested dataclass is a dictionary. What is left out takes its default.
        where: The source's name in error messages.
        warn: Issue a FutureWarning for each old name or value.

    Returns:
        An instance of ``kind``.

    Raises:
        ConfigError: An unknown or missing key, or a value of the wrong type or out of range.
    """
    hints = typing.get_type_hints(kind)
    fields = {field.name: field for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    values = _renamed(fields, values, where, warn)
    unknown = sorted(set(values) - set(fields))
    if unknown:
        raise ConfigError(f"{where}: unknown key {unknown[0]!r}; the keys here are {', '.join(fields)}.")
    built = {name: _convert(hints[name], value, f"{where}: {name}", warn) for name, value in values.items()}
    try:
        return kind(**built)
    except TypeError:
        required = [f.name for f in fields.values() if f.default is f.default_factory is dataclasses.MISSING]
        missing = ", ".join(name for name in required if name not in built)
        raise ConfigError(f"{where}: please set {missing}.") from None
    except ValueError as error:
        raise ConfigError(f"{where}: {str(error).removesuffix('.')}.") from None


def _renamed(
    fields: dict[str, dataclasses.Field[Any]], values: dict[str, Any], where: str, warn: bool
) -> dict[str, Any]:
    """Return the values under today's names, old values replaced."""
    today = {field.metadata["formerly"]: name for name, field in fields.items() if "formerly" in field.metadata}
    renamed = {}
    for key, value in dict(values).items():
        name = today.get(key, key)
        if name in renamed:
            raise ConfigError(f"{where}: {key} and {name} are the old and the new name of one setting; keep one.")
        old_values = fields[name].metadata.get("values_formerly", {}) if name in fields else {}
        old = isinstance(value, str) and value in old_values
        renamed[name] = old_values[value] if old else value
        if warn and (old or name != key):
            message = f"{where}: {key} = {value!r} is now {name} = {renamed[name]!r}; please change it."
            warnings.warn(message, FutureWarning, stacklevel=3)
    return renamed


def _convert(hint: Any, value: Any, where: str, warn: bool) -> Any:
    if dataclasses.is_dataclass(hint):
        if not isinstance(value, dict):
            raise ConfigError(f"{where} is a table of settings, not {value!r}.")
        return from_dict(typing.cast(type, hint), value, where, warn)
    options = typing.get_args(hint)
    if typing.get_origin(hint) is typing.Literal:
        if value not in options:
            raise ConfigError(f"{where} is one of {', '.join(map(repr, options))}, not {value!r}.")
        return value
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        if value is None and type(None) in options:
            return None
        return _convert(next(option for option in options if option is not type(None)), value, where, warn)
    if typing.get_origin(hint) is list:
        if not isinstance(value, list):
            raise ConfigError(f"{where} is a list, not {value!r}.")
        return [_convert(options[0], item, f"{where}[{index}]", warn) for index, item in enumerate(value)]
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(hint, type) and (not isinstance(value, hint) or (isinstance(value, bool) and hint is not bool)):
        raise ConfigError(f"{where} is of type {hint.__name__}, not {value!r}.")
    return value


def to_dict(settings: Any) -> dict[str, Any]:
    """Return a dataclass as plain values; :func:`from_dict` is the inverse.

    Args:
        settings: An instance of a dataclass.

    Returns:
        Its fields, nested dataclasses as dictionaries.
    """
    return dataclasses.asdict(settings)


def toml_values(path: str | Path) -> dict[str, Any]:
    """Read a TOML file as plain values.

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
        raise ConfigError(f"{path}: extends {base.name}, which extends it; break the circle.")
    return _merged(_read(base, (*extended, path.resolve())), values)


def _merged(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """Both, table by table; where they differ, the one above holds."""
    tables = [key for key in above if isinstance(above[key], dict) and isinstance(below.get(key), dict)]
    return {**below, **above, **{key: _merged(below[key], above[key]) for key in tables}}


def check_fields(settings: Any, **intervals: str) -> None:
    """Check the fields of a dataclass: options of a Literal, and ranges of numbers.

    Args:
        settings: The dataclass.
        intervals: By name of a field, the range of its value or of a list's values, such as "[0, 1)" or "(0, inf)".
            None passes.

    Raises:
        ConfigError: A value is none of the options, no number or out of its range.

    >>> from audiocx.notes import Note
    >>> check_fields(Note(0.0, 60, 1.0, velocity=200), velocity="[1, 127]")
    Traceback (most recent call last):
    audiocx.errors.ConfigError: velocity must be a number in [1, 127], not 200.
    """
    for name, hint in typing.get_type_hints(type(settings)).items():
        options, value = typing.get_args(hint), getattr(settings, name)
        if typing.get_origin(hint) is typing.Literal and value not in options:
            raise ConfigError(f"{name} is one of {', '.join(map(repr, options))}, not {value!r}.")
    for name, interval in intervals.items():
        value = getattr(settings, name)
        for number in value if isinstance(value, list) else [] if value is None else [value]:
            if not _inside(number, interval):
                raise ConfigError(f"{name} must be a number in {interval}, not {number!r}.")


def _inside(number: Any, interval: str) -> bool:
    if isinstance(number, bool) or not isinstance(number, (int, float)):
        return False
    low, high = map(float, interval[1:-1].split(","))
    above = number >= low if interval[0] == "[" else number > low
    return above and (number <= high if interval[-1] == "]" else number < high)

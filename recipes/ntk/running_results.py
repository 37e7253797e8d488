"""Results that are written as they come, so that an interrupted measurement continues."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from tqdm import tqdm

from audiocx.errors import ConfigError
from audiocx.io.atomic_write import atomic_write

Key = tuple[str, int, int]


def collect(
    path: Path, settings: dict[str, Any], keys: Iterable[Key], measure: Callable[[str, int, int], Any]
) -> dict[Key, Any]:
    """Measure what a file does not hold yet, and write the file after each measurement.

    Args:
        path: JSON file.
        settings: What all results depend on.
        keys: Kind, width and seed of each.
        measure: Maps a key to its result, of types that JSON has.

    Returns:
        The results of the keys.

    Raises:
        ConfigError: The file is of other settings, or no such file.
    """
    results: dict[str, Any] = {}
    if path.exists():
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            results = found["results"] if found["settings"] == settings else {}
        except (OSError, ValueError, KeyError, TypeError):
            results = {}
        if not results:
            raise ConfigError(
                f"{path} does not hold results of these settings. Name another folder by -o, or remove it."
            )
    with suppress(OSError):  # atomic_write reports the reason
        path.parent.mkdir(parents=True, exist_ok=True)
    keys = list(keys)
    for kind, width, seed in tqdm(keys, unit=" networks", leave=False, disable=None):
        name = f"{kind}, {width}, {seed}"
        if name in results:
            continue
        results[name] = measure(kind, width, seed)
        with atomic_write(path) as temporary:
            temporary.write_text(json.dumps({"settings": settings, "results": results}, indent=1), encoding="utf-8")
    return {key: results["{}, {}, {}".format(*key)] for key in keys}

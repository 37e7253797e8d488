"""Reading of requests: bounded bodies, and JSON that holds what it should."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request

from ..errors import ConfigError
from ..notes import Note
from .settings import MIB

__all__ = ["STALLED_S", "Edited", "json_body", "number", "read_edited", "stalling_body", "whole"]

MAX_JSON_BYTES = 32 * MIB
MAX_NOTES = 200_000
MAX_TIME_S = 24 * 3600.0
MAX_QUOTED = 40  # characters of a wrong value
STALLED_S = 60.0  # a body of which nothing comes for so long is given up


@dataclass(frozen=True)
class Edited:
    """Notes as a user edited them.

    Attributes:
        name: Name of the recording.
        duration_s: Its length in seconds.
        tuning_cents: Its tuning in cents above A4 = 440 Hz.
        notes: The notes, in order of onset.
    """

    name: str
    duration_s: float
    tuning_cents: float
    notes: list[Note]


async def stalling_body(request: Request, most_bytes: int, too_large: str) -> AsyncIterator[bytes]:
    """Yield a request's body as it comes.

    Args:
        request: The request.
        most_bytes: Largest body taken.
        too_large: What to say of a larger one.

    Raises:
        HTTPException: 413 too large, 408 nothing came for a minute.
    """
    stated = request.headers.get("content-length", "0")
    if not stated.isdecimal() or len(stated) > 18 or int(stated) > most_bytes:
        raise HTTPException(413, too_large)
    total, chunks = 0, request.stream()
    while True:
        try:
            chunk = await asyncio.wait_for(anext(chunks), STALLED_S)
        except StopAsyncIteration:
            return
        except asyncio.TimeoutError:
            raise HTTPException(408, f"Nothing has come for {STALLED_S:.0f} s; send the file again.") from None
        total += len(chunk)
        if total > most_bytes:
            raise HTTPException(413, too_large)
        yield chunk


async def json_body(request: Request) -> dict[str, Any]:
    """Read a body that is a JSON object; an empty one is an empty object.

    Raises:
        HTTPException: 413 too large, 400 not JSON.
    """
    parts = [part async for part in stalling_body(request, MAX_JSON_BYTES, "The request is too large; send less.")]
    return await run_in_threadpool(_parsed, b"".join(parts))


def _parsed(content: bytes) -> dict[str, Any]:
    def refused(text: str) -> Any:
        raise ValueError(f"{text} is no number")

    try:
        value = json.loads(content, parse_constant=refused) if content.strip() else {}
    except (ValueError, RecursionError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise HTTPException(400, f"The request is not JSON ({reason}).") from None
    if not isinstance(value, dict):
        raise HTTPException(400, "The request must be a JSON object, in braces.")
    return value


def number(value: Any, name: str, low: float, high: float) -> float:
    """Check a number.

    Args:
        value: As it came.
        name: What to call it in messages.
        low: Least value.
        high: Greatest value.

    Raises:
        ConfigError: It is none, or out of range.
    """
    if isinstance(value, (int, float)) and not isinstance(value, bool) and low <= value <= high:
        return float(value)
    raise ConfigError(f"{name} must be a number from {low:g} to {high:g}, not {_short(value)}.")


def whole(value: Any, name: str, low: int, high: int) -> int:
    """Check a whole number, as :func:`number` does."""
    result = number(value, name, low, high)
    if not result.is_integer():
        raise ConfigError(f"{name} must be a whole number from {low} to {high}, not {_short(value)}.")
    return int(result)


def read_edited(body: dict[str, Any], most_s: float = MAX_TIME_S) -> Edited:
    """Check notes as a user edited them.

    Args:
        body: ``name``, ``duration_s``, ``tuning_cents`` and ``notes``; only the notes are needed.
        most_s: Latest time of a note, in seconds.

    Raises:
        ConfigError: Something is of the wrong type or out of range.
    """
    rows = body.get("notes")
    if not isinstance(rows, list) or len(rows) > MAX_NOTES:
        raise ConfigError(f"notes must be a list of at most {MAX_NOTES} notes.")
    name = body.get("name", "recording")
    if not isinstance(name, str):
        raise ConfigError(f"name must be a text, not {_short(name)}.")
    notes = [_note(row, f"notes[{index}]", most_s) for index, row in enumerate(rows)]
    cents = number(body.get("tuning_cents", 0.0), "tuning_cents", -100.0, 100.0)
    return Edited(name, number(body.get("duration_s", 0.0), "duration_s", 0.0, most_s), cents, sorted(notes))


def _note(row: Any, where: str, most_s: float) -> Note:
    if not isinstance(row, dict):
        raise ConfigError(f"{where} must be an object with onset_s, offset_s and midi_note, not {_short(row)}.")
    onset_s = number(row.get("onset_s"), f"{where}.onset_s", 0.0, most_s)
    offset_s = number(row.get("offset_s"), f"{where}.offset_s", 0.0, most_s)
    if not onset_s < offset_s:
        raise ConfigError(f"{where} must end after it begins, not at {offset_s:g} s.")
    return Note(
        onset_s,
        whole(row.get("midi_note"), f"{where}.midi_note", 0, 127),
        offset_s,
        whole(row.get("velocity", 80), f"{where}.velocity", 1, 127),
        confidence=number(row.get("confidence", 1.0), f"{where}.confidence", 0.0, 1.0),
    )


def _short(value: Any) -> str:
    text = type(value).__name__ if isinstance(value, (dict, list)) else repr(value)
    return text if len(text) <= MAX_QUOTED else f"{text[:MAX_QUOTED]}..."

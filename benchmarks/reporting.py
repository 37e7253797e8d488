"""Sections of a benchmark that has so much time and no more; each figure is on disk as soon as it is measured."""

from __future__ import annotations

import json
import signal
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from audiocx.io.atomic_write import atomic_write

LATE = "not measured: out of time"


class OutOfTime(BaseException):
    """A time limit has passed. No Exception, for what catches those must not go on."""


class Clock:
    """The time that is left.

    Args:
        budget_s: Seconds from ``began_s`` on.
        began_s: By ``time.monotonic``; now when None.
    """

    def __init__(self, budget_s: float, began_s: float | None = None) -> None:
        self.began_s = time.monotonic() if began_s is None else began_s
        self.end_s = self.began_s + budget_s

    @property
    def left_s(self) -> float:
        """Seconds left, below 0 when over."""
        return self.end_s - time.monotonic()

    @property
    def spent_s(self) -> float:
        """Seconds since the beginning."""
        return time.monotonic() - self.began_s


@contextmanager
def limited(seconds: float) -> Iterator[None]:
    """Raises :class:`OutOfTime` in the block after so many seconds, where the system has alarms.

    Limits may lie within each other. Python looks for alarms between its own steps alone: a single call into a library
    is not cut short.
    """

    def late(*_: object) -> None:
        raise OutOfTime

    if not hasattr(signal, "setitimer"):
        yield
        return
    before, began_s = signal.signal(signal.SIGALRM, late), time.monotonic()
    outer_s, _ = signal.getitimer(signal.ITIMER_REAL)
    signal.setitimer(signal.ITIMER_REAL, max(min(seconds, outer_s or seconds), 0.001))
    try:
        yield
    finally:
        signal.signal(signal.SIGALRM, before)
        left_s = max(outer_s - (time.monotonic() - began_s), 0.001) if outer_s else 0
        signal.setitimer(signal.ITIMER_REAL, left_s)


@dataclass
class Section:
    """A table and what is to be said of it.

    Attributes:
        title: Its heading.
        columns: Names of the columns.
        rows: Cells of each row.
        notes: Sentences.
        data: Whatever else the JSON file is to hold.
        took_s: How long it took.
        save: Writes all there is to disk.
    """

    title: str
    columns: list[str] = field(default_factory=list)
    rows: list[list[Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    data: dict[str, Any] = field(default_factory=dict)
    took_s: float = 0.0
    save: Callable[[], None] = lambda: None

    def row(self, *cells: Any) -> None:
        """Adds a row, and writes."""
        self.rows.append(list(cells))
        print(f"  {' | '.join(map(_cell, cells))}", flush=True)
        self.save()

    def note(self, sentence: str) -> None:
        """Adds a sentence, and writes."""
        self.notes.append(sentence)
        print(f"  {sentence}", flush=True)
        self.save()

    def markdown(self) -> str:
        """Writes it out."""
        lines = [f"## {self.title}", ""]
        if self.rows:
            rule = "|".join("---" if index == 0 else "---:" for index in range(len(self.columns)))
            lines += [f"| {' | '.join(self.columns)} |", f"|{rule}|"]
            lines += [f"| {' | '.join(map(_cell, row))} |" for row in self.rows]
            lines.append("")
        lines += [f"- {sentence}" for sentence in self.notes]
        return "\n".join([*lines, f"- {self.took_s:.0f} s.", ""])


class Report:
    """All sections, in a JSON and a Markdown file that are written anew with each figure.

    Args:
        folder: Where to.
        about: Sentences on what was measured where.
        clock: The time that is left.
    """

    def __init__(self, folder: Path, about: list[str], clock: Clock) -> None:
        self.folder, self.about, self.clock = folder, about, clock
        self.sections: list[Section] = []
        folder.mkdir(parents=True, exist_ok=True)

    def measure(self, title: str, what: Callable[[Section, Clock], None], share_s: float, least_s: float = 3.0) -> None:
        """Runs a section; whatever happens, the next can run.

        Args:
            title: Its heading.
            what: Fills it; given its own share of the time, of which no more may be left than of all.
            share_s: How long it may take.
            least_s: Seconds without which it is not begun.
        """
        section = Section(title, save=self.save)
        self.sections.append(section)
        print(f"{title} ({self.clock.left_s:.0f} s left)", flush=True)
        began_s, share_s = time.monotonic(), min(share_s, self.clock.left_s)
        if share_s < least_s:
            section.note(f"{LATE}.")
            return
        try:
            with limited(share_s):
                what(section, Clock(share_s))
        except OutOfTime:
            section.note(f"The rest {LATE}.")
        except Exception as error:
            traceback.print_exc()
            section.note(f"The rest not measured: {one_line(error)}")
        section.took_s = time.monotonic() - began_s
        self.save()

    def save(self) -> None:
        """Writes what there is."""
        about = [*self.about, f"{self.clock.spent_s:.0f} s in all."]
        written = [{key: value for key, value in vars(section).items() if key != "save"} for section in self.sections]
        with atomic_write(self.folder / "gpu.json") as temporary:
            temporary.write_text(json.dumps({"about": about, "sections": written}, indent=1), encoding="utf-8")
        text = "\n".join([*about, "", *(section.markdown() for section in self.sections)])
        with atomic_write(self.folder / "gpu.md") as temporary:
            temporary.write_text(text, encoding="utf-8")


def one_line(error: BaseException) -> str:
    """Says what went wrong, in one line."""
    text = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {text[0][:200]}"


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return str(value)

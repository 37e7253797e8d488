"""Error handling of scripts such as those in recipes/."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from ..errors import AudiocxError, printable

__all__ = ["exit_on_errors"]


@contextmanager
def exit_on_errors(name: str) -> Iterator[None]:
    """Exit with one sentence on stderr and code 1 when the code within raises an error of the user's input.

    Args:
        name: The script's name, with which the sentence begins.

    Raises:
        SystemExit: An :class:`audiocx.errors.AudiocxError` was raised, or Ctrl-C was pressed.
    """
    try:
        yield
    except AudiocxError as error:
        sys.exit(f"{name}: error: {printable(error)}")
    except KeyboardInterrupt:
        sys.exit(f"{name}: interrupted; run the command again to continue.")

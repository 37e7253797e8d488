"""Error handling of scripts such as those in recipes/."""

from __future__ import annotations

import os
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
        SystemExit: An :class:`audiocx.errors.AudiocxError` was raised, Ctrl-C was pressed, or nobody reads stdout.
    """
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:  # the reader, such as head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except AudiocxError as error:
        sys.exit(f"{name}: error: {printable(error)}")
    except KeyboardInterrupt:
        sys.exit(f"{name}: interrupted; run the command again to continue.")

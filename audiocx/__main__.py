"""The program ``audiocx``, also as ``python -m audiocx``."""

from __future__ import annotations

import os
import sys

from .errors import EXIT_INTERRUPTED

__all__ = ["main"]


def main() -> int:
    """Run the command line of the process; Ctrl-C ends it with one line, even while it is being imported.

    Returns:
        The exit code, see :func:`audiocx.cli.main`.
    """
    _open_closed_streams()
    try:
        from . import cli

        code = cli.main()
    except KeyboardInterrupt:
        print("audiocx: interrupted", file=sys.stderr)
        code = EXIT_INTERRUPTED
    if code == EXIT_INTERRUPTED:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)  # at a regular exit, native threads that are still at work would crash or complain
    return code


def _open_closed_streams() -> None:
    """Open standard streams that are closed, or the next files that are opened would take their numbers."""
    for name, mode, flags in (("stdin", "r", os.O_RDONLY), ("stdout", "w", os.O_WRONLY), ("stderr", "w", os.O_WRONLY)):
        if getattr(sys, name) is None:  # in order, for each takes the lowest number that is free
            setattr(sys, name, open(os.open(os.devnull, flags), mode, closefd=False))  # noqa: SIM115


if __name__ == "__main__":
    sys.exit(main())

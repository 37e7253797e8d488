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


if __name__ == "__main__":
    sys.exit(main())

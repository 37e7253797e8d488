"""What the commands of the recipes share; each recipe brings its corpora."""

from __future__ import annotations

import sys
from collections.abc import Callable

from ..errors import AudiocxError

__all__ = ["run"]


def run(name: str, main: Callable[[], object]) -> None:
    """Runs a command; what its input is to blame for ends it with one sentence and exit code 1.

    Args:
        name: The command, as the sentence is to begin.
        main: What to run.
    """
    try:
        main()
    except AudiocxError as error:
        sys.exit(f"{name}: error: {error}")
    except KeyboardInterrupt:
        sys.exit(f"{name}: interrupted; run the command again to go on.")

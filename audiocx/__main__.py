"""``python -m audiocx`` is the command ``audiocx``."""

import sys

from .cli import main

if __name__ == "__main__":
    sys.exit(main())

"""The command ``stt-stream``: loads the client, and ends quietly when interrupted meanwhile."""

from __future__ import annotations

import sys
from typing import Final

EXIT_INTERRUPTED: Final = 130


def main() -> int:
    """Entry point; the exit status is described in the help text."""
    try:
        from .client import cli

        return cli.main()
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())

"""The command ``stt-server``: loads it, and ends quietly when interrupted meanwhile."""

from __future__ import annotations

import sys
from typing import Final

EXIT_INTERRUPTED: Final = 130


def main() -> int:
    """Entry point; the exit status is that of :func:`deploy.command_line.main`."""
    try:
        from deploy import command_line

        return command_line.main()
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())

"""The command ``stt-verify``: loads it, or says what an installation of the client alone lacks."""

from __future__ import annotations

import sys
from typing import Final

EXIT_UNREADABLE: Final = 2
EXIT_INTERRUPTED: Final = 130
EXTRA: Final = ("cryptography", "securesystemslib")
"""Packages of the extra ``receipts``, which the client alone does without."""


def main() -> int:
    """Entry point; the exit status is described in the help text."""
    try:
        from .receipts import cli

        return cli.main()
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in EXTRA:
            raise
        print(
            f"stt-verify: it needs packages that are not here: pip install {' '.join(EXTRA)} "
            "(or install the client with its extra: 'PATH[receipts]')",
            file=sys.stderr,
        )
        return EXIT_UNREADABLE
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())

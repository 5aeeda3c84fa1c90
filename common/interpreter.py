"""Tells in plain words that a program was started with a Python that cannot run it.

Asked before anything else is imported; so it needs nothing but the standard library, and no Python
is too old to read it.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

LEAST = (3, 11)
PACKAGES = ("configargparse", "msgspec", "prometheus_client", "websockets", "zmq")
"""What every stage imports; who has these has the others."""
WRONG = 2
"""Exit status, as of a wrong option."""


def fault(version: tuple[int, int], packages: tuple[str, ...] = PACKAGES) -> str:
    """What a Python of this version lacks, as far as packages can be found here; "" for nothing."""
    if version < LEAST:
        return f"it is Python {version[0]}.{version[1]}, and {LEAST[0]}.{LEAST[1]} is needed"
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    return f"it has no {', '.join(missing)}" if missing else ""


def check(program: str) -> None:
    """End the process with one line and status 2, if this Python cannot run ``program``."""
    why = fault((sys.version_info[0], sys.version_info[1]))
    if not why:
        return
    root = Path(__file__).resolve().parent.parent
    print(
        f"{program}: {sys.executable} cannot run this: {why}; "
        f"use {root / '.venv' / 'bin' / 'python'}, which `make -C '{root}' setup` makes",
        file=sys.stderr,
    )
    raise SystemExit(WRONG)

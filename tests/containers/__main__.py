"""``python -m tests.containers``: the trial, or what is missing for it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.containers.engine import missing


def main() -> int:
    """The exit status: 0 too where the trial cannot run, for that is nobody's fault."""
    if lacks := missing():
        print("test-containers needs root on Linux and Debian's Docker engine, docker-compose,")
        print(f"mmdebstrap and iptables; here: {'; '.join(lacks)}")
        print("0 passed, 0 failed, 1 skipped")
        return 0
    trial = Path(__file__).with_name("trial.py")
    return int(pytest.main([str(trial), "--timeout=1200", "-v", *sys.argv[1:]]))


if __name__ == "__main__":
    raise SystemExit(main())

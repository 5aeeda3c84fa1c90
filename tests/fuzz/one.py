"""One target under atheris: ``python -m tests.fuzz.one TARGET FOLDER [libFuzzer options]``."""

from __future__ import annotations

import importlib.util
import logging
import sys

import atheris

with atheris.instrument_imports(
    include=["common", "gateway", "verifier", "websockets", "urllib"],
    enable_loader_override=False,
):
    from tests.fuzz.targets import TARGETS


def main() -> None:
    """Fuzz until the time is over or something is found."""
    assert importlib.util.find_spec("atheris")
    name, *rest = sys.argv[1:]
    logging.disable(logging.CRITICAL)
    atheris.Setup([sys.argv[0], *rest], TARGETS[name].run)
    atheris.Fuzz()


if __name__ == "__main__":
    main()

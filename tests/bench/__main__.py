"""``python -m tests.bench [--quick] [--only NAME]``: measure, print, write JSON."""

from __future__ import annotations

import argparse
import importlib
import signal
import sys

from rich.console import Console

TABLES = {
    name: name
    for name in (
        *("kernel", "proving", "pipeline", "latency", "stopped", "live", "engine", "sessions"),
        *("growth", "burst", "bandwidth", "edge"),
    )
} | {"load": "crowd"}
"""Tables, and the module of each."""


LONG = ("live", "load", "engine", "sessions", "burst")
"""Tables that wait for speech, or for a minute to pass: a quick run of all leaves them out."""


def main() -> int:
    """Run the tables that were asked for; 0 whether or not their goals are met."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="under a minute, without live speech")
    parser.add_argument("--only", choices=TABLES, action="append", help="just these tables")
    options = parser.parse_args()
    # A stop from outside ends the stages too, which an unhandled signal would leave behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    console = Console(width=120)
    unasked = LONG if options.quick else ()
    for name in options.only or [name for name in TABLES if name not in unasked]:
        module = importlib.import_module(f"tests.bench.{TABLES[name]}")
        for result in module.run(quick=options.quick):
            result.show(console, quick=options.quick)
            console.print(f"written to {result.write(quick=options.quick)}", style="dim")
    return 0


if __name__ == "__main__":
    sys.exit(main())

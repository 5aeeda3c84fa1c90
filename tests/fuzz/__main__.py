"""``make fuzz MINUTES=5``: coverage-guided random input (atheris) for everything a stranger sends.

Each target runs in a process of its own, one after the other, for its share of the time. What it
learns is kept in ``.fuzz/TARGET`` and where the next run begins; an input that shows a defect is
printed as Python bytes, for ``FOUND`` in ``targets.py``.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path
from typing import Final

from tests.fuzz.targets import TARGETS
from tests.processes import ROOT

FOLDER: Final = ROOT / ".fuzz"
MAX_BYTES: Final = 4096


def corpus(name: str) -> Path:
    """A target's folder, with its seeds in it."""
    folder = FOLDER / name
    folder.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(TARGETS[name].seeds):
        (folder / f"seed-{number}").write_bytes(seed)
    return folder


def fuzz(name: str, seconds: int) -> bool:
    """Try a target; whether it stood."""
    print(f"fuzz: {name} for {seconds} s", flush=True)
    crash = FOLDER / f"crash-{name}"
    crash.unlink(missing_ok=True)
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "tests.fuzz.one",
            name,
            str(corpus(name)),
            f"-max_total_time={seconds}",
            f"-max_len={MAX_BYTES}",
            f"-exact_artifact_path={crash}",
            "-timeout=10",
            "-rss_limit_mb=1024",
        ],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    summary = [line for line in done.stdout.splitlines() if line.startswith("Done ")]
    if done.returncode == 0 and summary:
        print(f"  {summary[-1]}")
        return True
    print(done.stdout[-6000:])
    if crash.exists():
        print(f"  found by {crash.read_bytes()!r}")
    return False


def main() -> int:
    """Fuzz all targets, or those named; 1 when one found a defect."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition(":")[0])
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=", ".join(TARGETS))
    parser.add_argument("--minutes", type=float, default=5.0, help="for all together")
    options = parser.parse_args()
    unknown = set(options.targets) - set(TARGETS)
    if unknown:
        parser.error(f"no such target: {', '.join(sorted(unknown))}")
    names = options.targets or list(TARGETS)
    seconds = max(1, round(options.minutes * 60 / len(names)))
    stood = [fuzz(name, seconds) for name in names]
    return 0 if all(stood) else 1


if __name__ == "__main__":
    sys.exit(main())

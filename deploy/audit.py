"""``make audit``: known vulnerabilities of every pinned package; says so if nobody can tell.

Exit status: 0 none is known; 1 some are; 3 the service did not answer for any package, so that
nothing is known either way.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Final, NamedTuple

LOCKS: Final = Path(__file__).with_name("requirements")
CLEAN: Final = 0
VULNERABLE: Final = 1
NOT_ASKED: Final = 3
TIMEOUT_S: Final = 300
ACCEPTED: Final[dict[str, str]] = {}
"""Findings that do not concern this project: id, and why."""


class Audit(NamedTuple):
    """What a report says.

    Attributes:
        asked: packages about which the service answered.
        skipped: packages about which it did not.
        found: one line for each finding that is not accepted.
    """

    asked: int
    skipped: int
    found: tuple[str, ...]

    @property
    def status(self) -> int:
        """The exit status."""
        if self.found:
            return VULNERABLE
        return CLEAN if self.asked else NOT_ASKED

    @property
    def summary(self) -> str:
        """One line."""
        if not self.asked:
            return (
                "audit: NOT DONE: the vulnerability service cannot be reached from here; "
                "run `make audit` where it can"
            )
        partly = f" ({self.skipped} packages are unknown to it)" if self.skipped else ""
        return f"audit: {self.asked} packages asked about, {len(self.found)} findings{partly}"


def read(report: str) -> Audit:
    """Take in the JSON that ``pip-audit`` prints; "" when it printed none."""
    packages: list[dict[str, Any]] = json.loads(report)["dependencies"] if report.strip() else []
    asked = [package for package in packages if "skip_reason" not in package]
    found = [
        f"{package['name']} {package['version']}: {finding['id']}, mended in "
        f"{', '.join(finding['fix_versions']) or 'no version yet'}"
        for package in asked
        for finding in package["vulns"]
        if not {finding["id"], *finding["aliases"]} & set(ACCEPTED)
    ]
    return Audit(len(asked), len(packages) - len(asked), tuple(found))


def main() -> int:
    """Ask, print, and return the exit status."""
    pins = "".join(path.read_text() for path in sorted(LOCKS.glob("*.txt")))
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as requirements:
        requirements.write(pins)
        requirements.flush()
        argv = ["-m", "pip_audit", "--progress-spinner=off", "--format=json", "--disable-pip"]
        done = subprocess.run(
            [sys.executable, *argv, "--requirement", requirements.name],
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
    audit = read(done.stdout)
    for line in (*audit.found, audit.summary):
        print(line)
    return audit.status


if __name__ == "__main__":
    sys.exit(main())

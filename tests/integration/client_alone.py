"""An environment that holds the client's wheel, what the wheel asks for, and nothing else."""

from __future__ import annotations

import importlib.metadata
import os
import re
import subprocess
import sys
import venv
from pathlib import Path
from typing import NamedTuple

from tests.processes import ROOT


class ClientAlone(NamedTuple):
    """Its programs."""

    python: Path
    stt_stream: Path
    stt_verify: Path
    site: Path

    def run(self, *command: str | Path) -> str:
        """Standard output of a program that cannot find the checkout by chance."""
        environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        return subprocess.run(
            command, cwd="/", env=environment, stdout=-1, text=True, timeout=200, check=True
        ).stdout

    def add(self, extra: str) -> None:
        """Install what the wheel's extra of that name asks for beside, likewise as links."""
        mark = re.compile(rf"extra == ['\"]{extra}['\"]")
        wanted = [one for one in _requirements(self.site) if mark.search(one)]
        assert wanted, f"the wheel has no extra {extra}"
        _link(self.site, _needed([one.partition(";")[0] for one in wanted]))


def install(folder: Path) -> ClientAlone:
    """Build the wheel and install it; takes some seconds.

    The packages that it asks for are links to those of the running environment.
    """
    pip = (sys.executable, "-m", "pip", "-q", "--disable-pip-version-check")
    subprocess.run((*pip, "wheel", "--no-deps", "-w", folder, ROOT), check=True, timeout=200)
    (wheel,) = folder.glob("verified_stt-*-py3-none-any.whl")
    venv.create(folder / "venv")
    programs = folder / "venv" / "bin"
    into = ("--python", programs / "python", "install", "--no-deps", "--no-index")
    subprocess.run((*pip, *into, wheel), check=True, timeout=200)
    (site,) = (folder / "venv" / "lib").glob("python3*/site-packages")
    _link(site, _needed(_requirements(site)))
    return ClientAlone(programs / "python", programs / "stt-stream", programs / "stt-verify", site)


def _requirements(site: Path) -> list[str]:
    (metadata,) = site.glob("verified_stt-*.dist-info")
    return importlib.metadata.PathDistribution(metadata).requires or []


def _link(site: Path, names: set[str]) -> None:
    for name in names:
        for file in importlib.metadata.files(name) or []:
            path, link = Path(str(file.locate())), site / file.parts[0]
            if file.parts[0] != ".." and not link.exists():
                link.symlink_to(path.parents[len(file.parts) - 2] if file.parts[1:] else path)


def _needed(requirements: list[str] | None) -> set[str]:
    """Names of the packages that are asked for, and of those that they ask for in turn."""
    names = {re.split(r"[^\w.-]", each)[0] for each in requirements or [] if "extra ==" not in each}
    return names.union(*(_needed(importlib.metadata.requires(name)) for name in names))

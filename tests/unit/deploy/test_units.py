"""deploy/systemd: the units are valid, sandboxed, and name what exists."""

from __future__ import annotations

import dataclasses
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from common.settings import GatewaySettings, TranscriberSettings
from tests.processes import ROOT

UNITS = ROOT / "deploy" / "systemd"
SERVICES = sorted(UNITS.glob("*.service"))
OPTIONAL = "stt-engine@.service"
MOST_EXPOSURE = 20
"""systemd-analyze's points of 100; a unit without a sandbox has 96."""

pytestmark = pytest.mark.skipif(
    not shutil.which("systemd-analyze"), reason="no systemd-analyze (Debian: systemd)"
)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The units with this checkout and this user in place of those of the installation."""
    folder = tmp_path_factory.mktemp("units")
    for unit in [*SERVICES, *UNITS.glob("*.target")]:
        text = unit.read_text()
        text = text.replace("/opt/verified-stt/.venv/bin/python", sys.executable)
        text = text.replace("/opt/verified-stt", str(ROOT))
        (folder / unit.name).write_text(re.sub(r"^(User|Group)=stt$", r"\1=root", text, flags=re.M))
    return folder


def analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["systemd-analyze", *arguments], capture_output=True, text=True, timeout=60, check=False
    )


def instance(unit: Path) -> str:
    return unit.name.replace("@.", "@8021.")


def test_the_units_are_valid(installed: Path) -> None:
    units = [str(installed / instance(unit)) for unit in [*SERVICES, UNITS / "stt.target"]]
    done = analyze("verify", "--man=no", *units)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("unit", SERVICES, ids=lambda unit: unit.name)
def test_a_stage_runs_in_a_sandbox(installed: Path, unit: Path) -> None:
    path = installed / unit.name
    done = analyze("security", "--offline=yes", f"--threshold={MOST_EXPOSURE}", str(path))
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("unit", SERVICES, ids=lambda unit: unit.name)
def test_a_unit_runs_a_stage_and_stops_it_patiently(unit: Path) -> None:
    text = unit.read_text()
    stage = re.search(r"^ExecStart=/opt/verified-stt/.venv/bin/python -P -m ([\w.]+)$", text, re.M)
    assert stage
    assert (ROOT / stage[1].replace(".", "/") / "__main__.py").exists()
    patience = re.search(r"^TimeoutStopSec=(\d+)$", text, re.M)
    assert patience
    assert float(patience[1]) > GatewaySettings().drain_s
    known = {
        f"STT_{field.name.upper()}"
        for settings in (GatewaySettings, TranscriberSettings)
        for field in dataclasses.fields(settings)
    }
    assert set(re.findall(r"\b(STT_\w+)=", text)) <= known


def test_the_target_wants_units_that_exist() -> None:
    wanted = re.search(r"^Wants=(.*)$", (UNITS / "stt.target").read_text(), re.M)
    assert wanted
    names = {re.sub(r"@\d+\.", "@.", name) for name in wanted[1].split()}
    assert names == {unit.name for unit in SERVICES} - {OPTIONAL}

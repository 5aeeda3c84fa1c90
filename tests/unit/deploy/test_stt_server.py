"""deploy.stt_server: the command, while it loads."""

from __future__ import annotations

import signal
import subprocess
import sys

from tests.processes import ROOT


def test_an_interrupt_while_it_loads_says_nothing() -> None:
    process = subprocess.Popen(
        [sys.executable, "-X", "importtime", "-m", "deploy.stt_server", "--help"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.endswith("msgspec\n"):
                process.send_signal(signal.SIGINT)
                break
        rest = process.stderr.read()
    assert process.returncode == 130
    assert [line for line in rest.splitlines() if not line.startswith("import time:")] == []

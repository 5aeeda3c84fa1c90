"""deploy.supervise: what supervisord alone would lose."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

from tests.processes import ROOT

STOPPED_BEFORE_IT_RUNS = """
import os, signal, sys, time
from deploy.supervise import _Options

signal.signal(signal.SIGTERM, lambda *_: None)  # as supervisord's, which only takes note
options = _Options()
came, forked = os.pipe()
pid = options.fork()
if not pid:
    os.write(forked, b"x")
    deadline_s = time.monotonic() + 30
    while signal.SIGTERM not in signal.sigpending() and time.monotonic() < deadline_s:
        time.sleep(0.01)
    try:
        options.execve("/bin/sh", ["sh", "-c", "exit 7"], {})
    finally:
        os._exit(9)
os.read(came, 1)
os.kill(pid, signal.SIGTERM)
print(os.waitpid(pid, 0)[1])
print(signal.SIGTERM in signal.pthread_sigmask(signal.SIG_BLOCK, ()))
"""


def test_a_stop_between_fork_and_exec_ends_the_stage() -> None:
    """The stage would start, be taken for one that does not stop, and be killed much later."""
    out = subprocess.run(
        [sys.executable, "-c", STOPPED_BEFORE_IT_RUNS],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    ).stdout
    status, still_blocked = out.split()
    assert os.WTERMSIG(int(status)) == signal.SIGTERM
    assert still_blocked == "False"

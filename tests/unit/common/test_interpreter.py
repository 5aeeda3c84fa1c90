"""A Python that cannot run a stage is told so in one line."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from common.interpreter import check, fault
from tests.processes import ROOT


def test_this_python_can_run_everything() -> None:
    assert not fault(sys.version_info[:2])
    check("a program")


def test_one_that_is_too_old_is_told_what_is_needed() -> None:
    assert fault((3, 9)) == "it is Python 3.9, and 3.11 is needed"
    assert not fault((3, 11))
    assert not fault((4, 0))


def test_packages_that_are_missing_are_named() -> None:
    assert fault((3, 11), ("zmq", "no_such_package", "nor_this")) == (
        "it has no no_such_package, nor_this"
    )


@pytest.mark.parametrize("module", ["gateway", "verifier", "transcriber", "transcriber.engines"])
def test_a_stage_under_a_python_without_packages_says_what_to_use(module: str) -> None:
    """``-S``: this Python without what is installed for it."""
    done = subprocess.run(
        [sys.executable, "-S", "-m", module],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    (line,) = done.stderr.splitlines()
    assert "it has no configargparse, msgspec" in line
    assert ".venv/bin/python, which `make -C '" in line


def test_the_command_without_an_environment_says_how_to_make_one(tmp_path: Path) -> None:
    """With the ``python3`` of the PATH, which has no packages."""
    (tmp_path / "deploy").mkdir()
    script = shutil.copy(ROOT / "deploy" / "stt-server", tmp_path / "deploy")
    python = tmp_path / "bin" / "python3"
    python.parent.mkdir()
    python.write_text(f'#!/bin/sh\nexec {sys.executable} -S "$@"\n')
    python.chmod(0o755)
    done = subprocess.run(
        [script],
        env={"PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert "there is no environment yet" in done.stderr
    assert f"make -C '{tmp_path}' setup" in done.stderr
    assert "Traceback" not in done.stderr

"""common.stt_verify: the command, where the client was installed without the extra it needs."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.processes import ROOT

WITHOUT = (
    "import sys; sys.modules[sys.argv.pop(1)] = None; from common import stt_verify; "
    "sys.exit(stt_verify.main())"
)


@pytest.mark.parametrize("missing", ["cryptography", "securesystemslib"])
def test_a_client_without_the_extra_is_told_what_to_install(missing: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, missing, "--help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "pip install cryptography securesystemslib" in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""

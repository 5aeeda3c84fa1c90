"""The README is true: its commands exist and parse, its options and links are real."""

from __future__ import annotations

import functools
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.processes import ROOT

README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```(\w*)\n(.*?)```", README, flags=re.DOTALL)
COMMANDS = [
    line.partition("  #")[0].strip()
    for language, text in BLOCKS
    if language == "sh"
    for line in text.splitlines()
    if line.strip()
]


@functools.cache
def help_of(*command: str) -> str:
    """What ``--help`` prints."""
    done = subprocess.run(
        [*command, "--help"], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    return done.stdout


HELP = {
    "deploy/stt-server": ("deploy/stt-server",),
    ".venv/bin/stt-stream": (sys.executable, "-m", "common.stt_stream"),
    ".venv/bin/stt-inspect": (sys.executable, "-m", "common.forensics.cli"),
    ".venv/bin/stt-verify": (sys.executable, "-m", "common.receipts.cli"),
    "gateway": (sys.executable, "-m", "gateway"),
    "verifier": (sys.executable, "-m", "verifier"),
    "transcriber": (sys.executable, "-m", "transcriber"),
}


@pytest.mark.parametrize("command", [c for c in COMMANDS if not c.startswith("make")])
def test_options_of_a_command_exist(command: str) -> None:
    words = shlex.split(command)
    program = words[2] if words[:2] == [".venv/bin/python", "-m"] else words[0]
    options = [word for word in words if word.startswith("--")]
    subcommand = words[1:2] if program == "deploy/stt-server" and words[1:2] != options[:1] else []
    known = help_of(*HELP[program], *subcommand)
    assert [option for option in options if option not in known] == []


def test_files_and_variables_of_the_containers_exist() -> None:
    """Docker's commands (bash) are run by `make test-containers`, on an engine."""
    text = "".join(text for language, text in BLOCKS if language == "bash")
    files = set(re.findall(r"deploy/\S+\.yml", text))
    assert files
    compose = "".join((ROOT / file).read_text() for file in files)
    variables = set(re.findall(r"\b(STT_\w+)=", text))
    assert variables
    assert [name for name in variables if f"${{{name}:-" not in compose] == []


@pytest.mark.parametrize("command", [c for c in COMMANDS if c.startswith("make")])
def test_make_target_exists(command: str) -> None:
    target = shlex.split(command)[1]
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)


def test_options_of_the_table_exist() -> None:
    table = README.partition("\n## Options")[2].partition("\n## ")[0]
    named = set(re.findall(r"`(--[\w-]+)", table))
    known = help_of("deploy/stt-server")
    assert named
    assert {option for option in named if option not in known} == set()


def test_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", README):
        assert Path(ROOT, target).exists(), target


def test_python_example_compiles() -> None:
    for language, text in BLOCKS:
        if language == "python":
            compile(text, "README.md", "exec")

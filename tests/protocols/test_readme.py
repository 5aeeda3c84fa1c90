"""The README's snippets for standard clients run as they stand, but for the ports."""

from __future__ import annotations

import asyncio
import re
import sys
from typing import Final

import pytest

from deploy.demo_parts import same_words
from tests.processes import ROOT
from tests.protocols.conftest import ApiSystem
from tests.speech import SENTENCES

README: Final = (ROOT / "README.md").read_text(encoding="utf-8")
SNIPPETS: Final = dict(re.findall(r"```python\n# ([^\n]+)\n(.*?)```", README, re.DOTALL))
MOST_LINES: Final = 10


async def output_of(*argv: str) -> str:
    process = await asyncio.create_subprocess_exec(
        *argv, cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(120):
        out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    return out.decode()


def test_each_kind_of_client_has_a_snippet_of_at_most_ten_lines() -> None:
    assert len(SNIPPETS) == 4
    for head, text in SNIPPETS.items():
        assert len([line for line in text.splitlines() if line.strip()]) <= MOST_LINES, head


async def test_the_snippets_print_what_was_said(system: ApiSystem) -> None:
    ports = {"127.0.0.1:8010": f"127.0.0.1:{system.api_port}", "10300": str(system.wyoming_port)}

    async def run(text: str) -> str:
        for usual, port in ports.items():
            text = text.replace(usual, port)
        return await output_of(sys.executable, "-W", "ignore", "-c", text)

    for head, printed in zip(
        SNIPPETS, await asyncio.gather(*map(run, SNIPPETS.values())), strict=True
    ):
        if "a file" in head:
            number, times, printed = printed.split("\n", 2)
            assert (number, " --> " in times) == ("1", True)
        assert same_words(SENTENCES["bridge"].recognised, printed), head


@pytest.mark.parametrize("form, head", [("srt", "1\n00:00:00,"), ("vtt", "WEBVTT\n\n00:00:00.")])
async def test_our_own_client_prints_subtitles_too(system: ApiSystem, form: str, head: str) -> None:
    printed = await output_of(
        *(sys.executable, "-m", "common.stt_stream", "--url", system.url, "--fast"),
        *("--format", form, str(SENTENCES["city"].path)),
    )
    assert printed.startswith(head)
    assert same_words(SENTENCES["city"].recognised, printed.splitlines()[-1])

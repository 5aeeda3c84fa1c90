"""Clients stream over a line that damages every fifth message, to a server that is strict."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path
from typing import Final

import pytest

from common.client.errors import RejectedError
from common.forensics.records import SUFFIX, read
from common.forensics.what_happened import compare
from common.integrity import Algorithm
from tests.faults.clips import speech
from tests.faults.crowd import Talker
from tests.faults.noisy_line import Damage, NoisyLine
from tests.faults.storm import check
from tests.faults.system import System

pytestmark = [pytest.mark.faults, pytest.mark.slow]

STRICT: Final = (
    *("--verify-data-integrity", "--reject-corrupted-data", "--corruption-threshold", "0"),
    *("--resend-attempts", "20"),
)
CLIENTS: Final = 3


async def test_with_resend_every_recorder_hears_what_its_client_had_and_without_none_does(
    tmp_path: Path,
) -> None:
    options = [*STRICT, "--quarantine", str(tmp_path)]
    with System(verifiers=2, gateway=options) as system:
        system.wait_ready()
        async with NoisyLine(system.url, random.Random(4), 0.2) as line:
            await check_healing(system, line)
            await check_rejection(line)
        system.stop()
    check_quarantine(tmp_path)


async def check_healing(system: System, line: NoisyLine) -> None:
    talkers = [Talker(speech(number, 2)) for number in range(CLIENTS)]
    await asyncio.gather(*(talk(talker, line) for talker in talkers))
    healed = 0
    for talker in talkers:
        check(talker, system.tap_dir, talker.sentences)
        assert talker.report is not None
        assert talker.report.corrupt == talker.report.lost == 0
        assert talker.report.ok == talker.sent
        assert talker.report.healed == talker.stream.verdicts.healed
        assert sum(one.healed for one in talker.report.provenance) > 0
        healed += talker.report.healed
    assert all(line.done[damage] > 2 for damage in Damage), line.done
    metrics = system.metrics()
    assert metrics["healed_frames"] == healed
    assert metrics["unhealed_frames"] == 0
    assert metrics["resend_requests"] >= healed
    assert any("[HEALED] Client 127.0.0.1" in text for text in system.gateway.process.lines)
    delays = [event.delay_ms for talker in talkers for event in talker.healed]
    print(
        f"{line.messages} messages, {dict(line.done)}; {healed} frames healed with "
        f"{metrics['resend_requests']:g} requests; delay added: median "
        f"{sorted(delays)[len(delays) // 2]:.1f} ms, most {max(delays):.1f} ms"
    )


def check_quarantine(folder: Path) -> None:
    """What is kept of the frames tells what the line did to them."""
    records = [record for path in folder.glob(f"*{SUFFIX}") for record in read(path)]
    healed = [record for record in records if record.good]
    assert len(healed) > 10
    assert len(records) > len(healed), "the one that rejected is kept as it came"
    kinds = {compare(record.message, record.good).kind for record in healed}
    assert kinds & {"one bit flipped", "bits flipped in one burst", "bits flipped in many places"}
    assert kinds & {"truncated", "moved"}


async def talk(talker: Talker, line: NoisyLine, *, resend: bool = True) -> None:
    async with talker.connect(line.url, algorithm=Algorithm.CRC32C, resend=resend):
        await talker.say()
        await talker.finish()


async def check_rejection(line: NoisyLine) -> None:
    """The same line without the promise: the document's strict server rejects."""
    talker = Talker(speech(9, 2))
    with pytest.raises(RejectedError):
        await talk(talker, line, resend=False)

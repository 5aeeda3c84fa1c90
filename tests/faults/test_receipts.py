"""Receipts of a real system: what they say is what was heard, whatever was killed meanwhile."""

from __future__ import annotations

import asyncio
import hashlib
import sys
import wave
from pathlib import Path

import msgspec
import pytest

from common.receipts.checking import examine
from common.receipts.signing import load_public, make_keys
from common.receipts.statement import (
    AUDIO_HEARD,
    FrameRecord,
    Judgement,
    from_base64,
    parse_statement,
)
from tests.faults.clips import RATE_HZ, speech
from tests.faults.crowd import CHUNK_SAMPLES, Talker, until
from tests.faults.cut import CuttableProxy
from tests.faults.system import System
from tests.processes import ROOT

pytestmark = [pytest.mark.faults, pytest.mark.slow]


async def test_a_receipt_says_what_was_heard_though_a_transcriber_was_killed(
    tmp_path: Path,
) -> None:
    private, public = make_keys(tmp_path)
    options = ["--verify-data-integrity", "--on-corruption", "silence", "--receipts", str(private)]
    with System(verifiers=2, gateway=options) as system:
        system.wait_ready()
        await check_receipt_after_a_kill(system, public)
        await check_receipts_of_two_gateways(system, public, tmp_path)
        await check_receipt_over_a_lost_connection(system, public)
        await check_commands(system, public, tmp_path)
        system.stop()


async def check_receipt_after_a_kill(system: System, public: Path) -> None:
    talker = Talker(speech(3, 2))
    async with talker.connect(system.url, receipt=True):
        await talker.say(len(talker.pcm) // 4)
        await talker.say_corrupt()
        await until(lambda: talker.all_received, "the recorder has all that was said")
        await asyncio.to_thread(system.transcribers[0].replace)
        await talker.say()
        await talker.finish()
    (bundle,) = talker.stream.receipts
    stated = parse_statement(from_base64(bundle.receipt.payload))
    assert stated.predicate.final
    assert stated.predicate.replays == 1
    records = [FrameRecord.unpack(leaf) for leaf in bundle.frame_leaves()]
    assert len(records) == stated.predicate.frames.count == talker.sent
    heard = (system.tap_dir / f"{talker.session}.pcm").read_bytes()
    assert stated.digest_of(AUDIO_HEARD) == hashlib.sha256(heard).hexdigest()
    assert talker.report is not None
    first, second = talker.report.provenance
    assert first.replayed
    assert first.silence == CHUNK_SAMPLES
    assert first.verified + first.silence == first.end_sample - first.start_sample
    assert second.first_frame > first.first_frame
    assert (first.algorithm, first.engine) == ("additive", "null")
    # What arrived is not what the client had: the receipt shows where that begins.
    transcript = "".join(f"{text}\n" for text in talker.sentences).encode()
    found = examine(bundle, load_public(public), talker.pcm, transcript)
    (failed,) = [finding.text for finding in found if not finding.holds]
    (corrupt,) = [one.number for one in records if one.judgement is Judgement.CORRUPT]
    assert f"frame {corrupt} is the first that differs" in failed


async def check_receipts_of_two_gateways(system: System, public: Path, folder: Path) -> None:
    """The first one is killed: what it had signed before and what the next signs cover it all."""
    talker = Talker(speech(4, 2))
    async with talker.connect(system.url, receipt=True) as stream:
        await talker.say(3 * len(talker.pcm) // 4)
        await until(lambda: stream.receipts, "the first sentence is signed, without being asked")
        await until(lambda: talker.all_received, "the recorder has all that was said")
        await asyncio.to_thread(system.gateway.replace)
        await talker.say()
        await talker.finish()
    first, second = (parse_statement(from_base64(b.receipt.payload)) for b in stream.receipts)
    assert (first.predicate.final, second.predicate.final) == (False, True)
    assert first.predicate.session != second.predicate.session
    assert 0 < second.predicate.start_sample < first.predicate.received_samples
    names = [folder / "first", folder / "second"]
    for name, bundle in zip(names, stream.receipts, strict=True):
        name.write_bytes(msgspec.json.encode(bundle))
    (folder / "all.pcm").write_bytes(talker.pcm)
    (folder / "all.txt").write_text("".join(f"{text}\n" for text in talker.sentences))
    files = [*names, folder / "all.pcm", folder / "all.txt"]
    out = await run("common.receipts.cli", "--key", str(public), *map(str, files))
    assert "[FAIL]" not in out
    begins = second.predicate.start_sample
    frame = begins // CHUNK_SAMPLES
    assert f"receipt 2: it goes on at sample {begins} of the stream" in out
    assert f"in frame {frame} of the receipt before" in out


async def check_receipt_over_a_lost_connection(system: System, public: Path) -> None:
    """The gateway lives: it is one session, and one receipt says all, unchanged."""
    talker = Talker(speech(5, 2))
    async with (
        CuttableProxy(system.data_port) as proxy,
        talker.connect(proxy.url, receipt=True) as stream,
    ):
        await talker.say(len(talker.pcm) // 2)
        proxy.cut()
        await until(lambda: not stream.connected, "the client notices")
        await talker.say()
        await talker.finish()
    (bundle,) = stream.receipts
    assert stream.reconnections == 1
    assert parse_statement(from_base64(bundle.receipt.payload)).predicate.final
    transcript = "".join(f"{text}\n" for text in talker.sentences).encode()
    found = examine(bundle, load_public(public), talker.pcm, transcript)
    assert all(finding.holds for finding in found), found


async def check_commands(system: System, public: Path, folder: Path) -> None:
    """As an operator's client does it: stream with a receipt, then check it elsewhere."""
    audio, receipt = folder / "talk.wav", folder / "talk.receipt"
    with wave.open(str(audio), "wb") as file:
        file.setparams((1, 2, RATE_HZ, 0, "NONE", ""))
        file.writeframes(speech(1, 1))
    out = await run(
        "common.stt_stream",
        *("--url", system.url, "--fast", "--plain", "--quiet", "--receipt", str(receipt)),
        str(audio),
    )
    assert "[TEXT]" in out
    transcript = f"{receipt}.txt"
    out = await run(
        "common.receipts.cli", "--key", str(public), str(receipt), str(audio), transcript
    )
    assert "[FAIL]" not in out
    assert "are what the server received" in out
    assert "[OK] transcript" in out


async def run(module: str, *arguments: str) -> str:
    """What a command prints; it must end well."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", module, *arguments), cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    assert process.returncode == 0, out.decode()
    return out.decode()

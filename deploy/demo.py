"""``make demo``: the whole system once, on a spoken sentence.

Starts gateway, verifiers and transcriber as processes of their own, streams a recording at
real-time pace through this project's client (which sends checksums), spoils one frame for good and
another on its way, which heals, shows each verdict and the text as they come, and checks the
server's receipt for them; beside it streams another recording through RealtimeSTT's own client,
unmodified. Then stops everything and looks for what is left.
Exit status 0: the words are those that were spoken, and nothing is left running.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import shutil
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Final

from common.client import OnTheLine, flip_bit
from common.client.frames import Corruption
from common.client.stream import Stream, connect
from common.events import FrameVerdict, FullSentence, Healed, Realtime
from common.receipts.checking import Finding, examine
from common.receipts.signing import load_public, make_keys
from common.receipts.statement import Bundle
from deploy.demo_parts import (
    DemoError,
    Recording,
    Running,
    processes_of,
    recordings,
    same_words,
    start_system,
    stock_client,
    stock_client_text,
)

CHUNK_SAMPLES: Final = 4096
SPOILED_FRAME: Final = 5
HEALING_FRAME: Final = 8
PARTIAL_WIDTH: Final = 64


class Show:
    """Prints what happens, in colour on a terminal."""

    def __init__(self) -> None:
        self._colour = sys.stdout.isatty()

    def heading(self, text: str) -> None:
        """A step of the demonstration."""
        print(f"\n{self._paint(1, '== ' + text)}")

    def line(self, text: str) -> None:
        """A line about it."""
        print(f"   {text}", flush=True)

    def verdict(self, verdict: FrameVerdict) -> None:
        """One frame's verdict."""
        if verdict.verdict == "corrupt":
            found = (
                verdict.diagnosis or verdict.likely or "the samples are not those that were sent"
            )
            self.line(
                f"{self._paint(31, '[FAIL]')} frame {verdict.sequence}: checksum expected "
                f"{verdict.expected_checksum}, got {verdict.actual_checksum} ({found})"
            )
            return
        self.line(
            f"{self._paint(32, '[OK]')}   frame {verdict.sequence}: length "
            f"{verdict.actual_length}, checksum {verdict.actual_checksum}, "
            f"checked in {verdict.latency_ms:.1f} ms"
        )

    def healed(self, event: Healed) -> None:
        """A frame that was asked for again."""
        self.line(
            f"{self._paint(33, '[HEALED]')} frame {event.sequence} was damaged on its way, and "
            f"arrived as it was sent {event.delay_ms:.1f} ms after it was asked for again"
        )

    def finding(self, finding: Finding) -> None:
        """What holds of a receipt, or does not."""
        mark = self._paint(32, "[OK]") if finding.holds else self._paint(31, "[FAIL]")
        self.line(f"{mark} {finding.text}")

    def partial(self, text: str) -> None:
        """A partial result."""
        self.line(self._paint(2, f"       … {text[-PARTIAL_WIDTH:]}"))

    def final(self, text: str) -> None:
        """A final result."""
        self.line(self._paint(1, f"       “{text}”"))

    def _paint(self, code: int, text: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self._colour else text


FAULTS: Final[dict[int, Corruption]] = {SPOILED_FRAME: flip_bit, HEALING_FRAME: OnTheLine(flip_bit)}


async def stream(url: str, recording: Recording, show: Show) -> tuple[str, Bundle]:
    """Send a recording at real-time pace, with its faults; the text and the receipt."""
    sentences: list[str] = []
    async with connect(url, chunk_samples=CHUNK_SAMPLES, receipt=True) as client:
        listening = asyncio.create_task(_listen(client, show, sentences))
        async for number, block in _paced(recording):
            await client.send(block, corrupt=FAULTS.get(number))
        report = await client.finish()
        await listening
    if report is None:
        raise DemoError("the server sent no report")
    counts = client.verdicts
    show.line(f"{counts.ok} frames arrived as they were sent, {counts.corrupt} did not")
    if counts.corrupt != 1:
        raise DemoError(f"one frame was spoiled, and the server found {counts.corrupt}")
    if counts.healed != 1:
        raise DemoError(f"one frame was to heal, and {counts.healed} did")
    if not client.receipts:
        raise DemoError("the server gave no receipt")
    return " ".join(sentences), client.receipts[-1]


def check_receipt(bundle: Bundle, public_key: Path, recording: Recording, show: Show) -> None:
    """Look at the receipt as a stranger would who has the recording.

    Raises:
        DemoError: it says something else than what happened.
    """
    found = examine(bundle, load_public(public_key), recording.pcm)
    for finding in found:
        show.finding(finding)
    wrong = [finding.text for finding in found if not finding.holds]
    if len(wrong) != 1 or f"frame {SPOILED_FRAME} is the first that differs" not in wrong[0]:
        raise DemoError(f"the receipt should differ in frame {SPOILED_FRAME} alone: {wrong}")
    show.line("as it must be: that frame was spoiled before it was sent, and the receipt shows it")


async def _listen(client: Stream, show: Show, sentences: list[str]) -> None:
    partial = ""
    async for event in client:
        if isinstance(event, FrameVerdict):
            show.verdict(event)
        elif isinstance(event, Healed):
            show.healed(event)
        elif isinstance(event, Realtime) and event.text not in ("", partial):
            partial = event.text
            show.partial(partial)
        elif isinstance(event, FullSentence):
            sentences.append(event.text)
            show.final(event.text)


async def _paced(recording: Recording) -> AsyncIterator[tuple[int, bytes]]:
    """The recording's blocks, each when its last sample would have been spoken."""
    loop = asyncio.get_running_loop()
    began_s = loop.time()
    for number, block in enumerate(recording.blocks(CHUNK_SAMPLES)):
        due_s = began_s + (number + 1) * CHUNK_SAMPLES / recording.rate_hz
        await asyncio.sleep(max(0.0, due_s - loop.time()))
        yield number, block


async def both_clients(system: Running, public_key: Path, show: Show) -> None:
    """Two clients at once, each with its own words.

    Raises:
        DemoError: the text is not what was spoken.
    """
    spoken, other = recordings()
    show.heading(f"streaming {spoken.name}, two frames of it spoiled: “{spoken.text}”")
    client = stock_client(system.control_url, system.data_url)
    stock = asyncio.create_task(asyncio.to_thread(stock_client_text, client, other))
    text, receipt = await stream(system.data_url, spoken, show)
    show.heading(f"meanwhile, {other.name} through RealtimeSTT's own client, unmodified")
    other_text = await stock
    show.final(other_text)
    for recording, heard in ((spoken, text), (other, other_text)):
        if not same_words(recording.text, heard):
            raise DemoError(f"spoken was “{recording.text}”, heard was “{heard}”")
    show.line("both clients got the words that were spoken, each its own")
    show.heading("checking the server's receipt against the recording, with its public key alone")
    check_receipt(receipt, public_key, spoken, show)


async def demonstrate(show: Show, options: Sequence[str]) -> None:
    """Start, stream, stop.

    Raises:
        DemoError: something was not as it should be; the message says what.
    """
    run_dir = Path(tempfile.mkdtemp(prefix="stt-demo-"))
    keys = Path(tempfile.mkdtemp(prefix="stt-demo-keys-"))
    try:
        private_key, public_key = make_keys(keys)
        show.heading("starting the stages, each a process of its own")
        system = await start_system(run_dir, [*options, "--receipts", str(private_key)])
        try:
            for row in system.stages:
                show.line(f"{row.name:<14} pid {row.pid}")
            show.line(f"ready after {system.ready_after_s:.1f} s")
            await both_clients(system, public_key, show)
        finally:
            show.heading("stopping (Ctrl-C)")
            status = await system.stop(signal.SIGINT)
        left = processes_of(run_dir)
        if status or left or any(run_dir.iterdir()):
            raise DemoError(f"exit status {status}, left running: {left}, files in {run_dir}")
        show.line(f"drained and stopped in {system.stopped_after_s:.1f} s; nothing is left running")
    finally:
        for folder in (run_dir, keys):
            shutil.rmtree(folder, ignore_errors=True)


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of ``python -m deploy.demo``; further arguments go to ``stt-server``."""
    parser = argparse.ArgumentParser(prog="make demo", description=str(__doc__).split("\n\n")[0])
    _, options = parser.parse_known_args(argv)
    try:
        asyncio.run(demonstrate(Show(), options))
    except DemoError as error:
        print(f"\nThe demonstration failed: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    print(
        "\nTry it yourself: deploy/stt-server --verify-data-integrity, then open "
        "http://127.0.0.1:8012/"
    )
    return 0


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError):
        sys.exit(main())

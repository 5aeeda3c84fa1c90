"""Corrupt frames counted by API key, of a real server: they outlive the connection they came by."""

from __future__ import annotations

from pathlib import Path

import pytest

from common.api_keys import line_of, new_key
from common.client import flip_bit
from common.client.errors import RejectedError
from common.client.stream import connect
from common.events import FullSentence
from tests.faults.clips import speech
from tests.faults.system import System


async def test_a_key_that_failed_before_tolerates_less_and_serves_intact_frames_as_ever(
    tmp_path: Path,
) -> None:
    ward, desk = new_key(), new_key()
    keys = tmp_path / "keys"
    keys.write_text(f"{line_of('ward', ward)}\n{line_of('desk', desk)}\n")
    keys.chmod(0o600)
    options = ["--reject-corrupted-data", "--corruption-threshold", "1"]
    options += ["--api-keys", str(keys), "--count-by", "key"]
    with System(verifiers=1, gateway=options) as system:
        system.wait_ready()

        async def say(key: str, *, corrupt: int) -> int:
            """Sentences of a client with that key, that damages its first frames."""
            texts = 0
            async with connect(system.url, api_key=key, resend=False) as stream:
                pcm = speech(1, 1)
                for number in range(corrupt):
                    await stream.send(pcm[number * 4096 :][:4096], corrupt=flip_bit)
                await stream.send(pcm[corrupt * 4096 :])
                await stream.finish()
                async for event in stream:
                    texts += isinstance(event, FullSentence)
            return texts

        assert await say(ward, corrupt=1) == 1
        with pytest.raises(RejectedError):
            await say(ward, corrupt=1)
        system.gateway.process.wait_for_line(r"exceeded corruption threshold \(2 failures\)")
        assert await say(desk, corrupt=1) == 1
        assert await say(ward, corrupt=0) == 1
        found = system.metrics()
        assert found["remembered_failures"] == 2
        assert found["corrupt_frames_by_key:ward"] == 2
        assert found["corrupt_frames:127.0.0.1"] == 3
        system.stop()

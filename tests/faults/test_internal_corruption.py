"""What the server itself damages between its stages is sent again and held against nobody."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from common.stamps import Hop
from tests.faults.clips import speech
from tests.faults.crowd import Talker, until
from tests.faults.meddler import Meddler
from tests.faults.storm import check
from tests.faults.system import Member, System

pytestmark = [pytest.mark.faults, pytest.mark.slow]


async def test_bits_that_flip_between_the_stages_are_never_a_clients_fault() -> None:
    """On every hop at once, in strict mode, where one failure would reject the client.

    No text of a damaged result is shown: sentences are those of a quiet day, each once.
    """
    strict = ["--verify-data-integrity", "--reject-corrupted-data", "--corruption-threshold", "0"]
    with (
        Meddler(every=6, seed=12) as meddler,
        System(
            verifiers=1,
            gateway=strict,
            verifier=meddler.verifier,
            transcriber=meddler.transcriber,
        ) as system,
    ):
        meddler.go_between(system.stages)
        system.wait_ready()
        talker = Talker(speech(1, 2))
        await talker.talk(system.url, pace=2)  # so that verdicts come in many batches
        check(talker, system.tap_dir, talker.sentences)
        assert talker.report is not None
        assert talker.report.corrupt == 0
        assert len(talker.sentences) == 2
        stages: dict[Hop, Sequence[Member]] = {
            Hop.FRAMES: system.verifiers,
            Hop.AUDIO: system.transcribers,
            Hop.VERDICTS: [system.gateway],
            Hop.RESULTS: [system.gateway],
            Hop.COMMANDS: system.transcribers,
        }
        # Replies are few (one to each opening): that these are sealed shows test_placement.py.
        # Commands are few: pings go on with nobody there.
        least = [hop for hop in stages if meddler.damaged[hop] <= 3]
        await until(lambda: all(meddler.damaged[hop] > 3 for hop in least), "enough was damaged")
        for hop, members in stages.items():
            found = sum(system.metrics(m).get(f"stt_internal_corruption:{hop}", 0) for m in members)
            assert found > 0, hop
        system.stop()

"""What clients hear on a quiet day, to compare with."""

from __future__ import annotations

from tests.faults.crowd import Talker
from tests.faults.system import System


async def quiet_sentences(system: System, pcm: bytes) -> list[str]:
    """The sentences of a stream that nothing disturbs, by the same system."""
    talker = Talker(pcm)
    await talker.talk(system.url)
    return talker.sentences

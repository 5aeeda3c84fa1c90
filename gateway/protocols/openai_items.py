"""The items of an OpenAI Realtime transcription session: each one utterance, from first to last.

An item is born when speech is heard, or with the client's commit, and keeps its id until its
transcript. Events of a recording may be shed under load, its final result never: what was missed
is made up for when that comes.
"""

from __future__ import annotations

import dataclasses
from collections import deque
from typing import Any

from gateway.protocols.base import Partial, SpeechStarted, SpeechStopped, Utterance
from gateway.protocols.partials import StableText

Event = dict[str, Any]


@dataclasses.dataclass(slots=True)
class Item:
    """One utterance.

    Attributes:
        mark: of the commit that ends it; 0: silence ends it.
        kept: False once the client cleared it.
        unsure: it becomes an item only if something was said in it.
        parts: texts of the pieces that came before the one which ends it.
    """

    id: str
    mark: int = 0
    kept: bool = True
    unsure: bool = False
    announced: bool = False
    committed: bool = False
    parts: list[str] = dataclasses.field(default_factory=list)
    start_ms: int = -1
    stable: StableText = dataclasses.field(default_factory=StableText)


class Items:
    """All items that have no transcript yet, oldest first.

    Args:
        prefix: makes the ids unlike those of other sessions.

    Attributes:
        transcribes: whether the client wants transcripts.
    """

    def __init__(self, prefix: str) -> None:
        self.transcribes = True
        self._prefix = prefix
        self._count = 0
        self._waiting: deque[Item] = deque()
        self._open: Item | None = None  # of the recording, or of the audio that is held
        self._previous: str | None = None

    # -- what the client does ------------------------------------------------------------------

    def hold(self) -> None:
        """The client sends audio that it will commit itself."""
        if self._open is None:
            self._open = self._new()

    def commit(self, mark: int) -> list[Event]:
        """The client ends the utterance that is under way, or an empty one."""
        item = self._take_open(mark)
        return self._commit(item)

    def discard(self, mark: int) -> None:
        """The client clears its buffer."""
        self._take_open(mark).kept = False

    def settle(self, mark: int) -> None:
        """The client changed its mind about who commits: what is held is an item if it says so."""
        self._take_open(mark).unsure = True

    # -- what is heard -------------------------------------------------------------------------

    def speech_started(self, heard: SpeechStarted) -> list[Event]:
        """The recorder began to record."""
        if self._open is None:
            self._open = self._new()
        return self._announce(self._open, heard.at_ms)

    def speech_stopped(self, heard: SpeechStopped) -> list[Event]:
        """The recorder ended a recording by itself, or at a mark."""
        item = self._open
        if item is None or not item.announced:
            return []
        self._open = None
        self._waiting.append(item)
        return [self._stopped(item, heard.at_ms), *self._commit(item)]

    def partial(self, heard: Partial) -> list[Event]:
        """What the present recording sounds like so far."""
        item = self._open
        return self._delta(item, item.stable.partial(heard.text)) if item is not None else []

    def utterance(self, heard: Utterance) -> list[Event]:
        """A final result."""
        if heard.mark:
            return self._marked(heard)
        # Results come in order: what silence ended before a mark is heard of before the mark.
        first = self._waiting[0] if self._waiting else None
        if first is not None and not first.mark:
            return self._complete(self._waiting.popleft(), heard)
        if (
            first is None and self._open is not None and self._open.announced
        ):  # that it stopped was not heard
            item, self._open = self._open, None
            events = [self._stopped(item, heard.end_ms), *self._commit(item)]
            return events + self._complete(item, heard)
        holder = first or self._open
        if holder is not None:  # a part of a long utterance that a mark ends
            holder.parts.append(heard.text)
            holder.start_ms = heard.start_ms if holder.start_ms < 0 else holder.start_ms
            return []
        return self._made_up(self._new(), heard) if heard.text or heard.error else []

    # -- within --------------------------------------------------------------------------------

    def _new(self) -> Item:
        self._count += 1
        return Item(f"item_{self._prefix}{self._count:04d}")

    def _take_open(self, mark: int) -> Item:
        item, self._open = self._open or self._new(), None
        item.mark = mark
        self._waiting.append(item)
        return item

    def _marked(self, heard: Utterance) -> list[Event]:
        item = next((item for item in self._waiting if item.mark == heard.mark), None)
        if item is None:  # repeated
            return []
        self._waiting.remove(item)
        if not item.kept:
            return []
        text = " ".join(filter(None, [*item.parts, heard.text]))
        start_ms = item.start_ms if item.start_ms >= 0 else heard.start_ms
        whole = heard._replace(text=text, start_ms=start_ms)
        if item.unsure:
            return self._made_up(item, whole) if text else []
        return self._complete(item, whole)

    def _made_up(self, item: Item, heard: Utterance) -> list[Event]:
        """An item of which nothing was told yet."""
        events = self._announce(item, heard.start_ms)
        events += [self._stopped(item, heard.end_ms), *self._commit(item)]
        return events + self._complete(item, heard)

    def _announce(self, item: Item, at_ms: int) -> list[Event]:
        if item.announced:
            return []
        item.announced = True
        return [
            {
                "type": "input_audio_buffer.speech_started",
                "audio_start_ms": at_ms,
                "item_id": item.id,
            }
        ]

    def _stopped(self, item: Item, at_ms: int) -> Event:
        return {
            "type": "input_audio_buffer.speech_stopped",
            "audio_end_ms": at_ms,
            "item_id": item.id,
        }

    def _commit(self, item: Item) -> list[Event]:
        if item.committed:
            return []
        item.committed = True
        previous, self._previous = self._previous, item.id
        shown = {
            "id": item.id,
            "object": "realtime.item",
            "type": "message",
            "status": "completed",
            "role": "user",
            "content": [{"type": "input_audio", "transcript": None}],
        }
        place = {"previous_item_id": previous}
        return [
            {"type": "input_audio_buffer.committed", "item_id": item.id, **place},
            {"type": "conversation.item.added", "item": shown, **place},
            {"type": "conversation.item.done", "item": shown, **place},
        ]

    def _delta(self, item: Item, more: str) -> list[Event]:
        if not more or not self.transcribes:
            return []
        return [
            {
                "type": "conversation.item.input_audio_transcription.delta",
                "item_id": item.id,
                "content_index": 0,
                "delta": more,
            }
        ]

    def _complete(self, item: Item, heard: Utterance) -> list[Event]:
        if not self.transcribes:
            return []
        base = {"item_id": item.id, "content_index": 0}
        if heard.error:
            failure = {"type": "server_error", "code": "transcription_failed"}
            return [
                {
                    "type": "conversation.item.input_audio_transcription.failed",
                    **base,
                    "error": {**failure, "message": heard.error, "param": None},
                }
            ]
        seconds = round((heard.end_ms - heard.start_ms) / 1000, 3)
        return [
            *self._delta(item, item.stable.final(heard.text)),
            {
                "type": "conversation.item.input_audio_transcription.completed",
                **base,
                "transcript": heard.text,
                "usage": {"type": "duration", "seconds": seconds},
            },
        ]

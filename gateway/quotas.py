"""What each key has used up of what it may: sessions, hours of audio in a day, speed.

Counted by this gateway since it started.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from common.api_keys import ApiKey

DAY_S: Final = 86_400
BURST_S: Final = 10.0
"""Seconds of audio that a key may send at once before its speed is looked at."""


class Spent(NamedTuple):
    """What follows from audio that a key sent.

    Attributes:
        pause_s: how long to read nothing more of it, so that it keeps to its speed.
        refused: why nothing more is taken of it today; "" while there is something left.
    """

    pause_s: float = 0.0
    refused: str = ""


class _Usage:
    """One key's."""

    def __init__(self, now_s: float) -> None:
        self.sessions = 0
        self.day = -1
        self.audio_s = 0.0
        self.ahead_s = 0.0
        self.seen_s = now_s


class Quotas:
    """Usage by key; ``now_s`` are seconds since 1970, since a day is one of the calendar (UTC)."""

    def __init__(self) -> None:
        self._usage: dict[str, _Usage] = {}

    def begin(self, key: ApiKey, now_s: float) -> str:
        """A session of a key begins; "" or why it may not."""
        usage = self._of(key, now_s)
        most = key.quota.sessions
        if most and usage.sessions >= most:
            return f"the key {key.name} has its {most} sessions already"
        if refused := _used_up(key, usage):
            return refused
        usage.sessions += 1
        return ""

    def end(self, key: ApiKey) -> None:
        """A session that had begun ended."""
        usage = self._usage[key.name]
        usage.sessions -= 1

    def spend(self, key: ApiKey, audio_s: float, now_s: float) -> Spent:
        """Audio of a key was taken in; what follows for its next."""
        usage = self._of(key, now_s)
        usage.audio_s += audio_s
        pause_s = 0.0
        if speed := key.quota.speed:
            passed_s = max(0.0, now_s - usage.seen_s)
            usage.ahead_s = max(0.0, usage.ahead_s - passed_s * speed) + audio_s
            pause_s = max(0.0, usage.ahead_s - BURST_S) / speed
        usage.seen_s = now_s
        return Spent(pause_s, _used_up(key, usage))

    def sessions(self, name: str) -> int:
        """Sessions of a key that are open."""
        usage = self._usage.get(name)
        return usage.sessions if usage else 0

    def _of(self, key: ApiKey, now_s: float) -> _Usage:
        """A key's usage, today's. There are no more of them than keys in the file, ever."""
        usage = self._usage.get(key.name)
        if usage is None:
            usage = self._usage[key.name] = _Usage(now_s)
        today = int(now_s // DAY_S)
        if usage.day != today:
            usage.day, usage.audio_s = today, 0.0
        return usage


def _used_up(key: ApiKey, usage: _Usage) -> str:
    most_s = key.quota.audio_s
    if not most_s or usage.audio_s < most_s:
        return ""
    return f"the key {key.name} has used its {most_s / 3600:g} hours of audio of today"

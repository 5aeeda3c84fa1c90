"""What a session's recorder calls for its texts, and the lane that its requests take."""

from __future__ import annotations

from concurrent.futures import CancelledError, Future
from typing import Any, Final, Protocol

from transcriber.engines.base import AudioRequest, FloatAudio, Outcome, Transcript
from transcriber.schedule import Job, Kind

NOTHING: Final = Transcript("")
"""What a partial that was dropped comes back as."""


class TranscriptFuture(Future[Transcript]):
    """A transcription to come; cancelling it takes the request back."""

    job: Job[Any]


class Lane(Protocol):
    """What takes requests to an engine: in this process, or elsewhere. Thread-safe."""

    def submit(self, session: str, kind: Kind, request: AudioRequest) -> TranscriptFuture:
        """Take in a request."""
        ...

    def promote(self, future: TranscriptFuture) -> None:
        """An early request is its recording's final."""
        ...

    def forget(self, session: str) -> None:
        """Cancel all requests of a session."""
        ...

    def waiting(self) -> tuple[int, int]:
        """Finals and partials that wait."""
        ...

    def wait_s(self) -> float:
        """For how long a final that comes now would wait."""
        ...

    def close(self) -> None:
        """Cancel what waits, and let the engine go."""
        ...


def resolve(future: Future[Transcript], outcome: Outcome) -> None:
    """Settle a future that may have been cancelled."""
    if not future.set_running_or_notify_cancel():
        return
    if isinstance(outcome, Exception):
        future.set_exception(outcome)
    else:
        future.set_result(outcome)


class _Executor:
    def __init__(self, lane: Lane, session: str) -> None:
        self._lane = lane
        self._session = session
        self._closed = False

    def close(self) -> None:
        """Take no more requests: they are cancelled at once."""
        self._closed = True

    def _submit(self, kind: Kind, request: AudioRequest) -> TranscriptFuture:
        if self._closed:
            raise CancelledError("the session is closed")
        return self._lane.submit(self._session, kind, request)


class FinalExecutor(_Executor):
    """Final transcriptions of one session, by the signature that RealtimeSTT calls."""

    def submit(
        self,
        audio: FloatAudio,
        language: str | None = None,
        use_prompt: bool = True,
        *,
        early: bool = False,
        **options: Any,
    ) -> TranscriptFuture:
        """Queue a transcription; cancelling the future takes it back.

        Args:
            early: the recording goes on, and speech may yet overtake the result; it waits behind
                others until :meth:`promote`, and replaces an early one that waits.

        Raises:
            QueueFullError: the session has too many finals waiting.
            CancelledError: the session or the scheduler is closed.
        """
        request = AudioRequest(
            audio, language or None, use_prompt, False, bool(options.get("word_timestamps"))
        )
        return self._submit(Kind.EARLY if early else Kind.FINAL, request)

    def promote(self, future: TranscriptFuture) -> None:
        """The recording has ended, and ``future`` is its final."""
        self._lane.promote(future)

    def transcribe(
        self,
        audio: FloatAudio,
        language: str | None = None,
        use_prompt: bool = True,
        **options: Any,
    ) -> Transcript:
        """Transcribe and wait.

        Raises:
            Exception: as :meth:`submit`, or what the engine raised.
        """
        return self.submit(audio, language, use_prompt, **options).result()


class RealtimeExecutor(_Executor):
    """Partial transcriptions of one session, by the signature that RealtimeSTT calls."""

    def __init__(self, lane: Lane, session: str) -> None:
        super().__init__(lane, session)
        self._current: TranscriptFuture | None = None

    def drop(self) -> None:
        """The recording has ended: nobody needs the partial that waits."""
        if self._current is not None:
            self._current.cancel()

    def transcribe(
        self, audio: FloatAudio, language: str | None = None, use_prompt: bool = True, **_: Any
    ) -> Transcript:
        """Transcribe and wait; an empty text when the request was dropped for newer ones."""
        request = AudioRequest(audio, language or None, use_prompt, True)
        try:
            self._current = self._submit(Kind.REALTIME, request)
            return self._current.result()
        except CancelledError:
            return NOTHING

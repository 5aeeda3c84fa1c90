"""One session's way from frames that arrive in any order to audio that its recorder is fed.

Decides what to feed and what to acknowledge; the recorder is whatever is an
:class:`AudioSink`. Holds no socket and no clock.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple, Protocol

from common.envelope import Ack, Audio, Commit, Open
from common.wire import Mark
from transcriber.resample import Resampler
from transcriber.resequencer import Arrival, Resequencer
from transcriber.timeline import Timeline

_ENDS: Final = (Mark.END, Mark.DISCARD)


def _ends(header: Audio) -> bool:
    """Whether the frame ends an utterance; a mark without a number could not be answered."""
    return header.mark in _ENDS and header.mark_number > 0


class AudioSink(Protocol):
    """What is fed: a recorder session."""

    def ask_for_room(self) -> bool:
        """Whether to feed on; after False, whoever feeds is told when there is room again."""
        ...

    def feed(self, pcm16: bytes | memoryview) -> None:
        """Append int16 mono PCM at 16 kHz."""
        ...

    def hold(self) -> None:
        """What is fed from here on is one utterance, until a mark ends it."""
        ...

    def end_utterance(self, number: int, *, discard: bool) -> None:
        """The utterance ends here, in order with the audio fed."""
        ...

    def finish(self) -> None:
        """The stream ended."""
        ...


class ReceivedFrame(NamedTuple):
    """A frame that waits for its turn: its header and its int16 PCM (empty for a hole)."""

    header: Audio
    pcm: bytes


class Intake:
    """Feeds a recorder one session's frames, each once, in order.

    Args:
        tap: called with all PCM that the recorder is fed.

    Attributes:
        fenced: more corrupt frames came than are tolerated; nothing after them is fed.
    """

    def __init__(
        self, opened: Open, sink: AudioSink, tap: Callable[[bytes | memoryview], None] | None
    ) -> None:
        self._session = opened.session
        self._epoch = opened.epoch
        self._sink = sink
        self._tap = tap
        self._frames: Resequencer[ReceivedFrame] = Resequencer(
            opened.start.seq, opened.window_frames
        )
        self._timeline = Timeline(opened.start)
        self._resampler = Resampler(opened.start.run_samples)
        self._skip_samples = opened.start.skip_samples
        self._tolerated = opened.tolerated
        self._failures = opened.failures
        self._end_seq: int | None = None
        self.fenced = False
        self.finished = False

    @property
    def next_seq(self) -> int:
        """The frame that the recorder is fed next."""
        return self._frames.next_seq

    @property
    def commit(self) -> Commit:
        """What no replay needs."""
        return self._timeline.commit

    def accept(self, header: Audio, pcm: bytes) -> Arrival:
        """Take in a frame that arrived; feed follows with :meth:`pump`."""
        return self._frames.accept(header.seq, ReceivedFrame(header, pcm))

    def pump(self) -> bool:
        """Feed all frames whose turn it is, as far as the recorder keeps up; whether any was."""
        before = self._frames.next_seq
        while not self.finished and self._sink.ask_for_room():
            frame = self._frames.take()
            if frame is None:
                break
            self._feed(frame)
        self._finish_if_due()
        return self._frames.next_seq != before

    def finish(self, end_seq: int) -> None:
        """No frame at or past ``end_seq`` will come."""
        self._end_seq = end_seq
        self._finish_if_due()

    def commit_to(self, sample: int) -> bool:
        """Commit the audio before a position; whether that is more than before."""
        return self._timeline.commit_to(sample) is not None

    def utterance_ended(self) -> None:
        """What a mark asked for was reported."""
        self._timeline.let_go()

    def ack(self, sentences: int = 0) -> Ack:
        """The state of the intake, for the gateway, after so many sentences were sent."""
        return Ack(
            session=self._session,
            fed=self._frames.next_seq,
            held_below=self._frames.held_below,
            gaps=self._frames.gaps(),
            commit=self._timeline.commit,
            epoch=self._epoch,
            sentences=sentences,
        )

    def _feed(self, frame: ReceivedFrame) -> None:
        header = frame.header
        if header.corrupt:
            self._failures += 1
            if 0 <= self._tolerated < self._failures:
                self.fenced = True
        pcm: bytes | memoryview = b""
        resampler = self._resampler
        rate_hz, run_samples = resampler.rate_hz, resampler.run_samples
        if not self.fenced:
            pcm = frame.pcm or bytes(2 * header.hole_samples)
            if pcm:
                samples = len(pcm) // 2
                pcm = resampler.process(pcm, header.sample_rate_hz)
                rate_hz, run_samples = resampler.rate_hz, max(0, resampler.run_samples - samples)
            if _ends(header):  # nothing of it may come with the next
                pcm = bytes(pcm) + resampler.flush()
            pcm = self._without_skipped(pcm)
        self._timeline.fed(
            header.seq,
            len(pcm) // 2,
            resampler.lag_samples - self._skip_samples,
            rate_hz=rate_hz,
            run_samples=run_samples,
        )
        if header.mark is Mark.HOLD and pcm:
            self._sink.hold()
        self._pass_on(pcm)
        if _ends(header) and not self.fenced:
            self._timeline.keep(header.seq)
            discard = header.mark is Mark.DISCARD
            self._sink.end_utterance(header.mark_number, discard=discard)

    def _pass_on(self, pcm: bytes | memoryview) -> None:
        if pcm:
            if self._tap is not None:
                self._tap(pcm)
            self._sink.feed(pcm)

    def _without_skipped(self, pcm: bytes | memoryview) -> bytes | memoryview:
        """Leave out what was committed of the first frame of a replay."""
        if not self._skip_samples:
            return pcm
        skipped = min(self._skip_samples, len(pcm) // 2)
        self._skip_samples -= skipped
        return memoryview(pcm)[2 * skipped :]

    def _finish_if_due(self) -> None:
        if self.finished or self._end_seq is None or self._frames.next_seq < self._end_seq:
            return
        self.finished = True
        if not self.fenced:
            rest = self._without_skipped(self._resampler.flush())
            self._timeline.flushed(len(rest) // 2)
            self._pass_on(rest)
        self._sink.finish()

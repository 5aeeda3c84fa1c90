"""Wyoming, as Home Assistant speaks it: one utterance from ``audio-start`` to ``audio-stop``.

Each is held from its first sample to its last, whatever silence is in it: who sends it has decided
already where it begins and ends. Events are those of the ``wyoming`` package.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from wyoming.asr import (
    Transcribe,
    Transcript,
    TranscriptChunk,
    TranscriptStart,
    TranscriptStop,
)
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.error import Error
from wyoming.event import Event
from wyoming.info import AsrModel, AsrProgram, Attribution, Describe, Info
from wyoming.ping import Ping, Pong

from common.errors import CommandError
from common.parameters import checked_value
from common.wire import Mark
from gateway.protocols.audio import Encoding, FrameMaker, checked_format
from gateway.protocols.base import (
    Close,
    Drained,
    Finish,
    Heard,
    Partial,
    Pass,
    ProtocolError,
    Refused,
    Set,
    SpeechStarted,
    SpeechStopped,
    Utterance,
)
from gateway.protocols.partials import StableText

_WIDTHS: Final = {1: Encoding.PCM8, 2: Encoding.PCM16, 3: Encoding.PCM24, 4: Encoding.PCM32}
ATTRIBUTION: Final = Attribution(name="verified-stt", url="")
NORMAL, POLICY_VIOLATION, TRY_AGAIN_LATER = 1000, 1008, 1013


WHISPER_LANGUAGES: Final = (
    "af am ar as az ba be bg bn bo br bs ca cs cy da de el en es et eu fa fi fo fr gl gu ha haw he "
    "hi hr ht hu hy id is it ja jw ka kk km kn ko la lb ln lo lt lv mg mi mk ml mn mr ms mt my ne "
    "nl nn no oc pa pl ps pt ro ru sa sd si sk sl sn so sq sr su sv sw ta te tg th tk tl tr tt uk "
    "ur uz vi yi yo zh yue"
)
"""What engines other than the embedded one are taken to know; Home Assistant offers no others."""


def languages_of(engine: str) -> list[str]:
    """Codes of the languages that an engine is said to know."""
    return ["en"] if engine == "pocketsphinx" else WHISPER_LANGUAGES.split()


class SayEvent(NamedTuple):
    """Send an event to the client."""

    event: Event


WyomingAction = SayEvent | Pass | Set | Finish | Close


class Wyoming:
    """One connection.

    Args:
        engine: the name of what transcribes.
    """

    def __init__(self, *, engine: str) -> None:
        self._engine = engine
        self._language = ""
        self._maker: FrameMaker | None = None
        self._streams = False
        self._marks = 0
        self._parts: list[str] = []
        self._stable = StableText()
        self._started = False

    def receive(self, event: Event) -> list[WyomingAction]:
        """An event of the client; those of unknown types are dropped, as the protocol asks."""
        try:
            return self._act_on(event)
        except (ProtocolError, CommandError) as error:
            return [_error(str(error), "invalid")]
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            text = f"{str(event.type)[:64]}: a field is missing or has the wrong type ({error})"
            return [_error(text[:300], "invalid")]

    def _act_on(self, event: Event) -> list[WyomingAction]:
        if AudioChunk.is_type(event.type):
            return self._chunk(AudioChunk.from_event(event))
        if AudioStart.is_type(event.type):
            return self._start(AudioStart.from_event(event))
        if AudioStop.is_type(event.type):
            return self._stop()
        if Transcribe.is_type(event.type):
            return self._transcribe(Transcribe.from_event(event))
        if Describe.is_type(event.type):
            return [SayEvent(self._info().event())]
        if Ping.is_type(event.type):
            return [SayEvent(Pong(text=Ping.from_event(event).text).event())]
        return []

    def _transcribe(self, asked: Transcribe) -> list[WyomingAction]:
        if not asked.language:
            return []
        language = checked_value("language", asked.language.split("-")[0].lower())
        self._language = str(language)
        return [Set("language", language)]

    def _start(self, start: AudioStart) -> list[WyomingAction]:
        frames = self._change(start.rate, start.width, start.channels)
        self._streams = True
        return [Pass(frame) for frame in frames]

    def _chunk(self, chunk: AudioChunk) -> list[WyomingAction]:
        if not self._streams:
            raise ProtocolError("audio-chunk before audio-start")
        frames = self._change(chunk.rate, chunk.width, chunk.channels)
        assert self._maker is not None
        frames += self._maker.take(chunk.audio, held=True)
        return [Pass(frame) for frame in frames]

    def _change(self, rate_hz: object, width: object, channels: object) -> list[bytes]:
        if type(width) is not int or width not in _WIDTHS:
            raise ProtocolError("width must be 1, 2, 3 or 4 bytes")
        audio_format = checked_format(_WIDTHS[width], rate_hz, channels)
        if self._maker is None:
            self._maker = FrameMaker(audio_format)
            return []
        return self._maker.change(audio_format)

    def _stop(self) -> list[WyomingAction]:
        if not self._streams or self._maker is None:
            raise ProtocolError("audio-stop before audio-start")
        self._streams = False
        self._marks += 1
        frames = self._maker.mark(Mark.END, self._marks)
        return [Pass(frame) for frame in frames]

    def unreadable(self, reason: str) -> list[WyomingAction]:
        """What came was no event: where the next would begin is not known."""
        return [_error(reason, "invalid"), Close(POLICY_VIOLATION, reason)]

    def flush(self) -> list[WyomingAction]:
        """What waits to be joined with more audio goes out."""
        return [Pass(frame) for frame in self._maker.flush()] if self._maker is not None else []

    def hear(self, heard: Heard) -> list[WyomingAction]:
        """What the session says, as events."""
        match heard:
            case SpeechStarted() | SpeechStopped():
                return []
            case Partial():
                if not self._streams and self._marks == 0:
                    return []
                return self._more(self._stable.partial(heard.text))
            case Utterance():
                return self._utterance(heard)
            case Drained():
                return [Close(NORMAL, "the server is stopping")]
            case Refused():
                code = TRY_AGAIN_LATER if heard.code == "busy" else POLICY_VIOLATION
                return [_error(heard.message, heard.code), Close(code, heard.message)]

    def _utterance(self, heard: Utterance) -> list[WyomingAction]:
        if heard.error:
            said: list[WyomingAction] = [_error(heard.error, "transcription-failed")]
        else:
            said = []
        if heard.text:
            self._parts.append(heard.text)
        if not heard.mark:  # a part of a long one
            return said
        text = " ".join(self._parts)
        said += self._more(self._stable.final(text))
        if not self._started:
            said += self._begin()
        language = self._language or None
        said += [
            SayEvent(Transcript(text=text, language=language).event()),
            SayEvent(TranscriptStop().event()),
        ]
        self._parts, self._stable, self._started = [], StableText(), False
        return said

    def _begin(self) -> list[WyomingAction]:
        self._started = True
        return [SayEvent(TranscriptStart(language=self._language or None).event())]

    def _more(self, text: str) -> list[WyomingAction]:
        if not text:
            return []
        begin = [] if self._started else self._begin()
        return [*begin, SayEvent(TranscriptChunk(text=text).event())]

    def _info(self) -> Info:
        model = AsrModel(
            name=self._engine,
            attribution=ATTRIBUTION,
            installed=True,
            description="What this server transcribes with",
            version="1",
            languages=languages_of(self._engine),
        )
        program = AsrProgram(
            name="verified-stt",
            attribution=ATTRIBUTION,
            installed=True,
            description="Verified streaming speech-to-text",
            version="1",
            models=[model],
            supports_transcript_streaming=True,
        )
        return Info(asr=[program])


def _error(text: str, code: str) -> SayEvent:
    return SayEvent(Error(text=text, code=code).event())

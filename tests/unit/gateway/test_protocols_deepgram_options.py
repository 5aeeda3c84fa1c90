"""Deepgram's query: everything is taken or refused by name."""

from __future__ import annotations

import pytest

from gateway.protocols.audio import AudioFormat, Encoding
from gateway.protocols.base import ProtocolError
from gateway.protocols.deepgram_options import ListenOptions, listen_options


def options(**fields: str) -> ListenOptions:
    return listen_options(fields.items(), live=True)


def test_what_agents_send_is_taken() -> None:
    asked = options(
        model="nova-3",
        language="en-US",
        encoding="linear16",
        sample_rate="16000",
        channels="1",
        interim_results="true",
        endpointing="25",
        utterance_end_ms="1000",
        vad_events="true",
        smart_format="true",
        punctuate="true",
        numerals="false",
        profanity_filter="false",
        filler_words="true",
        no_delay="true",
        diarize="false",
        multichannel="false",
        keyterm="bridge",
        mip_opt_out="false",
    )
    assert asked.format == AudioFormat(Encoding.PCM16, 16_000)
    assert asked.language == "en"
    assert asked.utterance_end_ms == 1000
    assert asked.parameters() == {"language": "en", "post_speech_silence_duration": 0.04}


def test_all_tags_are_kept() -> None:
    assert listen_options([("tag", "a"), ("tag", "b")], live=True).tags == ("a", "b")


def test_pauses() -> None:
    assert options().pause_ms == 200
    assert options(endpointing="500").pause_ms == 500
    assert options(endpointing="10").pause_ms == 200
    assert options(endpointing="false").pause_ms is None
    assert listen_options([], live=False).pause_ms is None
    assert "post_speech_silence_duration" not in options(endpointing="false").parameters()


@pytest.mark.parametrize(
    "fields, text",
    [
        ({"diarize": "true"}, "diarize is not served"),
        ({"multichannel": "true"}, "multichannel is not served"),
        ({"callback": "http://x"}, "callback is not served"),
        ({"redact": "pci"}, "redact is not served"),
        ({"sing": "loud"}, "unknown parameter 'sing'"),
        ({"encoding": "opus", "sample_rate": "48000"}, "encoding must be one of"),
        ({"encoding": "linear16"}, "sample_rate is needed"),
        ({"encoding": "linear16", "sample_rate": "1"}, "sample rate must be"),
        ({"encoding": "linear16", "sample_rate": "-1"}, "whole number"),
        ({"encoding": "linear16", "sample_rate": "16000", "channels": "99"}, "channels must be"),
        ({"interim_results": "maybe"}, "true or false"),
        ({"endpointing": "99999999"}, "endpointing must be"),
        ({"utterance_end_ms": "10", "interim_results": "true"}, "utterance_end_ms must be"),
        ({"utterance_end_ms": "1000"}, "needs interim_results"),
        ({"language": "en;"}, "language must be"),
        ({"model": "x" * 200}, "model must be"),
    ],
)
def test_what_cannot_be_served_is_named(fields: dict[str, str], text: str) -> None:
    with pytest.raises(ProtocolError, match=text):
        options(**fields)

"""A transcription session's configuration: what is kept, shown and put to use."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.protocols.audio import AudioFormat, Encoding
from gateway.protocols.openai_session import RequestError, SessionConfig, updated

CONFIG = SessionConfig("engine")


def with_input(config: SessionConfig = CONFIG, **fields: Any) -> SessionConfig:
    return updated(config, {"type": "transcription", "audio": {"input": fields}})


def test_what_an_update_does_not_name_stays() -> None:
    config = with_input(
        format={"type": "audio/pcmu"},
        transcription={"model": "a", "language": "de"},
        turn_detection=None,
    )
    assert with_input(config) == config
    assert updated(config, {"type": "transcription"}) == config


def test_each_format_is_shown_as_it_was_asked_for() -> None:
    for asked in (
        {"type": "audio/pcm", "rate": 24000},
        {"type": "audio/pcm", "rate": 16000},
        {"type": "audio/pcmu"},
        {"type": "audio/pcma"},
    ):
        shown = with_input(format=asked).shown("id")["audio"]["input"]
        assert shown["format"] == asked
    assert with_input(format={"type": "audio/pcma"}).format == AudioFormat(Encoding.ALAW, 8000)
    assert with_input(format={}).format == AudioFormat(Encoding.PCM16, 24000)


def test_thresholds_and_pauses_become_the_recorders_parameters() -> None:
    detection = {"type": "server_vad", "threshold": 0.7, "silence_duration_ms": 1000}
    config = with_input(turn_detection=detection, transcription={"language": "de"})
    assert config.parameters() == {
        "language": "de",
        "silero_sensitivity": 0.3,
        "post_speech_silence_duration": 0.84,
    }
    shortest = with_input(turn_detection={"type": "server_vad", "silence_duration_ms": 0})
    assert shortest.parameters()["post_speech_silence_duration"] == 0.05


def test_without_detection_there_is_nothing_to_set() -> None:
    config = with_input(turn_detection=None)
    assert config.parameters() == {}
    assert config.shown("id")["audio"]["input"]["turn_detection"] is None


@pytest.mark.parametrize("eagerness", ["low", "medium", "auto", "high", None])
def test_the_more_eager_the_shorter_the_pause(eagerness: str | None) -> None:
    config = with_input(turn_detection={"type": "semantic_vad", "eagerness": eagerness})
    shown = config.shown("id")["audio"]["input"]["turn_detection"]
    assert shown == {"type": "semantic_vad", "eagerness": eagerness or "auto"}
    pauses = [
        vad.silence_ms
        for name in ("low", "medium", "high")
        if (vad := with_input(turn_detection={"type": "semantic_vad", "eagerness": name}).vad)
    ]
    assert len(pauses) == 3
    assert pauses == sorted(pauses, reverse=True)


def test_what_is_not_known_is_left_out_and_no_error() -> None:
    config = updated(
        CONFIG,
        {
            "type": "realtime",
            "include": ["item.input_audio_transcription.logprobs"],
            "tools": [],
            "audio": {
                "output": {"voice": "any"},
                "input": {
                    "noise_reduction": {"type": "far_field"},
                    "transcription": {"model": "m", "languages": ["en"], "delay": "low"},
                },
            },
        },
    )
    shown = config.shown("id")
    assert set(shown) == {"type", "object", "id", "audio"}
    assert shown["audio"]["input"]["transcription"] == {"model": "m"}
    assert shown["audio"]["input"]["noise_reduction"] is None


@pytest.mark.parametrize(
    "fields, param",
    [
        ({"format": 7}, "format"),
        ({"format": {"type": "audio/mp3"}}, "format.type"),
        ({"format": {"rate": "fast"}}, "format.rate"),
        ({"transcription": []}, "transcription"),
        ({"transcription": {"language": "x" * 99}}, "transcription.language"),
        ({"turn_detection": {"type": "none"}}, "turn_detection.type"),
        ({"turn_detection": {"threshold": True}}, "turn_detection.threshold"),
        ({"turn_detection": {"silence_duration_ms": -1}}, "turn_detection.silence_duration_ms"),
    ],
)
def test_what_cannot_be_is_named_as_a_path(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(RequestError) as error:
        with_input(**fields)
    assert error.value.param == f"session.audio.input.{param}"

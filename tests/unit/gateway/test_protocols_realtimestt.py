"""RealtimeSTT's data protocol by its golden transcript.

``> TEXT`` is a text message of the client, ``+ 64`` a frame of so many bytes of audio (``checked``:
with its checksum), ``finishing`` the end as the session knows it; ``! …`` is what the message asks
for, and ``< JSON`` what the client is told. ``* JSON`` is an event that the session delivers.
"""

from __future__ import annotations

import json
from collections.abc import Callable

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.api_keys import ApiKey
from common.errors import CloseCode
from common.events import from_json
from common.integrity import additive_checksum
from common.wire import Metadata, build_message
from gateway.protocols.base import Pass
from gateway.protocols.realtimestt import (
    NOT_A_FRAME,
    Asked,
    RealtimeSttData,
    Refuse,
    may_return,
    written,
)
from tests.unit.gateway.transcript import assert_retold

LIMIT = 2_000


def data(key: ApiKey | None = None, *, heals: bool = False) -> RealtimeSttData:
    return RealtimeSttData(LIMIT, key, heals=heals)


def frame(size: int, *, is_checked: bool = False) -> bytes:
    pcm = b"\x01\x00" * (size // 2)
    metadata = Metadata(sample_rate=16_000)
    if is_checked:
        metadata = msgspec.structs.replace(
            metadata, checksum=additive_checksum(pcm), data_length=size // 2
        )
    return build_message(metadata, pcm)


def shown(asked: Asked) -> list[str]:
    match asked:
        case Pass():
            return ["! Pass"]
        case Refuse(said=said):
            ends = ", ends" if asked.ends else ""
            log = f", logs {asked.logged!r}" if asked.logged else ""
            told = [] if said is None else [f"< {written(said)}"]
            return [f"! Refuse {asked.kind}{ends}{log}", *told]
        case _:
            return [f"! {type(asked).__name__} {json.dumps(asked._asdict())}"]


def teller(protocol: RealtimeSttData) -> Callable[[str, str], list[str] | None]:
    is_finishing = False

    def answer(sign: str, rest: str) -> list[str] | None:
        nonlocal is_finishing
        match sign:
            case ">":
                return shown(protocol.receive(rest, is_finishing=is_finishing))
            case "+":
                size, _, how = rest.partition(" ")
                message = frame(int(size), is_checked=how == "checked")
                return shown(protocol.receive(message, is_finishing=is_finishing))
            case "*":
                return [f"< {written(from_json(rest))}"]
            case "finishing":
                is_finishing = True
                return []
        return None

    return answer


KEY = ApiKey("studio", b"", verified=True)


@pytest.mark.parametrize(
    "name, protocol",
    [
        ("realtimestt_data", data()),
        ("realtimestt_data_healing", data(heals=True)),
        ("realtimestt_data_key", data(KEY)),
    ],
)
def test_golden(name: str, protocol: RealtimeSttData) -> None:
    assert_retold(name, teller(protocol))


@given(st.binary(max_size=LIMIT + 50))
def test_a_frame_is_passed_on_byte_for_byte_or_refused_for_its_size(message: bytes) -> None:
    asked = data().receive(message, is_finishing=False)
    if len(message) <= LIMIT:
        assert asked == Pass(message)
    else:
        assert isinstance(asked, Refuse)
        assert not asked.ends


@given(st.text(max_size=300))
def test_text_that_is_no_request_is_named_and_ends_nothing(text: str) -> None:
    asked = data().receive(text, is_finishing=False)
    assert asked == Refuse("text", NOT_A_FRAME)


def test_text_too_long_to_be_a_request_is_not_read() -> None:
    text = '{"type":"end"}' + " " * 300
    assert data().receive(text, is_finishing=False) == Refuse("text", NOT_A_FRAME)


@pytest.mark.parametrize(
    "code, was_ended, returns",
    [
        (None, False, True),
        (1006, False, True),
        (CloseCode.NORMAL, False, False),
        (CloseCode.GOING_AWAY, False, False),
        (1006, True, False),
    ],
)
def test_who_lost_its_connection_may_return_and_who_left_may_not(
    code: int | None, was_ended: bool, returns: bool
) -> None:
    assert may_return(code, was_ended=was_ended) is returns


@pytest.mark.parametrize("size", [64, LIMIT * 2])
@pytest.mark.parametrize("heals", [False, True])
@pytest.mark.parametrize("is_finishing", [False, True])
def test_what_is_a_plain_frame_would_pass(size: int, heals: bool, is_finishing: bool) -> None:
    protocol, message = data(heals=heals), frame(size)
    passes = isinstance(protocol.receive(message, is_finishing=is_finishing), Pass)
    assert protocol.is_plain_frame(message, is_finishing=is_finishing) == passes


def test_a_frame_that_a_key_may_object_to_is_not_plain() -> None:
    assert not data(ApiKey("a", bytes(32))).is_plain_frame(frame(64), is_finishing=False)

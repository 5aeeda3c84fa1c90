from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Iterator

import pytest

from common.logs import (
    ALL_KINDS,
    INTEGRITY_LOGGER,
    RECORDER_LOGGER,
    FloodFilter,
    HandshakeFilter,
    JsonFormatter,
    LogBudget,
    TextFormatter,
    clock,
    configure,
)
from common.settings import StageSettings


@pytest.fixture
def own_logging() -> Iterator[None]:
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    yield
    root.handlers[:] = before
    root.setLevel(level)


def record(message: str, name: str = "gateway.hub", **extra: object) -> logging.LogRecord:
    made = logging.LogRecord(name, logging.WARNING, "", 0, message, (), None)
    made.__dict__.update(extra)
    return made


def test_a_text_line_has_time_level_and_message() -> None:
    line = TextFormatter().format(record("something"))
    assert re.fullmatch(r"\[\d\d:\d\d:\d\d\.\d{3}\] WARNING something", line)


def test_integrity_lines_keep_the_documents_layout() -> None:
    text = (
        "  [21:04:40.123] [FAIL] Data integrity check failed!\n    Length: expected 1, got 2 (FAIL)"
    )
    assert TextFormatter().format(record(text, INTEGRITY_LOGGER)) == text


def test_a_peer_cannot_break_a_line_or_steer_a_terminal() -> None:
    line = TextFormatter().format(record("verifier \x1b[2J\n[00:00] [OK] forged\x9b joined"))
    assert line.endswith(r"verifier \x1b[2J\n[00:00] [OK] forged\x9b joined")
    try:
        raise ValueError("invalid header: \x1b[31m\r[OK] forged")
    except ValueError:
        line = TextFormatter().format(record("failed", exc_info=sys.exc_info()))
    assert line.endswith("\n" + r"ValueError: invalid header: \x1b[31m\r[OK] forged")
    line = TextFormatter().format(record("  [FAIL]\n  \x07", INTEGRITY_LOGGER))
    assert line == "  [FAIL]\n  \\x07"


def test_the_recorders_colours_are_left_out() -> None:
    line = TextFormatter().format(record("\x1b[92mspeech\x1b[0m\x1b[2J", "realtimestt"))
    assert line.endswith(r"WARNING speech\x1b[2J")


def test_a_failed_handshake_is_one_line() -> None:
    try:
        raise ValueError("not a request") from EOFError("0 bytes")
    except ValueError:
        failed = record("opening handshake failed", "websockets.server", exc_info=sys.exc_info())
    assert HandshakeFilter().filter(failed)
    assert re.fullmatch(
        r"\[\S+\] INFO    a connection was refused, it is not a WebSocket's: 0 bytes",
        TextFormatter().format(failed),
    )
    try:
        raise ValueError("ours")
    except ValueError:
        fault = record("connection handler failed", "websockets.server", exc_info=sys.exc_info())
    assert HandshakeFilter().filter(fault)
    assert "Traceback" in TextFormatter().format(fault)


def test_a_json_line_carries_the_facts() -> None:
    facts = {"expected_length": 4096, "peer": "1.2.3.4:5", "odd": b"\xff"}
    line = JsonFormatter("gateway").format(record(" [FAIL] grüße \n x ", facts=facts))
    assert line.isascii(), "no line separator of Unicode's can break it"
    entry = json.loads(line)
    assert "\n" not in line
    assert entry["level"] == "warning"
    assert entry["stage"] == "gateway"
    assert entry["logger"] == "gateway.hub"
    assert entry["message"] == "[FAIL] grüße \n x"
    assert entry["expected_length"] == 4096
    assert re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", entry["time"])


def test_an_exception_is_shown_in_both_forms() -> None:
    made = record("failed")
    try:
        raise ValueError("the reason")
    except ValueError:
        made.exc_info = sys.exc_info()
    assert "ValueError: the reason" in TextFormatter().format(made)
    assert "ValueError: the reason" in json.loads(JsonFormatter("x").format(made))["exception"]


def test_the_clock_has_milliseconds() -> None:
    assert re.fullmatch(r"\d\d:\d\d:59\.891", clock(1_640_995_199.8919))
    assert re.fullmatch(r"\d\d:\d\d:\d\d\.\d{3}", clock())


@pytest.mark.usefixtures("own_logging")
@pytest.mark.parametrize("log_format", ["text", "json"])
def test_lines_go_to_standard_output(log_format: str, capsys: pytest.CaptureFixture[str]) -> None:
    handler = configure("verifier", StageSettings(log_format=log_format))
    logging.getLogger("anything").info("hello")
    logging.getLogger("anything").debug("not shown")
    logging.getLogger("websockets").warning("noise")
    handler.flush()
    out = capsys.readouterr().out
    assert len(out.splitlines()) == 1
    assert "hello" in out
    assert out.startswith("{" if log_format == "json" else "[")


@pytest.mark.usefixtures("own_logging")
def test_debug_shows_more(capsys: pytest.CaptureFixture[str]) -> None:
    handler = configure("verifier", StageSettings(debug=True))
    logging.getLogger("anything").debug("details")
    handler.flush()
    assert "details" in capsys.readouterr().out


def test_a_budget_allows_a_burst_then_a_rate() -> None:
    budget = LogBudget(burst=3, per_second=2.0)
    assert [budget.allow(10.0) for _ in range(5)] == [True, True, True, False, False]
    assert budget.take_suppressed() == 2
    assert budget.take_suppressed() == 0
    assert [budget.allow(10.5), budget.allow(10.5)] == [True, False]


def test_a_budget_saves_no_more_than_its_burst() -> None:
    budget = LogBudget(burst=2, per_second=1.0)
    budget.allow(0.0)
    assert [budget.allow(1e6) for _ in range(3)] == [True, True, False]


def line_at(now_s: float, text: str, name: str = "gateway") -> logging.LogRecord:
    made = record(text, name)
    made.created = now_s
    return made


def test_flood_of_one_kind_of_line_is_bounded_and_owned_up_to() -> None:
    flood = FloodFilter(burst=3, per_second=1.0)
    passed = [flood.filter(line_at(0.0, "client %s connected")) for _ in range(10)]
    assert passed.count(True) == 3
    later = line_at(5.0, "client %s connected")
    later.args = ("x",)
    assert flood.filter(later)
    assert later.getMessage() == "client x connected (7 more lines like this were left out)"


def test_another_kind_of_line_has_a_budget_of_its_own() -> None:
    flood = FloodFilter(burst=1, per_second=0.1)
    assert flood.filter(line_at(0.0, "one"))
    assert not flood.filter(line_at(0.0, "one"))
    assert flood.filter(line_at(0.0, "two"))


def test_integrity_lines_are_not_filtered() -> None:
    flood = FloodFilter(burst=1, per_second=0.1)
    lines = [flood.filter(line_at(0.0, "x", INTEGRITY_LOGGER)) for _ in range(9)]
    assert all(lines)


def test_realtimestt_tells_its_states_only_when_debugging() -> None:
    told = line_at(0.0, "State changed from 'listening' to 'recording'", RECORDER_LOGGER)
    told.levelno = logging.INFO
    assert not FloodFilter().filter(told)
    assert FloodFilter(recorder_level=logging.INFO).filter(told)


@pytest.mark.parametrize(
    "text",
    [
        "Initializing faster_whisper main transcription model tiny",
        "Model tiny completed transcription in 0.45 seconds",
        "faster_whisper text detected with main model: hello in 0.1s",
    ],
)
def test_an_engine_that_does_not_run_is_not_named(text: str) -> None:
    told = line_at(0.0, text, RECORDER_LOGGER)
    told.levelno = logging.DEBUG
    assert not FloodFilter(recorder_level=logging.DEBUG).filter(told)


def test_what_all_recorders_tell_has_one_budget() -> None:
    flood = FloodFilter(burst=50, recorder_level=logging.INFO)
    told = [line_at(0.0, f"state {number}", RECORDER_LOGGER) for number in range(1_000)]
    for line in told:
        line.levelno = logging.INFO
    assert sum(map(flood.filter, told)) == 50


def test_templates_without_number_are_bounded_together() -> None:
    flood = FloodFilter(burst=20)
    passed = sum(flood.filter(line_at(0.0, f"line {number}")) for number in range(5_000))
    assert passed == ALL_KINDS * 20


@pytest.mark.usefixtures("own_logging")
@pytest.mark.parametrize(
    "extended, level", [(False, logging.INFO), (True, logging.DEBUG)], ids=["debug", "extended"]
)
def test_debugging_shows_the_recorders_states_and_with_extended_logging_all(
    extended: bool,
    level: int,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    recorder = logging.getLogger(RECORDER_LOGGER)
    monkeypatch.setattr(recorder, "propagate", True)  # RealtimeSTT, once imported, sets these
    monkeypatch.setattr(recorder, "level", logging.NOTSET)
    settings = StageSettings(debug=True, use_extended_logging=extended)
    handler = configure("transcriber", settings)
    logging.getLogger(RECORDER_LOGGER).info("recording started")
    logging.getLogger(RECORDER_LOGGER).debug("Current realtime buffer size: 6144")
    handler.flush()
    out = capsys.readouterr().out
    assert "recording started" in out
    assert ("buffer size" in out) == (level == logging.DEBUG)

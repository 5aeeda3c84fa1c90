"""gateway.text_log: what was said is printed where that was asked for, and nowhere else."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from common import logs
from common.settings import StageSettings
from gateway.text_log import sentence_heard
from tests.processes import wait_until


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    """The root logger is as it was, afterwards."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers, root.level = handlers, level
    logging.getLogger(logs.TEXT_LOGGER).setLevel(logging.NOTSET)


@pytest.mark.parametrize(
    "settings, shown",
    [
        (StageSettings(), False),
        (StageSettings(use_extended_logging=True), False),
        (StageSettings(text_logs=True), True),
        (StageSettings(debug=True), True),
    ],
)
def test_a_sentence_is_printed_when_that_was_asked_for(
    capfd: pytest.CaptureFixture[str], settings: StageSettings, shown: bool
) -> None:
    logs.configure("gateway", settings)
    sentence_heard("192.0.2.1:5", "coffee is ready")
    logging.getLogger("gateway").info("another line")
    printed = ""

    def is_printed() -> bool:
        nonlocal printed
        printed += capfd.readouterr().out
        return "another line" in printed

    wait_until(is_printed, "the later line is printed")
    assert ("client 192.0.2.1:5: Sentence: coffee is ready" in printed) is shown

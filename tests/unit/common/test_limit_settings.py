"""What clients may use up: sane by default, and refused when it makes no sense."""

from __future__ import annotations

import pytest

from common.limit_settings import LimitSettings
from common.options import parse
from common.settings import GatewaySettings


def test_the_bounds_fit_each_other() -> None:
    limits = LimitSettings()
    assert limits.max_message_bytes <= limits.window_bytes <= limits.retain_session_bytes
    assert limits.retain_session_bytes <= limits.retain_total_bytes
    assert limits.max_speed > 1, "real time is never held back"


@pytest.mark.parametrize(
    "flags", [["--max-sessions", "0"], ["--max-speed", "-1"], ["--recorder-idle", "0"]]
)
def test_a_bound_that_makes_no_sense_is_refused(
    flags: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        parse(GatewaySettings, flags, prog="gateway", description="")
    assert flags[0] in capsys.readouterr().err

"""gateway.gatekeeper: what its files make of a token, at one gateway and at its neighbours."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from common.api_keys import line_of, new_key
from common.settings import GatewaySettings
from gateway.access import Admission, Arrival, Refusal
from gateway.audit import AuditLog
from gateway.gatekeeper import TOKEN_SECRET, Gatekeeper, _token_secret
from gateway.metrics import GatewayMetrics
from gateway.tokens import EXCHANGE, SECRET_BYTES

KEY = new_key()


def gatekeeper(folder: Path, run_dir: str) -> Gatekeeper:
    keys = folder / "keys"
    keys.write_text(line_of("alice", KEY))
    keys.chmod(0o600)
    (folder / run_dir).mkdir(exist_ok=True)
    settings = GatewaySettings(run_dir=str(folder / run_dir), api_keys=str(keys))
    return Gatekeeper(settings, GatewayMetrics(), AuditLog("", 0, 0))


def arrival(path: str, **headers: str) -> Arrival:
    given = {"host": "localhost"} | {name.lower(): value for name, value in headers.items()}

    def values(name: str) -> list[str]:
        return [given[name.lower()]] if name.lower() in given else []

    return Arrival(values, path, "127.0.0.1", "127.0.0.1")


async def test_a_token_is_good_at_all_gateways_of_its_run_dir_and_at_no_other(
    tmp_path: Path,
) -> None:
    """Also more than once: its minute bounds it, not a count that they would have to share."""
    first, second = gatekeeper(tmp_path, "run"), gatekeeper(tmp_path, "run")
    other = gatekeeper(tmp_path, "elsewhere")
    token = await first.exchange(arrival(EXCHANGE, Authorization=f"Bearer {KEY}"))
    assert isinstance(token, str)
    for each in (first, second, second):
        found = await each.admit(arrival(f"/?token={token}"))
        assert isinstance(found, Admission)
        assert found.key is not None
        assert found.key.name == "alice"
    refused = await other.admit(arrival(f"/?token={token}"))
    assert isinstance(refused, Refusal)
    assert refused.kind == "wrong_key"
    again = await second.exchange(arrival(f"{EXCHANGE}?token={token}"))
    assert isinstance(again, Refusal)
    assert again.kind == "token_again"


@pytest.mark.parametrize("round_", range(20))
def test_gateways_that_start_together_have_one_secret(tmp_path: Path, round_: int) -> None:
    path = tmp_path / TOKEN_SECRET
    with ThreadPoolExecutor(4) as pool:
        found = set(pool.map(_token_secret, [path] * 4))
    assert len(found) == 1
    assert len(found.pop()) == SECRET_BYTES
    assert [each.name for each in tmp_path.iterdir()] == [TOKEN_SECRET]
    assert path.stat().st_mode & 0o777 == 0o600

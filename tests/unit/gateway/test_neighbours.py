"""gateway.neighbours: which of several gateways serves a connection."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.neighbours import Neighbours, home_of_key, new_session_id
from gateway.pairing import Origin


@pytest.mark.parametrize("home", [1, 2, 63])
def test_a_session_is_found_by_its_id_wherever_one_asks(home: int) -> None:
    for own in (1, 2, 63):
        assert home_of_key(new_session_id(home).hex(), [1, 2, 63], own) == home


def test_ids_differ_in_all_but_their_home() -> None:
    ids = {new_session_id(3) for _ in range(100)}
    assert len(ids) == 100
    assert {len(each) for each in ids} == {16}
    assert {each[0] for each in ids} == {3}


def test_whoever_asks_for_a_session_of_a_gateway_that_is_gone_is_dealt_out_alike() -> None:
    key = new_session_id(9).hex()
    homes = {home_of_key(key, [1, 2, 5], own) for own in (1, 2, 5)}
    assert len(homes) == 1
    assert homes <= {1, 2, 5}


@pytest.mark.parametrize("key", ["", "zz", "not hexadecimal"])
def test_what_is_no_key_is_answered_where_it_came(key: str) -> None:
    assert home_of_key(key, [1, 2], 2) == 2


def test_both_connections_of_a_client_meet(tmp_path: Path) -> None:
    for slot in (1, 2, 3):
        (tmp_path / f"relay-{slot}.sock").touch()
    gateways = [Neighbours(tmp_path, slot) for slot in (1, 2, 3)]
    homes = set()
    for process in range(50):
        origin = Origin("127.0.0.1", process=process, user=1000, is_local=True)
        met = {gateway.home_of("", origin) for gateway in gateways}
        assert len(met) == 1
        homes |= met
    assert homes == {1, 2, 3}, "and different clients are spread over all"


def test_one_that_asks_for_events_is_served_where_it_came(tmp_path: Path) -> None:
    (tmp_path / "relay-1.sock").touch()
    assert Neighbours(tmp_path, 2).home_of("", None) == 2


def test_a_gateway_counts_itself_though_its_socket_is_not_there_yet(tmp_path: Path) -> None:
    neighbours = Neighbours(tmp_path, 2)
    assert neighbours.slots() == [2]
    (tmp_path / "relay-1.sock").touch()
    (tmp_path / "relay-x.sock").touch()
    assert neighbours.slots() == [1, 2]

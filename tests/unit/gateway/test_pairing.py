"""Which control connection gets which session."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.pairing import FRESH_S, ArrivalOrder, NamedSessions

HOST = "192.0.2.1"
LATER = FRESH_S + 1
NAME = "0123456789abcdef" * 2


@pytest.fixture
def order() -> ArrivalOrder[str, int]:
    return ArrivalOrder()


# -- order of arrival ------------------------------------------------------------------------------


def test_two_clients_one_after_the_other_get_their_own(order: ArrivalOrder[str, int]) -> None:
    assert order.add_control(HOST, "a", 0.0) is None
    assert order.add_data(HOST, 1, 0.1) == "a"
    assert order.add_control(HOST, "b", 0.2) is None
    assert order.add_data(HOST, 2, 0.3) == "b"


def test_the_data_connection_may_be_first(order: ArrivalOrder[str, int]) -> None:
    assert order.add_data(HOST, 1, 0.0) is None
    assert order.add_control(HOST, "a", 0.1) == 1


def test_interleaved_clients_are_paired_in_the_order_in_which_they_came(
    order: ArrivalOrder[str, int],
) -> None:
    order.add_control(HOST, "a", 0.0)
    order.add_control(HOST, "b", 0.0)
    assert order.add_data(HOST, 1, 0.1) == "a"
    assert order.add_data(HOST, 2, 0.1) == "b"


def test_addresses_do_not_meet(order: ArrivalOrder[str, int]) -> None:
    order.add_control("192.0.2.1", "a", 0.0)
    assert order.add_data("192.0.2.2", 2, 0.0) is None
    assert order.add_control("192.0.2.2", "b", 0.0) == 2


def test_a_probe_that_found_nobody_leaves_nothing(order: ArrivalOrder[str, int]) -> None:
    order.add_control(HOST, "probe", 0.0)
    assert order.remove_control(HOST, "probe", 0.0) is None
    assert order.add_data(HOST, 1, 0.1) is None


def test_a_probe_gives_the_session_back_to_the_client_that_waits_for_it(
    order: ArrivalOrder[str, int],
) -> None:
    """The probe of a second client comes between the two connections of the first."""
    order.add_control(HOST, "probe", 0.0)
    order.add_control(HOST, "a", 0.0)
    assert order.add_data(HOST, 1, 0.1) == "probe"
    assert order.remove_control(HOST, "probe", 0.1) == ("a", 1)


def test_a_probe_gives_the_session_back_to_the_client_that_comes_next(
    order: ArrivalOrder[str, int],
) -> None:
    order.add_data(HOST, 1, 0.0)
    assert order.add_control(HOST, "probe", 0.0) == 1
    order.remove_control(HOST, "probe", 0.1)
    assert order.add_control(HOST, "a", 0.1) == 1


def test_a_client_without_control_connection_does_not_get_the_next_ones(
    order: ArrivalOrder[str, int],
) -> None:
    """The stock browser page opens a data connection only."""
    assert order.add_data(HOST, 1, 0.0) is None
    assert order.add_control(HOST, "a", LATER) is None
    assert order.add_data(HOST, 2, LATER) == "a"


def test_a_control_connection_that_finds_no_other_claims_the_oldest(
    order: ArrivalOrder[str, int],
) -> None:
    order.add_data(HOST, 1, 0.0)
    order.add_data(HOST, 2, 0.0)
    order.add_control(HOST, "late", LATER)
    assert order.claim(HOST, "late") == 1
    assert order.claim(HOST, "late") is None


def test_one_that_was_paired_or_closed_claims_nothing(order: ArrivalOrder[str, int]) -> None:
    order.add_data(HOST, 1, 0.0)
    order.add_control(HOST, "paired", LATER)
    order.add_data(HOST, 2, LATER)
    order.add_control(HOST, "closed", LATER)
    order.remove_control(HOST, "closed", LATER)
    assert order.claim(HOST, "paired") is None
    assert order.claim(HOST, "closed") is None


def test_a_control_connection_may_wait_for_long_but_one_that_came_just_now_goes_first(
    order: ArrivalOrder[str, int],
) -> None:
    order.add_control(HOST, "patient", 0.0)
    order.add_control(HOST, "a", LATER)
    assert order.add_data(HOST, 1, LATER) == "a"
    assert order.add_data(HOST, 2, LATER) == "patient"


def test_an_old_session_that_is_given_back_waits_to_be_claimed(
    order: ArrivalOrder[str, int],
) -> None:
    order.add_control(HOST, "a", 0.0)
    order.add_data(HOST, 1, 0.0)
    order.add_control(HOST, "b", LATER)
    assert order.remove_control(HOST, "a", LATER) is None
    assert order.add_data(HOST, 2, LATER) == "b"
    order.add_control(HOST, "c", LATER)
    assert order.claim(HOST, "c") == 1


def test_a_client_that_leaves_does_not_leave_its_session_to_one_that_comes(
    order: ArrivalOrder[str, int],
) -> None:
    """A stock client closes its control connection first."""
    order.add_control(HOST, "a", 0.0)
    order.add_data(HOST, 1, 0.0)
    order.add_control(HOST, "b", 0.1)
    assert order.remove_control(HOST, "a", 0.2, used=True) is None
    assert order.add_data(HOST, 2, 0.2) == "b"
    order.add_control(HOST, "late", LATER)
    assert order.claim(HOST, "late") == 1


def test_a_session_that_ended_is_not_given_back(order: ArrivalOrder[str, int]) -> None:
    order.add_control(HOST, "a", 0.0)
    order.add_data(HOST, 1, 0.0)
    order.remove_data(HOST, 1)
    assert order.remove_control(HOST, "a", 0.1) is None
    assert order.add_control(HOST, "b", 0.1) is None


@settings(deadline=None)  # machines may be busy
@given(st.permutations(["C1", "D1", "C2", "D2", "C3", "D3", "P1", "P2"]), st.data())
def test_in_whatever_order_they_come_everyone_gets_a_partner(
    arrivals: list[str], data: st.DataObject
) -> None:
    """Three clients at once, and two probes that close after any number of arrivals."""
    order: ArrivalOrder[str, str] = ArrivalOrder()
    pairs: dict[str, str] = {}
    open_probes: list[str] = []

    def close(probe: str) -> None:
        open_probes.remove(probe)
        pairs.pop(probe, None)
        freed = order.remove_control(HOST, probe, 1.0)
        if freed is not None:
            pairs[freed[0]] = freed[1]

    for arrival in arrivals:
        if arrival.startswith("D"):
            control = order.add_data(HOST, arrival, 1.0)
            if control is not None:
                pairs[control] = arrival
        else:
            session = order.add_control(HOST, arrival, 1.0)
            if session is not None:
                pairs[arrival] = session
            if arrival.startswith("P"):
                open_probes.append(arrival)
        for probe in list(open_probes):
            if data.draw(st.booleans()):
                close(probe)
    for probe in list(open_probes):
        close(probe)
    assert sorted(pairs) == ["C1", "C2", "C3"]
    assert sorted(pairs.values()) == ["D1", "D2", "D3"]


# -- owners ----------------------------------------------------------------------------------------


@settings(deadline=None)
@given(st.permutations(["C1", "D1", "C2", "D2", "C3", "D3"]))
def test_connections_of_one_process_find_each_other_in_whatever_order_they_come(
    arrivals: list[str],
) -> None:
    order: ArrivalOrder[str, str] = ArrivalOrder()
    pairs: dict[str, str] = {}
    for arrival in arrivals:
        owner = int(arrival[1])
        if arrival.startswith("D"):
            control = order.add_data(HOST, arrival, 1.0, owner)
            pairs |= {control: arrival} if control else {}
        else:
            session = order.add_control(HOST, arrival, 1.0, owner)
            pairs |= {arrival: session} if session else {}
    assert pairs == {"C1": "D1", "C2": "D2", "C3": "D3"}


def test_of_the_same_process_goes_before_of_an_unknown_one(order: ArrivalOrder[str, int]) -> None:
    order.add_control(HOST, "unknown", 0.0)
    order.add_control(HOST, "own", 0.0, 5)
    assert order.add_data(HOST, 1, 0.1, 5) == "own"


def test_a_probe_gives_nothing_to_another_process(order: ArrivalOrder[str, int]) -> None:
    order.add_control(HOST, "other", 0.0, 2)
    order.add_data(HOST, 1, 0.0, 1)
    order.add_control(HOST, "probe", 0.0, 1)
    assert order.remove_control(HOST, "probe", 0.1) is None
    assert order.add_control(HOST, "own", 0.1, 1) == 1


def test_a_patient_control_connection_may_be_of_any_process(
    order: ArrivalOrder[str, int],
) -> None:
    order.add_control(HOST, "tool", 0.0, 1)
    assert order.add_data(HOST, 1, LATER, 2) == "tool"


def test_of_two_processes_that_belong_together_the_first_claims_the_other(
    order: ArrivalOrder[str, int],
) -> None:
    order.add_control(HOST, "tool", 0.0, 1)
    assert order.add_data(HOST, 1, 0.1, 2) is None
    assert order.claim(HOST, "tool") == 1


# -- names -----------------------------------------------------------------------------------------


@pytest.fixture
def names() -> NamedSessions[str, int]:
    return NamedSessions()


@pytest.mark.parametrize(
    "text, good",
    [
        (NAME, True),
        (NAME.upper(), True),
        ("", False),
        ("bob", False),
        (NAME[:-1], False),
        (NAME + "0", False),
        (NAME[:-1] + "g", False),
        (NAME + "\n", False),
        ("٣" * 32, False),
    ],
)
def test_a_name_is_as_hard_to_guess_as_a_session_id(text: str, good: bool) -> None:
    assert NamedSessions.is_name(text) is good


def test_both_connections_find_each_other_in_either_order(names: NamedSessions[str, int]) -> None:
    names.add_control(NAME, "a")
    assert names.add_data(NAME.upper(), 1) == ["a"]
    assert names.find(NAME) == 1
    assert names.find("f" * 32) is None


def test_a_session_may_have_many_control_connections(names: NamedSessions[str, int]) -> None:
    names.add_control(NAME, "a")
    names.add_control(NAME, "b")
    names.remove_control(NAME, "a")
    assert names.add_data(NAME, 1) == ["b"]


def test_a_control_connection_outlives_a_session_and_finds_the_next(
    names: NamedSessions[str, int],
) -> None:
    names.add_control(NAME, "a")
    names.add_data(NAME, 1)
    assert names.add_data(NAME, 2) == ["a"]
    names.remove_data(NAME, 1)
    assert names.find(NAME) == 2
    names.remove_data(NAME, 2)
    assert names.find(NAME) is None

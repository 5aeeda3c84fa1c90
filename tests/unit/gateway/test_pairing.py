"""Which control connection gets which session."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.pairing import FRESH_S, ArrivalOrder, NamedSessions, Origin

HOST = "192.0.2.1"
REMOTE = Origin(HOST)
OWN = Origin(HOST, process=7)
LATER = FRESH_S + 1
NAME = "0123456789abcdef" * 2


@pytest.fixture
def order() -> ArrivalOrder[str, int]:
    return ArrivalOrder()


# -- order of arrival ------------------------------------------------------------------------------


def test_two_clients_one_after_the_other_get_their_own(order: ArrivalOrder[str, int]) -> None:
    assert order.add_control("a", 0.0, REMOTE) is None
    assert order.add_data(1, 0.1, REMOTE) == "a"
    assert order.add_control("b", 0.2, REMOTE) is None
    assert order.add_data(2, 0.3, REMOTE) == "b"


def test_the_data_connection_may_be_first(order: ArrivalOrder[str, int]) -> None:
    assert order.add_data(1, 0.0, REMOTE) is None
    assert order.add_control("a", 0.1, REMOTE) == 1


def test_interleaved_clients_are_paired_in_the_order_in_which_they_came(
    order: ArrivalOrder[str, int],
) -> None:
    order.add_control("a", 0.0, REMOTE)
    order.add_control("b", 0.0, REMOTE)
    assert order.add_data(1, 0.1, REMOTE) == "a"
    assert order.add_data(2, 0.1, REMOTE) == "b"


def test_addresses_do_not_meet(order: ArrivalOrder[str, int]) -> None:
    order.add_control("a", 0.0, Origin("192.0.2.1"))
    assert order.add_data(2, 0.0, Origin("192.0.2.2")) is None
    assert order.add_control("b", 0.0, Origin("192.0.2.2")) == 2


def test_a_probe_that_found_nobody_leaves_nothing(order: ArrivalOrder[str, int]) -> None:
    order.add_control("probe", 0.0, REMOTE)
    assert order.remove_control("probe", 0.0, REMOTE) is None
    assert order.add_data(1, 0.1, REMOTE) is None


def test_a_probe_gives_the_session_back_to_the_client_that_waits_for_it(
    order: ArrivalOrder[str, int],
) -> None:
    """The probe of a second client comes between the two connections of the first."""
    order.add_control("probe", 0.0, REMOTE)
    order.add_control("a", 0.0, REMOTE)
    assert order.add_data(1, 0.1, REMOTE) == "probe"
    assert order.remove_control("probe", 0.1, REMOTE) == ("a", 1)


def test_a_probe_gives_the_session_back_to_the_client_that_comes_next(
    order: ArrivalOrder[str, int],
) -> None:
    order.add_data(1, 0.0, REMOTE)
    assert order.add_control("probe", 0.0, REMOTE) == 1
    order.remove_control("probe", 0.1, REMOTE)
    assert order.add_control("a", 0.1, REMOTE) == 1


def test_a_client_without_control_connection_does_not_get_the_next_ones(
    order: ArrivalOrder[str, int],
) -> None:
    """The stock browser page opens a data connection only."""
    assert order.add_data(1, 0.0, REMOTE) is None
    assert order.add_control("a", LATER, REMOTE) is None
    assert order.add_data(2, LATER, REMOTE) == "a"


def test_a_control_connection_that_finds_no_other_claims_the_oldest(
    order: ArrivalOrder[str, int],
) -> None:
    order.add_data(1, 0.0, OWN)
    order.add_data(2, 0.0, OWN)
    order.add_control("late", LATER, OWN)
    assert order.claim("late", OWN) == 1
    assert order.claim("late", OWN) is None


def test_one_that_was_paired_or_closed_claims_nothing(order: ArrivalOrder[str, int]) -> None:
    order.add_data(1, 0.0, OWN)
    order.add_control("paired", LATER, OWN)
    order.add_data(2, LATER, OWN)
    order.add_control("closed", LATER, OWN)
    order.remove_control("closed", LATER, OWN)
    assert order.claim("paired", OWN) is None
    assert order.claim("closed", OWN) is None


def test_a_control_connection_may_wait_for_long_but_one_that_came_just_now_goes_first(
    order: ArrivalOrder[str, int],
) -> None:
    order.add_control("patient", 0.0, OWN)
    order.add_control("a", LATER, OWN)
    assert order.add_data(1, LATER, OWN) == "a"
    assert order.add_data(2, LATER, OWN) == "patient"


def test_an_old_session_that_is_given_back_waits_to_be_claimed(
    order: ArrivalOrder[str, int],
) -> None:
    order.add_control("a", 0.0, OWN)
    order.add_data(1, 0.0, OWN)
    order.add_control("b", LATER, OWN)
    assert order.remove_control("a", LATER, OWN) is None
    assert order.add_data(2, LATER, OWN) == "b"
    order.add_control("c", LATER, OWN)
    assert order.claim("c", OWN) == 1


def test_a_client_that_leaves_does_not_leave_its_session_to_one_that_comes(
    order: ArrivalOrder[str, int],
) -> None:
    """A stock client closes its control connection first."""
    order.add_control("a", 0.0, OWN)
    order.add_data(1, 0.0, OWN)
    order.add_control("b", 0.1, OWN)
    assert order.remove_control("a", 0.2, OWN, used=True) is None
    assert order.add_data(2, 0.2, OWN) == "b"
    order.add_control("late", LATER, OWN)
    assert order.claim("late", OWN) == 1


def test_a_session_that_ended_is_not_given_back(order: ArrivalOrder[str, int]) -> None:
    order.add_control("a", 0.0, REMOTE)
    order.add_data(1, 0.0, REMOTE)
    order.remove_data(1, HOST)
    assert order.remove_control("a", 0.1, REMOTE) is None
    assert order.add_control("b", 0.1, REMOTE) is None


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
        freed = order.remove_control(probe, 1.0, REMOTE)
        if freed is not None:
            pairs[freed[0]] = freed[1]

    for arrival in arrivals:
        if arrival.startswith("D"):
            control = order.add_data(arrival, 1.0, REMOTE)
            if control is not None:
                pairs[control] = arrival
        else:
            session = order.add_control(arrival, 1.0, REMOTE)
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
            control = order.add_data(arrival, 1.0, Origin(HOST, owner))
            pairs |= {control: arrival} if control else {}
        else:
            session = order.add_control(arrival, 1.0, Origin(HOST, owner))
            pairs |= {arrival: session} if session else {}
    assert pairs == {"C1": "D1", "C2": "D2", "C3": "D3"}


def test_of_the_same_process_goes_before_of_an_unknown_one(order: ArrivalOrder[str, int]) -> None:
    order.add_control("unknown", 0.0, REMOTE)
    order.add_control("own", 0.0, Origin(HOST, 5))
    assert order.add_data(1, 0.1, Origin(HOST, 5)) == "own"


def test_a_probe_gives_nothing_to_another_process(order: ArrivalOrder[str, int]) -> None:
    order.add_control("other", 0.0, Origin(HOST, 2))
    order.add_data(1, 0.0, Origin(HOST, 1))
    order.add_control("probe", 0.0, Origin(HOST, 1))
    assert order.remove_control("probe", 0.1, REMOTE) is None
    assert order.add_control("own", 0.1, Origin(HOST, 1)) == 1


def test_a_patient_control_connection_gets_what_its_own_process_opens(
    order: ArrivalOrder[str, int],
) -> None:
    order.add_control("tool", 0.0, Origin(HOST, 1))
    assert order.add_data(1, LATER, Origin(HOST, 2)) is None
    assert order.add_data(2, LATER, Origin(HOST, 1)) == "tool"


def test_nobody_claims_what_another_process_opened(order: ArrivalOrder[str, int]) -> None:
    order.add_control("stranger", 0.0, Origin(HOST, 1))
    assert order.add_data(1, 0.1, Origin(HOST, 2)) is None
    assert order.claim("stranger", Origin(HOST, 1)) is None
    assert order.add_control("own", LATER, Origin(HOST, 2)) is None
    assert order.claim("own", Origin(HOST, 2)) == 1


def test_who_waits_at_an_address_from_elsewhere_gets_nothing(
    order: ArrivalOrder[str, int],
) -> None:
    order.add_control("stranger", 0.0, REMOTE)
    assert order.add_data(1, LATER, REMOTE) is None
    assert order.claim("stranger", REMOTE) is None
    assert order.add_control("probe", LATER, REMOTE) == 1
    assert order.remove_control("probe", LATER, REMOTE) is None, "nor what a probe leaves"
    assert order.claim("stranger", REMOTE) is None


def test_where_processes_cannot_be_seen_the_user_decides(order: ArrivalOrder[str, int]) -> None:
    order.add_control("stranger", 0.0, Origin(HOST, user=1, is_local=True))
    order.add_control("unseen", 0.0, Origin(HOST, is_local=True))
    order.add_control("own", 0.0, Origin(HOST, user=2, is_local=True))
    assert order.add_data(1, 0.1, Origin(HOST, user=2, is_local=True)) == "own"
    assert order.add_data(2, 0.1, Origin(HOST, is_local=True)) is None
    assert order.claim("stranger", Origin(HOST, user=1, is_local=True)) is None


def test_a_page_gets_nothing_of_another_page_in_the_same_browser(
    order: ArrivalOrder[str, int],
) -> None:
    page, evil = (Origin(HOST, 1, page=f"https://{name}") for name in ("page", "evil"))
    order.add_control("evil", 0.0, evil)
    order.add_control("native", 0.0, Origin(HOST, 1))
    assert order.add_data(1, 0.0, page) is None
    assert order.claim("evil", evil) is None
    assert order.add_control("own", 0.1, page) == 1


def test_what_was_forwarded_is_paired_with_nothing(order: ArrivalOrder[str, int]) -> None:
    forwarded = Origin(HOST, is_local=True, user=1, is_proxied=True)
    order.add_control("a", 0.0, forwarded)
    assert order.add_data(1, 0.0, forwarded) is None
    assert order.add_data(2, 0.0, REMOTE) is None
    assert order.claim("a", forwarded) is None


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

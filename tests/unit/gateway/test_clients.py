"""Who hears a session, who commands it, and who may take it up again."""

from __future__ import annotations

import pytest

from common.api_keys import ApiKey
from common.envelope import OnCorruption
from common.errors import CloseCode
from common.events import Error, FrameVerdict, Notice, Realtime
from gateway.clients import Attachment, Clients
from gateway.integrity_log import IntegrityLog
from gateway.pairing import Origin
from gateway.rejection import RejectionPolicy
from gateway.session import Session, SessionLimits
from tests.unit.gateway.fake_client import FakeClient

POLICY = RejectionPolicy(True, False, 0, OnCorruption.FORWARD)
NAME = "0123456789abcdef" * 2
HOST = "192.0.2.1"
STOCK = Realtime("partial")
VERDICT = FrameVerdict(0, "ok", 1.0)
ERROR = Error("not_json", "no", "continue")


class FakeLine:
    """A control connection that keeps what it is told."""

    def __init__(self, key_name: str = "") -> None:
        self.session: Session | None = None
        self.key_name = key_name
        self.woken = 0

    def attach(self, session: Session) -> None:
        self.session = session

    def detach(self) -> None:
        self.session = None

    def wake(self) -> None:
        self.woken += 1


def attach(
    clients: Clients, *, events: bool = False, name: str = "", address: str = HOST
) -> tuple[Attachment, FakeClient]:
    client = FakeClient(address)
    session = Session(
        peer=client.peer,
        wants_events=events,
        policy=POLICY,
        limits=SessionLimits(64, 4 << 20, 0.25, 4.0),
    )
    log = IntegrityLog(client.peer, POLICY, extended=False, summary_s=10)
    attachment = Attachment(session, log, client, name=name)
    clients.add(attachment, 0.0)
    return attachment, client


# -- finding ---------------------------------------------------------------------------------------


def test_a_session_is_found_by_its_id_and_by_its_name() -> None:
    clients = Clients()
    attachment, _ = attach(clients, name=NAME)
    assert clients.find(attachment.session.key) is attachment
    assert clients.find(attachment.session.key.upper()) is attachment
    assert clients.find(NAME) is attachment
    assert clients.get(attachment.session.id) is attachment
    assert list(clients) == [attachment]


@pytest.mark.parametrize("key", ["", "bob", "0" * 32, "0" * 5_000, "é" * 32])
def test_who_does_not_know_the_id_finds_nothing(key: str) -> None:
    clients = Clients()
    attach(clients)
    assert clients.find(key) is None


def test_a_name_lets_nobody_resume() -> None:
    clients = Clients()
    attachment, _ = attach(clients, name=NAME)
    assert clients.find_own(NAME) is None
    assert clients.find_own(attachment.session.key) is attachment


# -- hearing ---------------------------------------------------------------------------------------


def test_observers_hear_what_they_asked_for() -> None:
    clients = Clients()
    attachment, client = attach(clients, events=True)
    plain, curious = FakeClient(), FakeClient()
    attachment.observers.update({plain: False, curious: True})
    clients.deliver(attachment, [STOCK, VERDICT, ERROR])
    assert client.events == curious.events == [STOCK, VERDICT, ERROR]
    assert plain.events == [STOCK, ERROR]


def test_who_is_away_hears_nothing_and_its_observers_do() -> None:
    clients = Clients()
    attachment, client = attach(clients, events=True)
    observer = FakeClient()
    attachment.observers[observer] = False
    clients.leave(attachment, 30.0)
    clients.tell(attachment.session, STOCK)
    assert client.events == []
    assert observer.events == [STOCK]


def test_broadcast_takes_results_to_all_and_verdicts_to_none() -> None:
    clients = Clients(broadcast=True)
    attachment, speaker = attach(clients)
    _, listener = attach(clients)
    clients.deliver(attachment, [STOCK, VERDICT, Notice("recording_start")])
    assert listener.events == [STOCK, Notice("recording_start")]
    assert speaker.events == [STOCK, VERDICT, Notice("recording_start")]


def test_broadcast_stays_with_those_of_the_same_key() -> None:
    clients = Clients(broadcast=True)
    attachment, _ = attach(clients)
    other, listener = attach(clients)
    other.key = ApiKey("bob", bytes(32))
    clients.deliver(attachment, [STOCK])
    assert listener.events == []
    attachment.key = other.key
    clients.deliver(attachment, [STOCK])
    assert listener.events == [STOCK]


def test_broadcast_spares_those_whose_protocol_knows_only_its_own_session() -> None:
    clients = Clients(broadcast=True)
    attachment, _ = attach(clients)
    other, listener = attach(clients)
    other.session.wants_utterances = True
    clients.deliver(attachment, [STOCK])
    assert listener.events == []


def test_without_broadcast_nobody_hears_another() -> None:
    clients = Clients()
    attachment, _ = attach(clients)
    _, listener = attach(clients)
    clients.deliver(attachment, [STOCK])
    assert listener.events == []


def test_the_end_of_a_session_is_told_to_all_that_are_attached() -> None:
    clients = Clients()
    attachment, _ = attach(clients, name=NAME)
    observer, line = FakeClient(), FakeLine()
    attachment.observers[observer] = False
    clients.add_named_line(line, NAME)
    assert clients.remove(attachment.session.id) is attachment
    assert observer.ended == (CloseCode.NORMAL, "the session ended")
    assert line.session is None
    assert clients.remove(attachment.session.id) is None
    assert clients.find(NAME) is None


# -- coming back -----------------------------------------------------------------------------------


def test_a_client_that_is_back_replaces_its_old_connection() -> None:
    clients = Clients()
    attachment, old = attach(clients, events=True)
    new = FakeClient(port=50_001)
    clients.take_over(attachment, new)
    assert attachment.client is new
    assert old.looked == 1, "it may wait for room"
    assert old.ended is not None
    assert old.ended[0] == CloseCode.POLICY_VIOLATION


def test_who_does_not_come_back_in_time_is_expired() -> None:
    clients = Clients()
    attachment, _ = attach(clients, events=True)
    clients.leave(attachment, 30.0)
    assert clients.expired(29.9) == []
    assert clients.expired(30.0) == [attachment]
    clients.take_over(attachment, FakeClient())
    assert clients.expired(99.0) == []


# -- giving way ------------------------------------------------------------------------------------


def test_who_is_away_counts_against_its_address_and_not_against_newcomers() -> None:
    clients = Clients()
    (first, _), (second, _) = (attach(clients, events=True, address="greedy") for _ in range(2))
    good, _ = attach(clients, events=True, address="good")
    for expires_s, attachment in ((31.0, second), (30.0, first), (29.0, good)):
        clients.leave(attachment, expires_s)
    assert clients.to_displace("new", 0.0, 60.0) is first
    clients.remove(first.session.id)
    clients.remove(second.session.id)
    assert clients.to_displace("new", 0.0, 60.0) is good, "nobody else is away"
    assert clients.to_displace("good", 0.0, 60.0) is good


def test_an_address_with_many_sessions_displaces_nobody_who_is_away() -> None:
    clients = Clients()
    good, _ = attach(clients, events=True, address="good")
    for _ in range(2):
        attach(clients, address="greedy")
    clients.leave(good, 30.0)
    assert clients.to_displace("greedy", 0.0, 60.0) is None


def test_who_is_silent_gives_way_to_an_address_that_has_less() -> None:
    clients = Clients()
    silent = [attach(clients, address="greedy")[0] for _ in range(3)]
    attach(clients, address="small")
    for active_s, attachment in enumerate(silent):
        attachment.session.active_s = float(active_s)
    assert clients.to_displace("new", 59.0, 60.0) is None
    assert clients.to_displace("new", 60.5, 60.0) is silent[0]
    assert clients.to_displace("greedy", 99.0, 60.0) is None
    assert clients.to_displace("small", 99.0, 60.0) is silent[0]


# -- commanding ------------------------------------------------------------------------------------


def test_a_control_line_gets_the_session_of_its_address() -> None:
    clients = Clients()
    attachment, _ = attach(clients)
    line = FakeLine()
    assert clients.add_line(line, 0.1, Origin(HOST)) is attachment.session
    assert line.session is attachment.session
    clients.wake_lines(attachment.session)
    assert line.woken == 1


def test_a_control_line_that_waits_gets_the_session_that_comes() -> None:
    clients = Clients()
    line = FakeLine()
    assert clients.add_line(line, 0.0, Origin(HOST)) is None
    attachment, _ = attach(clients)
    assert line.session is attachment.session


def test_a_session_with_events_is_never_guessed() -> None:
    clients = Clients()
    line = FakeLine()
    clients.add_line(line, 0.0, Origin(HOST))
    attach(clients, events=True)
    assert line.session is None


def test_a_name_finds_its_session_before_and_after_it_begins() -> None:
    clients = Clients()
    early, late = FakeLine(), FakeLine()
    assert clients.add_named_line(early, NAME) is None
    attachment, _ = attach(clients, name=NAME)
    assert early.session is attachment.session
    assert clients.add_named_line(late, NAME) is attachment.session


def test_a_name_that_is_guessed_easily_is_none() -> None:
    with pytest.raises(ValueError, match="name"):
        Clients().add_named_line(FakeLine(), "bob")


def test_a_line_that_closes_commands_nothing_and_leaves_the_session_to_another() -> None:
    clients = Clients()
    attachment, _ = attach(clients)
    probe, line = FakeLine(), FakeLine()
    clients.add_line(probe, 0.0, Origin(HOST))
    clients.add_line(line, 0.0, Origin(HOST))
    assert clients.remove_line(probe, "", 0.1, Origin(HOST), used=False) is attachment.session
    assert probe.session is None
    assert line.session is attachment.session
    assert attachment.controls == {line}

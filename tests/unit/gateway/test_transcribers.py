"""Which transcriber a session goes to."""

from __future__ import annotations

from msgspec.structs import replace

from common.envelope import TranscriberHello
from gateway.transcribers import TranscriberRegistry


def hello(instance: str, *, room: int = 10, draining: bool = False) -> TranscriberHello:
    return TranscriberHello(
        instance=instance,
        pid=1,
        audio_endpoint=f"ipc://audio-{instance}",
        commands_endpoint=f"ipc://commands-{instance}",
        engine="null",
        sessions=0,
        max_sessions=room,
        draining=draining,
    )


def chosen(registry: TranscriberRegistry, session: bytes) -> str | None:
    transcriber = registry.assign(session)
    return transcriber.hello.instance if transcriber else None


def test_sessions_spread_by_load() -> None:
    registry = TranscriberRegistry(3.0)
    registry.hear(hello("big", room=4), 0.0)
    registry.hear(hello("small", room=2), 0.0)
    names = [chosen(registry, bytes([n]) * 16) for n in range(6)]
    assert names.count("big") == 4
    assert names.count("small") == 2
    assert chosen(registry, b"x" * 16) is None
    assert not registry.has_room


def test_sessions_go_where_a_core_and_an_engine_have_time_left() -> None:
    registry = TranscriberRegistry(3.0)
    registry.hear(replace(hello("busy", room=64), cores=0.9), 0.0)
    registry.hear(replace(hello("slow", room=64), final_wait_s=0.8), 0.0)
    registry.hear(replace(hello("late", room=64), lag_s=0.8), 0.0)
    registry.hear(replace(hello("free", room=64), cores=0.3), 0.0)
    names = [chosen(registry, bytes([n]) * 16) for n in range(8)]
    assert set(names) == {"free"}


def test_while_all_have_time_left_the_number_of_sessions_decides_whatever_is_measured() -> None:
    registry = TranscriberRegistry(3.0)
    registry.hear(replace(hello("noisy", room=64), cores=0.7, final_wait_s=0.5), 0.0)
    registry.hear(replace(hello("calm", room=64), cores=0.1), 0.0)
    names = [chosen(registry, bytes([n]) * 16) for n in range(4)]
    assert names == ["noisy", "calm", "noisy", "calm"]


def test_one_that_has_just_joined_takes_the_next() -> None:
    registry = TranscriberRegistry(3.0)
    registry.hear(hello("old", room=64), 0.0)
    assert [chosen(registry, bytes([n]) * 16) for n in range(2)] == ["old", "old"]
    registry.hear(replace(hello("new", room=64), cores=0.4), 0.1)
    assert [chosen(registry, bytes([9 + n]) * 16) for n in range(3)] == ["new", "new", "old"]


def test_where_none_has_time_left_the_number_of_sessions_decides() -> None:
    registry = TranscriberRegistry(3.0)
    registry.hear(replace(hello("a", room=64), cores=0.95), 0.0)
    registry.hear(replace(hello("b", room=64), cores=1.05), 0.0)
    names = [chosen(registry, bytes([n]) * 16) for n in range(6)]
    assert names.count("b") == 3


def test_what_newcomers_will_need_counts_until_it_can_be_measured() -> None:
    registry = TranscriberRegistry(3.0)
    crowd = [bytes([n]) * 16 for n in range(50)]
    names = []
    for beat in range(5):
        registry.hear(replace(hello("old", room=64), sessions=45, cores=0.5), beat / 2)
        registry.hear(hello("new", room=64), beat / 2)
        names += [chosen(registry, session) for session in crowd[10 * beat : 10 * beat + 10]]
    assert names == ["new"] * 40 + ["old"] * 10, "forty are taken to be all that a core can"
    for session in crowd[:40]:
        registry.release(session, "new")
    assert chosen(registry, b"x" * 16) == "new", "who has left needs nothing"


def test_who_has_just_left_takes_no_place_though_a_transcriber_still_counts_them() -> None:
    registry = TranscriberRegistry(3.0)
    for name in ("a", "b"):
        registry.hear(hello(name), 0.0)
    assert [chosen(registry, bytes([n]) * 16) for n in range(2)] == ["a", "b"]
    registry.hear(replace(hello("b"), sessions=1), 0.5)
    registry.release(b"\1" * 16, "b")
    registry.release(b"\0" * 16, "a")
    assert [chosen(registry, bytes([9 + n]) * 16) for n in range(2)] == ["a", "b"]
    registry.hear(replace(hello("b"), sessions=2), 1.0)
    assert [chosen(registry, bytes([19 + n]) * 16) for n in range(2)] == ["a", "b"]


def test_sessions_of_other_gateways_take_places() -> None:
    registry = TranscriberRegistry(3.0)
    registry.hear(replace(hello("shared"), sessions=2), 0.0)
    registry.hear(hello("ours"), 0.0)
    assert [chosen(registry, bytes([n]) * 16) for n in range(3)] == ["ours", "ours", "shared"]
    registry.hear(replace(hello("shared"), sessions=3), 0.5)
    registry.hear(replace(hello("ours"), sessions=2), 0.5)
    assert chosen(registry, b"x" * 16) == "ours"


def test_newcomers_count_at_once_and_a_heartbeat_says_what_they_took() -> None:
    registry = TranscriberRegistry(3.0)
    for name, cores in (("a", 0.30), ("b", 0.35)):
        registry.hear(replace(hello(name, room=64), cores=cores), 0.0)
    names = [chosen(registry, bytes([n]) * 16) for n in range(8)]
    assert 2 <= names.count("b") <= 4, "not all of one second go to the one"
    registry.hear(replace(hello("a", room=64), cores=0.2), 0.5)
    assert chosen(registry, b"x" * 16) == "a"


def test_a_draining_transcriber_gets_no_sessions() -> None:
    registry = TranscriberRegistry(3.0)
    registry.hear(hello("a"), 0.0)
    heard = registry.hear(hello("a", draining=True), 0.5)
    assert heard.starts_draining
    assert not registry.hear(hello("a", draining=True), 1.0).starts_draining
    assert chosen(registry, b"x" * 16) is None


def test_silence_is_noticed_after_the_timeout() -> None:
    registry = TranscriberRegistry(3.0)
    assert registry.hear(hello("a"), 0.0).is_new
    assert registry.silent(3.0) == []
    assert [t.hello.instance for t in registry.silent(3.1)] == ["a"]


def test_a_session_that_left_makes_room() -> None:
    registry = TranscriberRegistry(3.0)
    registry.hear(hello("a", room=1), 0.0)
    assert chosen(registry, b"x" * 16) == "a"
    assert chosen(registry, b"y" * 16) is None
    registry.release(b"x" * 16, "a")
    assert chosen(registry, b"y" * 16) == "a"


def test_the_wait_for_a_final_is_that_of_the_least_busy_which_stays() -> None:
    registry = TranscriberRegistry(3.0)
    assert registry.final_wait_s == 0
    for name, wait_s, draining in (("a", 4.0, False), ("b", 1.5, False), ("c", 0.0, True)):
        registry.hear(replace(hello(name, draining=draining), final_wait_s=wait_s), 0.0)
    assert registry.final_wait_s == 1.5


def test_live_streams_are_as_late_as_where_they_are_least_late_and_stay() -> None:
    registry = TranscriberRegistry(3.0)
    assert registry.lag_s == 0
    for name, lag_s, draining in (("a", 4.0, False), ("b", 1.5, False), ("c", 0.0, True)):
        registry.hear(replace(hello(name, draining=draining), lag_s=lag_s), 0.0)
    assert registry.lag_s == 1.5

"""The control channel against real stages: whom a command reaches, and when."""

from __future__ import annotations

import asyncio
import json
import secrets
import subprocess
import sys
from collections.abc import Iterator

import pytest

from gateway.control_line import NO_SESSION
from gateway.pairing import FRESH_S
from tests.faults.system import System
from tests.integration.wire_client import control_of, data_of, session_of
from tests.processes import ROOT


@pytest.fixture(scope="module")
def system() -> Iterator[System]:
    with System(verifiers=1) as system:
        system.wait_ready()
        yield system
        system.check_alive()


async def test_a_command_reaches_one_session(system: System) -> None:
    async with (
        session_of(system) as (_, anna),
        session_of(system) as (_, ben),
        control_of(system, f"?session={anna}") as annas,
        control_of(system, f"?session={ben.upper()}") as bens,
    ):
        await annas.set("silero_sensitivity", 0.25)
        assert await bens.get("silero_sensitivity") == 0.05
        await bens.set("silero_sensitivity", 0.75)
        assert await annas.get("silero_sensitivity") == 0.25


async def test_a_session_may_have_several_control_connections(system: System) -> None:
    async with (
        session_of(system) as (_, session),
        control_of(system, f"?session={session}") as one,
        control_of(system, f"?session={session}") as two,
    ):
        await one.set("language", "de")
        assert await two.get("language") == "de"


async def test_parameters_set_before_the_data_connection_are_applied_when_it_comes(
    system: System,
) -> None:
    async with control_of(system) as control:
        assert (await control.set("language", "fr"))["status"] == "success"
        assert (await control.set("post_speech_silence_duration", 1))["status"] == "success"
        async with data_of(system):
            assert await control.get("language") == "fr"
            assert await control.get("post_speech_silence_duration") == 1.0


async def test_parameters_set_while_the_recorder_is_being_made_reach_it(system: System) -> None:
    async with data_of(system), control_of(system) as control:
        assert (await control.set("language", "it"))["status"] == "success"
        assert await control.get("language") == "it"  # asked of the recorder itself


async def test_a_name_of_ones_own_pairs_connections_in_either_order(system: System) -> None:
    first, second = f"?session={secrets.token_hex(16)}", f"?session={secrets.token_hex(16)}"
    async with (
        control_of(system, first) as control,
        data_of(system, second),
        data_of(system, first),
        control_of(system, second) as other,
    ):
        await control.set("silero_sensitivity", 0.125)
        await other.set("silero_sensitivity", 0.5)
        assert await control.get("silero_sensitivity") == 0.125
        assert await other.get("silero_sensitivity") == 0.5


async def test_probes_and_clients_without_control_connection_take_nobodys_place(
    system: System,
) -> None:
    async with data_of(system), session_of(system):
        async with control_of(system):
            pass
        async with control_of(system) as control, data_of(system):
            async with control_of(system):
                pass
            await control.set("silero_sensitivity", 0.375)
            async with control_of(system) as second, data_of(system):
                assert await second.get("silero_sensitivity") == 0.05
            assert await control.get("silero_sensitivity") == 0.375


class OrderedClient:
    """``ordered_client.py`` in a process."""

    def __init__(self, system: System) -> None:
        urls = [f"ws://127.0.0.1:{port}" for port in (system.control_port, system.data_port)]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.integration.ordered_client", *urls],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def do(self, line: str) -> str:
        """Its answer."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()
        return self._process.stdout.readline().strip()

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.communicate()


def test_two_processes_on_this_host_are_told_apart_in_the_worst_order(system: System) -> None:
    anna, ben = OrderedClient(system), OrderedClient(system)
    try:
        for client, line in ((anna, "control"), (ben, "control"), (ben, "data"), (anna, "data")):
            assert client.do(line) == "open"
        assert anna.do("set 0.25") == ben.do("set 0.75") == "success"
        assert (anna.do("get"), ben.do("get")) == ("0.25", "0.75")
        ben.close()  # its session, and no other, ends with it
        assert anna.do("get") == "0.25"
    finally:
        anna.close()
        ben.close()


async def test_a_session_that_knows_its_id_is_not_given_to_just_anyone(system: System) -> None:
    async with session_of(system), control_of(system) as stranger:
        reply = await stranger.ask("get_parameter", parameter="language", request_id=1)
        assert reply == {
            "status": "error",
            "message": NO_SESSION,
            "request_id": 1,
        }


async def test_a_control_connection_alone_commands_a_client_that_has_none(system: System) -> None:
    async with data_of(system):
        await asyncio.sleep(FRESH_S + 0.1)  # so long that no control connection of its own comes
        async with control_of(system) as control:
            assert await control.get("language") == "en"


@pytest.mark.parametrize("name", ["bob", "0" * 31, "../../etc"])
async def test_a_name_that_protects_nothing_is_refused(system: System, name: str) -> None:
    async with control_of(system, f"?session={name}") as control:
        reply = await control.ask("get_parameter", parameter="language", request_id=1)
        assert reply == {"status": "error", "message": "there is no such session"}


async def test_shutdown_ends_its_session_and_no_other(system: System) -> None:
    async with (
        session_of(system) as (annas_data, anna),
        session_of(system) as (_, ben),
        control_of(system, f"?session={anna}") as annas,
        control_of(system, f"?session={ben}") as bens,
    ):
        reply = await annas.ask("call_method", method="shutdown")
        assert reply == {"status": "success", "message": "Method shutdown called"}
        assert await annas_data.until_closed() == 1000
        reply = await annas.set("language", "de")
        assert reply == {"status": "error", "message": "the session has ended"}
        assert await bens.get("language") == "en"


async def test_a_wrong_value_is_an_error_reply_and_changes_nothing(system: System) -> None:
    async with (
        session_of(system) as (data, session),
        control_of(system, f"?session={session}") as control,
    ):
        # What depends on the recorder can be refused once there is one, which asking it sees to.
        assert await control.get("is_recording") is False
        while (await data.until("transcriber"))["state"] != "open":
            pass
        for value in (1.5, -1, "0.4", None, True, [0.5], {"a": 1}, 10**400):
            reply = await control.ask(
                "set_parameter", parameter="silero_sensitivity", value=value, request_id="r"
            )
            assert reply["status"] == "error"
            assert reply["request_id"] == "r"
            assert reply["message"].startswith(
                "Parameter silero_sensitivity must be a number from 0 to 1, not "
            )
        reply = await control.ask("set_parameter", parameter="use_wake_words", value=True)
        assert "without wake words" in reply["message"]
        reply = await control.ask("call_method", method="stop", args=["now"], request_id=5)
        assert reply["status"] == "error"
        assert reply["request_id"] == 5
        assert await control.get("silero_sensitivity") == 0.05
        assert await control.get("use_wake_words") is False


async def test_hostile_messages_harm_nobody(system: System) -> None:
    async with (
        session_of(system) as (_, session),
        control_of(system, f"?session={session}") as control,
    ):
        for message in (
            b"\x00" * 1000,
            "[" * 60_000,
            '{"command":' * 5_000,
            "9" * 60_000,
            "null",
            '["set_parameter"]',
            '{"command": {"command": {}}}',
            '{"command": "set_parameter", "parameter": ["language"], "value": {}}',
            '{"command": "set_parameter", "parameter": "language", "value": "\\ud800"}',
            '{"command": "call_method", "method": "stop", "args": "x", "kwargs": 5}',
            '{"command": "call_method", "method": null, "args": null}',
            '{"command": "get_parameter", "parameter": "x\\n[OK] forged", "request_id": {}}',
        ):
            assert (await control.send(message))["status"] == "error"
        async with control_of(system) as other:
            await other.connection.send("x" * 100_000)
            await other.connection.wait_closed()
            assert other.connection.close_code == 1009
        assert await control.get("language") == "en"
    assert not any(line.startswith("[OK] forged") for line in system.gateway.process.lines)


async def test_a_flood_of_commands_is_answered_in_order(system: System) -> None:
    async with (
        session_of(system) as (_, session),
        control_of(system, f"?session={session}") as control,
        asyncio.TaskGroup() as group,
    ):

        async def send() -> None:
            for number in range(500):
                await control.connection.send(
                    f'{{"command":"get_parameter","parameter":"language","request_id":{number}}}'
                )

        group.create_task(send())
        for number in range(500):
            reply = await control.connection.recv()
            assert json.loads(reply)["request_id"] == number


async def test_parameters_are_applied_again_when_a_transcriber_died(system: System) -> None:
    gateway = system.gateway.process
    async with (
        session_of(system) as (_, session),
        control_of(system, f"?session={session}") as named,
        control_of(system) as control,
        data_of(system),
    ):
        await named.set("silero_sensitivity", 0.625)
        await control.set("post_speech_silence_duration", 2)
        assert await named.get("silero_sensitivity") == 0.625
        assert await control.get("post_speech_silence_duration") == 2.0
        before = len(gateway.lines)
        system.transcribers[0].kill()
        # Nobody can carry it out now: it is for the next recorder.
        assert (await named.set("language", "nl"))["status"] == "success"
        system.transcribers[0].start_again()
        await asyncio.to_thread(gateway.wait_for_line, "re-opened", after=before)
        assert await named.get("silero_sensitivity") == 0.625
        assert await named.get("language") == "nl"
        assert await control.get("post_speech_silence_duration") == 2.0

"""``deploy/stt-server`` as a supervisor, with stand-ins for the stages.

Where a system stays sound, or becomes so again, tests share one.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final, NamedTuple

import psutil
import pytest

from deploy.run_dir import is_in_use
from deploy.steer import StageStatus, System
from tests.integration import fake_stages
from tests.integration.fake_stages import (
    assert_all_gone,
    command,
    nothing_left,
    stage_pids,
    start_server,
)
from tests.processes import ROOT, StageProcess, Stages, wait_until

READY = r"^stt-server +\| READY after"


@pytest.fixture(scope="module")
def fakes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fake_stages.install(tmp_path_factory.mktemp("fakes"))


@pytest.fixture
def run_dir() -> Iterator[Path]:
    """A run dir that does not exist yet, with a path short enough for Unix sockets."""
    with Stages() as stages:
        yield stages.run_dir / "run"


def steer(run_dir: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a subcommand to its end."""
    return subprocess.run(
        command(*arguments, "--run-dir", str(run_dir)),
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def status(run_dir: Path) -> dict[str, StageStatus]:
    """What ``stt-server status`` shows, without a process for it."""
    return {row.name: row for row in System(str(run_dir)).status()}


def pid_of(run_dir: Path, name: str) -> int:
    return status(run_dir)[name].pid


def lines_of(server: StageProcess, name: str) -> list[str]:
    pattern = re.compile(rf"^{name} +\| (.*)")
    return [match[1] for line in server.lines if (match := pattern.match(line))]


STOP_SIGNALS = [signal.SIGINT, signal.SIGTERM]
if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # under nohup it is meant to be ignored
    STOP_SIGNALS.append(signal.SIGHUP)
STAGES: Final = ("gateway", "verifier-1", "verifier-2", "transcriber-1")


class Ended(NamedTuple):
    """A system that was started and stopped by a signal, after which nothing was left."""

    server: StageProcess
    run_dir: Path
    ready: str
    """The line that said so."""


@pytest.fixture(scope="module", params=STOP_SIGNALS, ids=lambda number: number.name)
def ended(fakes: Path, request: pytest.FixtureRequest) -> Iterator[Ended]:
    with Stages() as stages:
        run_dir = stages.run_dir / "run"
        with nothing_left(run_dir) as pids:
            server = start_server(run_dir, "-c", "9811", "-d", "9812", fakes=fakes)
            ready = server.wait_for_line(READY).string
            for name in STAGES:
                server.wait_for_line(rf"^{name} +\| running")
            pids += stage_pids(server)
            assert len(pids) == len(STAGES)
            server.signal(request.param)
            assert server.wait() == 0
        yield Ended(server, run_dir, ready)


def test_it_says_when_it_is_ready_and_leaves_nothing_behind(ended: Ended) -> None:
    assert "data ws://127.0.0.1:9812, control ws://127.0.0.1:9811" in ended.ready
    assert "web page http://127.0.0.1:9812/" in ended.ready
    assert lines_of(ended.server, "stt-server")[-1].startswith("stopped in")


def test_every_line_bears_the_name_of_its_stage(ended: Ended) -> None:
    names = {line.partition("|")[0] for line in ended.server.lines}
    assert names == {f"{name:<14}" for name in (*STAGES, "stt-server")}
    assert lines_of(ended.server, "gateway") == [f"running in {ended.run_dir}", "drained"]


def test_whoever_feeds_a_stage_is_drained_before_it(ended: Ended) -> None:
    drained = [line.split()[0] for line in ended.server.lines if line.endswith("| drained")]
    assert drained[0] == "gateway"
    assert sorted(drained[1:3]) == ["verifier-1", "verifier-2"]
    assert drained[3] == "transcriber-1"


class Sound(NamedTuple):
    """A system that runs, for tests that leave it as it was."""

    server: StageProcess
    run_dir: Path
    hangs: Path
    """While this file exists, the transcriber hangs."""


@pytest.fixture(scope="module")
def running(fakes: Path) -> Iterator[Sound]:
    with Stages() as stages:
        run_dir, hangs = stages.run_dir / "run", stages.run_dir / "hangs"
        with nothing_left(run_dir) as pids:
            modes = {"FAKE_TRANSCRIBER": f"helper {hangs}"}
            server = start_server(run_dir, fakes=fakes, env=modes)
            server.wait_for_line(READY)
            yield Sound(server, run_dir, hangs)
            pids += stage_pids(server)
            assert server.terminate() == 0


@pytest.fixture
def sound(running: Sound) -> Sound:
    """The running system, in which every stage is ready."""
    wait_until(
        lambda: {row.state for row in status(running.run_dir).values()} == {"ready"},
        "all are ready",
    )
    return running


def test_a_killed_stage_is_reported_and_comes_back(sound: Sound) -> None:
    pid = pid_of(sound.run_dir, "verifier-1")
    os.kill(pid, signal.SIGKILL)
    server = sound.server
    server.wait_for_line(rf"verifier-1 died: killed by SIGKILL \(pid {pid}\); starting it again")
    back = server.wait_for_line(r"verifier-1 is back after .* s \(pid (\d+)\)")
    assert pid_of(sound.run_dir, "verifier-1") == int(back[1]) != pid


def test_the_helpers_of_a_killed_stage_go_with_it(sound: Sound) -> None:
    transcriber = psutil.Process(pid_of(sound.run_dir, "transcriber-1"))
    (helper,) = transcriber.children()
    after = len(sound.server.lines)
    transcriber.kill()
    sound.server.wait_for_line("transcriber-1 is back", after=after)
    assert_all_gone([helper.pid])


def test_a_stage_that_hangs_is_ended_and_started_again(sound: Sound) -> None:
    """A few seconds: the supervisor asks every five."""
    after = len(sound.server.lines)
    sound.hangs.touch()
    sound.server.wait_for_line("transcriber-1 hangs, killing it: waiting", after=after)
    sound.hangs.unlink()
    sound.server.wait_for_line("transcriber-1 is back after", after=after)


def test_verifiers_come_and_go_while_the_rest_stays(sound: Sound) -> None:
    server, run_dir = sound.server, sound.run_dir
    before = {name: row.pid for name, row in status(run_dir).items()}

    more = steer(run_dir, "scale", "verifiers", "4")
    assert (more.returncode, more.stdout) == (0, "verifiers: 2 before, now 4\n")
    server.wait_for_line(r"verifier-3 joined \(pid")
    server.wait_for_line(r"verifier-4 joined \(pid")
    during = {name: row.pid for name, row in status(run_dir).items()}
    assert before.items() <= during.items(), server.output

    System(str(run_dir)).scale("verifier", 1)
    after = {name: row.pid for name, row in status(run_dir).items()}
    assert after == {name: pid for name, pid in before.items() if name != "verifier-2"}
    assert_all_gone([during[f"verifier-{number}"] for number in (2, 3, 4)])
    assert "verifier-4 left" in server.output
    System(str(run_dir)).scale("verifier", 2)


def test_a_second_system_in_one_run_dir_is_refused(fakes: Path, sound: Sound) -> None:
    second = start_server(sound.run_dir, fakes=fakes)
    assert second.wait() == 2
    assert second.output == (
        f"stt-server: a system already runs in {sound.run_dir}: `deploy/stt-server stop` ends it, "
        "another --run-dir (and ports) starts a second one"
    )
    assert sound.server.alive


def test_two_systems_with_run_dirs_of_their_own_do_not_meet(
    fakes: Path, run_dir: Path, sound: Sound
) -> None:
    pids = {row.pid for row in status(sound.run_dir).values()}
    other = start_server(run_dir, fakes=fakes)
    other.wait_for_line(READY)
    others = stage_pids(other)
    assert {row.pid for row in status(run_dir).values()} == set(others)
    assert other.terminate() == 0
    assert_all_gone(others)
    assert {row.pid for row in status(sound.run_dir).values()} == pids


def test_nobody_else_may_steer(sound: Sound) -> None:
    assert sound.run_dir.stat().st_mode & 0o077 == 0
    assert (sound.run_dir / "control.sock").stat().st_mode & 0o077 == 0


def test_an_idle_supervisor_hardly_uses_the_processor(sound: Sound) -> None:
    process = psutil.Process(sound.server.pid)
    wait_until(lambda: not process.cpu_percent(0.5) > 5.0, "the supervisor is idle", 20.0)


def test_another_program_on_the_metrics_port_is_not_taken_for_the_gateway(
    fakes: Path, run_dir: Path
) -> None:
    class Other(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()

    with ThreadingHTTPServer(("127.0.0.1", 0), Other) as other:
        threading.Thread(target=other.serve_forever, daemon=True).start()
        port = str(other.server_port)
        server = start_server(run_dir, "--metrics-port", port, fakes=fakes)
        assert server.wait() != 0
        other.shutdown()
    assert "READY" not in server.output
    assert "gateway cannot start" in server.output


def test_status_shows_every_stage_and_tells_by_its_exit_status_whether_all_is_well(
    fakes: Path, run_dir: Path
) -> None:
    server = start_server(run_dir, fakes=fakes, env={"FAKE_VERIFIER": "unready"})
    server.wait_for_line(READY)
    shown = steer(run_dir, "status")
    heading, gateway, verifier, *_ = shown.stdout.splitlines()
    assert heading.split() == ["stage", "pid", "state", "uptime", "sessions", "metrics"]
    assert re.match(r"gateway +\d+ +ready +0:00:\d\d +3 +http://127.0.0.1:\d+/metrics", gateway)
    assert re.match(r"verifier-1 +\d+ +waiting ", verifier)
    assert shown.returncode == 1
    server.terminate()


def test_the_stop_command_waits_for_the_end(fakes: Path, run_dir: Path) -> None:
    with nothing_left(run_dir) as pids:
        server = start_server(run_dir, fakes=fakes)
        server.wait_for_line(READY)
        pids += stage_pids(server)
        assert steer(run_dir, "stop").stdout == "stopped\n"
        assert server.wait() == 0


@pytest.mark.parametrize("kind", ["gateway", "verifier", "transcriber"])
def test_options_that_a_stage_cannot_use_end_the_start_with_its_message(
    fakes: Path, run_dir: Path, kind: str
) -> None:
    with nothing_left(run_dir):
        modes = {"FAKE_GATEWAY": "unready", f"FAKE_{kind.upper()}": "exit 2"}
        server = start_server(run_dir, fakes=fakes, env=modes)
        assert server.wait() == 2
    assert re.search(rf"^{kind}\S* +\| {kind} has a reason$", server.output, re.MULTILINE)
    server.wait_for_line(rf"{kind}\S* cannot start, its own lines say why \(exit status 2\)")


@pytest.mark.slow
def test_a_stage_that_dies_again_and_again_ends_the_start(fakes: Path, run_dir: Path) -> None:
    with nothing_left(run_dir):
        modes = {"FAKE_GATEWAY": "unready", "FAKE_VERIFIER": "exit 3"}
        server = start_server(run_dir, fakes=fakes, env=modes)
        assert server.wait() == 1
    server.wait_for_line(r"verifier-\d died: exit status 3 .*; starting it again in 1 s")
    server.wait_for_line(r"verifier-\d died: exit status 3 .*; starting it again in 3 s")
    server.wait_for_line(r"verifier-\d cannot start: it died again and again")


def test_stages_do_not_outlive_a_supervisor_that_is_killed(fakes: Path, run_dir: Path) -> None:
    server = start_server(run_dir, fakes=fakes)
    server.wait_for_line(READY)
    server.wait_for_line(r"^transcriber-1 +\|")
    pids = stage_pids(server)
    os.kill(server.pid, signal.SIGKILL)
    server.wait()
    assert_all_gone(pids)
    assert lines_of(server, "transcriber-1")  # they were tethered, and drained
    assert not is_in_use(run_dir)

    again = start_server(run_dir, fakes=fakes)
    again.wait_for_line(READY)
    assert again.terminate() == 0


def test_a_second_ctrl_c_ends_a_stage_that_does_not_stop(fakes: Path, run_dir: Path) -> None:
    with nothing_left(run_dir) as pids:
        server = start_server(run_dir, fakes=fakes, env={"FAKE_GATEWAY": "deaf"})
        server.wait_for_line(READY)
        pids += stage_pids(server)
        server.signal(signal.SIGINT)
        server.wait_for_line("stopping")
        server.signal(signal.SIGINT)
        assert server.wait() == 0
    server.wait_for_line("ending everything at once")


def test_a_stage_that_does_not_stop_in_time_is_killed(fakes: Path, run_dir: Path) -> None:
    with nothing_left(run_dir) as pids:
        server = start_server(
            run_dir, "--drain-timeout", "0", fakes=fakes, env={"FAKE_GATEWAY": "deaf"}
        )
        server.wait_for_line(READY)
        pids += stage_pids(server)
        assert server.terminate() == 0
    server.wait_for_line("gateway did not stop when asked and was killed")


def test_json_lines_are_json_and_carry_the_stage(fakes: Path, run_dir: Path) -> None:
    server = start_server(run_dir, "--log-format", "json", "--logchunks", fakes=fakes)
    server.wait_for_line('"event": "ready"')
    for name in ("gateway", "verifier-1", "verifier-2", "transcriber-1"):
        server.wait_for_line(f'"stage": "{name}"')
    server.terminate()
    entries = [json.loads(line) for line in server.lines]
    assert {entry["stage"] for entry in entries} == {
        "gateway",
        "verifier-1",
        "verifier-2",
        "transcriber-1",
        "stt-server",
    }
    assert entries[0]["message"].startswith("warning: --logchunks has no effect")


def test_a_gateway_that_waits_is_asked_for_the_reason(fakes: Path, run_dir: Path) -> None:
    server = start_server(run_dir, fakes=fakes, env={"FAKE_GATEWAY": "unready"})
    server.wait_for_line("not ready yet: waiting")
    assert server.terminate() == 0


def test_the_script_runs_from_anywhere_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "common").mkdir()  # would be imported in place of ours
    (tmp_path / "common" / "__init__.py").write_text("raise SystemExit('wrong package')")
    link = tmp_path / "server"
    link.symlink_to(ROOT / "deploy" / "stt-server")
    shown = subprocess.run(
        [str(link), "--help"], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert shown.returncode == 0, shown.stderr
    assert "--verify-data-integrity" in shown.stdout
    assert "stt-server scale verifiers N" in shown.stdout

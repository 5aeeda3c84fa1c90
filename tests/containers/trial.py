"""The compose file as it is, on an engine of its own: streams, kills, rejections, stops.

The tests of this module are one trial, in order. Costs about five minutes, most of it the build.
"""

from __future__ import annotations

import asyncio
import io
import json
import os
import re
import signal
import time
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final

import av
import numpy as np
import pytest

from common.client import (
    AccessError,
    ClientEvent,
    RejectedError,
    ServerBusyError,
    Stream,
    connect,
    flip_bit,
)
from common.events import FullSentence
from deploy.demo_parts import same_words
from deploy.health import health, sample
from tests.containers.engine import ENGINES_FILE, GPU_FILE, Engine
from tests.containers.image import IMAGE, bridge_address, build, copy_context, make_base
from tests.processes import free_port, wait_until
from tests.speech import SAMPLE_RATE, SENTENCES, load, silence

MOST_IMAGE_BYTES: Final = 600_000_000
"""Of the CPU image with the stand-in's base; it was 1.8 GB when first built."""
READY_TIMEOUT_S: Final = 120.0
STREAM_TIMEOUT_S: Final = 180.0
MOST_STOP_S: Final = 6.0
"""From a container's SIGTERM to its end: nobody there waits for who is gone."""
CHUNK_S: Final = 0.128
PACE: Final = 2.0
SPOKEN: Final = ("bridge", "coffee", "garden", "river", "ship", "train")


class Deployment:
    """The composed system and where its published ports are."""

    def __init__(self, engine: Engine, build_log: str) -> None:
        self.engine = engine
        self.build_log = build_log
        data, control, metrics, api = free_port(), free_port(), free_port(), free_port()
        self.url = f"ws://127.0.0.1:{data}"
        self.metrics_url = f"http://127.0.0.1:{metrics}"
        engine.environment |= {
            "STT_DATA_PORT": str(data),
            "STT_CONTROL_PORT": str(control),
            "STT_METRICS_PORT": str(metrics),
            "STT_API_PORT": str(api),
            "STT_REJECT_CORRUPTED_DATA": "true",
        }

    def up(self, *scale: str) -> None:
        """Start what does not run, and wait until the gateway has its peers."""
        self.engine.compose("up", "-d", *scale)
        self.wait_ready()

    def wait_ready(self) -> None:
        """Wait for the gateway's own word."""
        wait_until(lambda: health(self.metrics_url).ready, "it is ready", READY_TIMEOUT_S, 0.1)

    def containers(self, service: str) -> list[str]:
        """Ids of a service's containers."""
        return self.engine.compose("ps", "-q", service).split()

    def all(self) -> list[str]:
        """Ids of all stages' containers."""
        services = self.engine.compose("ps", "--services").split()
        stages = [service for service in services if service != "keys"]
        return [container for service in stages for container in self.containers(service)]

    def wait_healthy(self) -> None:
        """Wait for the engine's word on every container."""

        def states() -> set[str]:
            return {self.engine.inspect(c, "{{.State.Health.Status}}") for c in self.all()}

        wait_until(lambda: states() == {"healthy"}, "all are healthy")

    def stop(self) -> dict[str, float]:
        """Stop all as Compose does; seconds from signal to end by container, by the engine's word.

        What Compose itself and the engine take for their own work is not the stages'.
        """
        since = f"{time.time():.3f}"
        self.engine.compose("stop")
        events = self.engine.docker(
            *("events", "--since", since, "--until", f"{time.time():.3f}"),
            *("--filter", "event=kill", "--filter", "event=die"),
            *("--format", "{{.Actor.Attributes.name}} {{.Action}} {{.TimeNano}}"),
        )
        at_ns: dict[tuple[str, str], int] = {}
        for line in events.splitlines():
            name, action, time_ns = line.split()
            at_ns.setdefault((name, action), int(time_ns))
        names = {name for name, _ in at_ns}
        return {name: (at_ns[name, "die"] - at_ns[name, "kill"]) / 1e9 for name in names}

    def kill(self, service: str) -> None:
        """SIGKILL to a container's first process, from outside: the engine starts it again."""
        container = self.containers(service)[0]
        pid = int(self.engine.inspect(container, "{{.State.Pid}}"))
        os.kill(pid, signal.SIGKILL)
        wait_until(
            lambda: self.engine.inspect(container, "{{.RestartCount}}") != "0",
            f"the engine starts {service} again",
        )


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with Engine() as engine:
        yield engine


@pytest.fixture(scope="module")
def deployment(engine: Engine) -> Deployment:
    make_base(engine)
    return Deployment(engine, build(engine))


class Talk:
    """A client that speaks all sentences, and what it heard."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.sentence = asyncio.Event()

    def on_event(self, event: ClientEvent) -> None:
        if isinstance(event, FullSentence):
            self.heard.append(event.text)
            self.sentence.set()

    async def speak(self, stream: Stream) -> None:
        pcm = silence(0.5) + b"".join(load(name) + silence(1.5) for name in SPOKEN)
        step = len(silence(CHUNK_S))
        for start in range(0, len(pcm), step):
            await stream.send(pcm[start : start + step])
            await asyncio.sleep(CHUNK_S / PACE)
        await stream.finish()

    def check(self) -> None:
        """Every sentence was heard once, in order."""
        spoken = [SENTENCES[name].spoken for name in SPOKEN]
        assert len(self.heard) == len(spoken), self.heard
        for one, other in zip(spoken, self.heard, strict=True):
            assert same_words(one, other)


@asynccontextmanager
async def admitted(url: str, **options: Any) -> AsyncIterator[Stream]:
    """A stream, once the server takes one: where the machine is busy it says to try later."""
    while True:
        try:
            stream = await connect(url, **options).open()
            break
        except ServerBusyError as busy:
            await asyncio.sleep(busy.retry_after_s)
    try:
        yield stream
    finally:
        await stream.close()


@asynccontextmanager
async def talking(url: str) -> AsyncIterator[Talk]:
    """A client in mid-stream: its first sentence was heard. Leaving the block hears the rest."""
    talk = Talk()
    async with (
        asyncio.timeout(STREAM_TIMEOUT_S),
        admitted(url, on_event=talk.on_event) as stream,
        asyncio.TaskGroup() as tasks,
    ):
        tasks.create_task(talk.speak(stream))
        await talk.sentence.wait()
        yield talk


def encoded(pcm: bytes, container: str, codec: str) -> bytes:
    """Speech in a container, as others record it."""
    file = io.BytesIO()
    samples = np.frombuffer(pcm, np.int16).reshape(1, -1)
    with av.open(file, "w", format=container) as output:
        stream: Any = output.add_stream(codec, rate=48_000, layout="mono")
        frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
        frame.sample_rate = SAMPLE_RATE
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            output.mux(packet)
    return file.getvalue()


def test_the_image_is_small_and_runs_as_a_numbered_user(deployment: Deployment) -> None:
    size = int(deployment.engine.inspect(IMAGE, "{{.Size}}"))
    print(f"image: {size / 1e6:.0f} MB")
    assert size < MOST_IMAGE_BYTES
    assert re.fullmatch(r"\d+:\d+", deployment.engine.inspect(IMAGE, "{{.Config.User}}"))


def test_no_layer_holds_a_secret_of_the_build(deployment: Deployment) -> None:
    history = deployment.engine.docker("history", "--no-trunc", IMAGE)
    assert "index-url" not in history
    assert "find-links" not in history
    shell = ("run", "--rm", "--entrypoint", "/bin/sh", IMAGE, "-c")
    assert not deployment.engine.docker(*shell, "ls /run/secrets /etc/pip.conf 2>&-; true").strip()


def test_an_edit_of_the_code_installs_nothing_again(deployment: Deployment, tmp_path: Path) -> None:
    context = copy_context(tmp_path)
    with (context / "gateway" / "__init__.py").open("a") as source:
        source.write("# edited\n")
    log = build(deployment.engine, context)
    assert re.search(r"RUN --mount.*deploy/set-up packages", log)
    assert "installing the server's packages" in deployment.build_log
    assert "installing" not in log
    build(deployment.engine)


async def test_speech_through_the_published_port_is_verified(deployment: Deployment) -> None:
    deployment.up()
    talk = Talk()
    async with (
        asyncio.timeout(STREAM_TIMEOUT_S),
        admitted(deployment.url, on_event=talk.on_event) as stream,
    ):
        await talk.speak(stream)
        assert stream.verdicts.ok == stream.frames
    talk.check()


def test_all_containers_say_that_they_are_healthy(deployment: Deployment) -> None:
    deployment.wait_healthy()


@pytest.mark.parametrize("container, codec", [("mp4", "aac"), ("webm", "libopus")])
def test_files_of_telephones_and_browsers_are_read(
    deployment: Deployment, container: str, codec: str
) -> None:
    """What is left of ffmpeg's libraries in the image decodes them."""
    url = f"http://127.0.0.1:{deployment.engine.environment['STT_API_PORT']}/v1/listen"
    kind = {"Content-Type": f"audio/{container}"}
    request = urllib.request.Request(url, encoded(load("bridge"), container, codec), kind)
    with urllib.request.urlopen(request, timeout=STREAM_TIMEOUT_S) as response:
        (channel,) = json.load(response)["results"]["channels"]
    assert same_words(SENTENCES["bridge"].spoken, channel["alternatives"][0]["transcript"])


def test_verifiers_are_scaled_to_four(deployment: Deployment) -> None:
    deployment.up("--scale", "verifier=4")
    wait_until(
        lambda: sample(deployment.metrics_url, ("stt_gateway_verifiers",)) == 4, "four joined"
    )


@pytest.mark.parametrize("service", ["verifier", "transcriber", "gateway"])
async def test_a_kill_in_mid_stream_loses_and_doubles_nothing(
    deployment: Deployment, service: str
) -> None:
    async with talking(deployment.url) as talk:
        await asyncio.to_thread(deployment.kill, service)
    talk.check()
    deployment.wait_ready()


async def test_a_restart_of_the_gateway_in_mid_stream_loses_and_doubles_nothing(
    deployment: Deployment,
) -> None:
    async with talking(deployment.url) as talk:
        await asyncio.to_thread(deployment.engine.compose, "restart", "gateway")
    talk.check()
    deployment.wait_ready()


async def test_a_corrupt_client_is_rejected(deployment: Deployment) -> None:
    async with asyncio.timeout(STREAM_TIMEOUT_S), admitted(deployment.url) as stream:
        await stream.send(load("bridge"), corrupt=flip_bit)
        with pytest.raises(RejectedError, match="Checksum mismatch"):
            await stream.finish()


async def test_a_stop_in_mid_stream_is_quick_and_clean(deployment: Deployment) -> None:
    took_s: dict[str, float] = {}
    with suppress(Exception):  # nobody is there to come back to
        async with talking(deployment.url):
            took_s = await asyncio.to_thread(deployment.stop)
            raise ConnectionError
    print(f"stopped, each in seconds: {took_s}")
    inspect = deployment.engine.inspect
    assert {inspect(container, "{{.State.ExitCode}}") for container in deployment.all()} == {"0"}
    assert len(took_s) == len(deployment.all())
    assert max(took_s.values()) < MOST_STOP_S


async def test_transcribers_share_an_engine_that_may_be_killed(deployment: Deployment) -> None:
    deployment.engine.compose_files.append(ENGINES_FILE)
    deployment.up("--scale", "transcriber=2")
    deployment.wait_healthy()
    async with talking(deployment.url) as talk:
        await asyncio.to_thread(deployment.kill, "engine")
    talk.check()


def test_the_file_for_gpus_is_understood(deployment: Deployment) -> None:
    deployment.engine.compose_files.append(GPU_FILE)
    assert "STT_DEVICE: cuda" in deployment.engine.compose("config")
    deployment.engine.compose_files.pop()


async def test_published_further_it_is_reached_over_tls_with_a_key(
    deployment: Deployment, tmp_path: Path
) -> None:
    """As README has it: the files are made in a container, for the user who reads them there."""
    engine, address = deployment.engine, bridge_address()
    access = tmp_path / "access"
    access.mkdir()
    os.chown(access, 10001, 10001)
    make = ("run", "--rm", "-v", f"{access}:/access", IMAGE, "deploy.command_line")
    engine.docker(*make, "certificate", "/access", address)
    shown = engine.docker(*make, "key", "operator", "--file", "/access/api-keys")
    engine.environment |= {
        "STT_PUBLISH": address,
        "STT_ACCESS": str(access),
        "STT_SERVER_NAMES": address,
        "STT_TLS_CERT": "/access/certificate.pem",
        "STT_TLS_KEY": "/access/key.pem",
        "STT_API_KEYS": "/access/api-keys",
    }
    deployment.up()
    url = f"wss://{address}:{engine.environment['STT_DATA_PORT']}"
    authorities = str(access / "certificate.pem")
    with pytest.raises(AccessError):
        await connect(url, authorities=authorities).open()
    talk = Talk()
    key = shown.partition("once: ")[2].split()[0]
    async with (
        asyncio.timeout(STREAM_TIMEOUT_S),
        admitted(url, authorities=authorities, api_key=key, on_event=talk.on_event) as stream,
    ):
        await talk.speak(stream)
    talk.check()
    engine.compose("stop")


def test_nothing_is_left(deployment: Deployment) -> None:
    deployment.engine.compose("down", "--volumes")
    assert not deployment.engine.docker("ps", "-aq").strip()
    assert not deployment.engine.docker("volume", "ls", "-q").strip()

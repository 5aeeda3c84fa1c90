"""PocketSphinx decoders in processes of their own: one holds the GIL while it decodes.

Run as a script by ``pocketsphinx_nursery``; imports nothing of this project. It loads the model,
says so with four zero bytes on the socket that is its stdin, and then, for each message there with
two descriptors, forks a worker, and answers with its ``u32`` process id and a descriptor of it.

A worker reads requests from the first descriptor: ``u32`` number of samples, then int16 samples,
16 kHz. It writes replies to the second: one line of JSON each, ``{"text": ..., "words": [[word,
start_s, end_s, probability], ...]}`` or ``{"error": ...}``. End of input ends it, and so does the
death of the parent, whatever it died of; likewise the one that is forked.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import json
import os
import signal
import socket
import struct
import sys
import warnings
from typing import Any, BinaryIO

_PR_SET_PDEATHSIG = 1
_HEADER = struct.Struct("<I")
_FRAME_S = 0.01
_MIN_SAMPLES = 1600
"""Less than a syllable; PocketSphinx also fails on less than a few of its 10 ms frames."""


def die_with(parent: int) -> None:
    """Have the kernel kill this process when its parent dies."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit(1)


def decoder(fast: bool) -> Any:
    """A decoder with the English model of PocketSphinx' wheel.

    Args:
        fast: half the time and somewhat worse, for partial results.
    """
    import pocketsphinx

    hurry = {"fwdflat": False, "bestpath": False, "maxhmmpf": 3000, "ds": 2} if fast else {}
    # Cepstral means of the whole utterance: with running ones, a text would depend on those
    # that were decoded before it.
    return pocketsphinx.Decoder(cmn="batch", loglevel="FATAL", **hurry)


def decode(engine: Any, pcm: bytes) -> str:
    """The words in one utterance, "" when there are none."""
    if len(pcm) < 2 * _MIN_SAMPLES:
        return ""
    # Called deprecated and needless, but only it resets the noise estimate between utterances.
    engine.start_stream()
    engine.start_utt()
    engine.process_raw(pcm, full_utt=True)
    engine.end_utt()
    hypothesis = engine.hyp()
    return "" if hypothesis is None else str(hypothesis.hypstr)


def words(engine: Any, text: str) -> list[tuple[str, float, float, float]]:
    """When each word of what was decoded last was said, and how likely it is; none if unsure.

    Silence and noises are written in brackets, and the second pronunciation of a word as ``a(2)``.
    """
    found = [
        (
            segment.word.partition("(")[0],
            round(segment.start_frame * _FRAME_S, 2),
            round((segment.end_frame + 1) * _FRAME_S, 2),
            round(min(1.0, max(0.0, segment.prob)), 4),
        )
        for segment in engine.seg() or ()
        if segment.word[0] not in "<[+"
    ]
    return found if [word for word, *_ in found] == text.split() else []


def serve(engine: Any, requests: BinaryIO, replies: BinaryIO) -> None:
    """Answer requests until their end."""

    def reply(**fields: object) -> None:
        replies.write(json.dumps(fields).encode() + b"\n")
        replies.flush()

    while len(header := requests.read(_HEADER.size)) == _HEADER.size:
        size = 2 * _HEADER.unpack(header)[0]
        pcm = requests.read(size)
        if len(pcm) < size:
            return
        try:
            text = decode(engine, pcm)
            reply(text=text, words=words(engine, text) if text else [])
        except RuntimeError as error:
            reply(error=str(error))


def work(engine: Any, requests: int, replies: int) -> None:
    """What a forked process does until its end."""
    with open(requests, "rb") as incoming, open(replies, "wb") as outgoing:
        serve(engine, incoming, outgoing)


def fork(engine: Any, control: socket.socket, descriptors: list[int]) -> None:
    """Fork a worker and tell of it."""
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        try:
            die_with(parent)
            control.close()
            with contextlib.suppress(OSError):  # nobody waits for the reply any more
                work(engine, *descriptors)
        finally:
            os._exit(0)
    descriptor = os.pidfd_open(pid)
    socket.send_fds(control, [_HEADER.pack(pid)], [descriptor])
    os.close(descriptor)


def main() -> None:
    """Arguments: ``fast`` or ``good``, the parent's process id, the niceness."""
    quality, parent, niceness = sys.argv[1:]
    die_with(int(parent))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the parent, which ends us
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # workers that ended are not waited for
    os.nice(int(niceness))
    warnings.simplefilter("ignore", DeprecationWarning)
    engine = decoder(quality == "fast")
    decode(engine, bytes(2 * _MIN_SAMPLES))
    gc.freeze()  # or a collection would touch, and so copy, what is shared
    with socket.socket(fileno=0) as control:
        control.sendall(_HEADER.pack(0))
        while True:
            message, descriptors, _, _ = socket.recv_fds(control, 1, 2)
            if not message:
                return
            fork(engine, control, descriptors)
            for descriptor in descriptors:
                os.close(descriptor)


if __name__ == "__main__":
    main()

"""FFmpeg in a process of its own: a file of some hundred bytes can have it ask for gigabytes.

Run as a script by ``upload_audio``; imports nothing of this project. The file is on stdin, which
can be sought in; its first argument is where it begins, the second how many bytes of address space
it may have. On stdout come int16 samples, 16 kHz, mono, in pieces that begin with their size in
bytes (``u32``, little endian); after a size of 0 the error follows as UTF-8, "" for none. What ends
without that has failed.
"""

from __future__ import annotations

import contextlib
import os
import resource
import struct
import sys
from typing import Any, BinaryIO, Final

CONTAINERS: Final = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,aac,mp3,ogg,flac,wav,aiff,au,caf"
"""FFmpeg opens what a file refers to, so it is told which containers it may read, and no protocol:
a playlist of addresses or paths is not among them."""
RATE_HZ: Final = 16_000
SIZE: Final = struct.Struct("<I")
NICE: Final = 5
"""Who speaks goes before files."""


def limit(address_space_bytes: int) -> None:
    """Have the kernel refuse more memory, any file and any dump of this process."""
    resource.setrlimit(resource.RLIMIT_AS, (address_space_bytes, address_space_bytes))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(OSError):  # in a sandbox that lets nobody be nice
        os.nice(NICE)


def decode(av: Any, file: BinaryIO, out: BinaryIO) -> str:
    """Write all pieces; what is wrong with the file, "" for nothing."""
    samples = 0
    options = {"format_whitelist": CONTAINERS, "protocol_whitelist": ""}
    try:
        with av.open(file, "r", options=options, metadata_errors="ignore") as container:
            if not container.streams.audio:
                return "it has no audio"
            # Rates and layouts may change within a file.
            resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE_HZ)
            for frame in container.decode(container.streams.audio[0]):
                samples += _write(out, resampler.resample(frame))
            samples += _write(out, resampler.resample(None))
    except (av.FFmpegError, ValueError) as error:
        return str(error)
    except MemoryError:
        return "it takes more memory than there is for it"
    return "" if samples else "no audio in it can be decoded"


def _write(out: BinaryIO, frames: list[Any]) -> int:
    samples = 0
    for frame in frames:
        data = memoryview(frame.planes[0])[: 2 * frame.samples]
        if data:
            out.write(SIZE.pack(len(data)))
            out.write(data)
        samples += frame.samples
    return samples


def main() -> None:
    """Decode what is on stdin."""
    begin, address_space_bytes = int(sys.argv[1]), int(sys.argv[2])
    limit(address_space_bytes)
    import av

    with open(0, "rb", closefd=False) as file, open(1, "wb", closefd=False) as out:
        file.seek(begin)
        fault = decode(av, file, out)
        out.write(SIZE.pack(0) + fault.encode(errors="replace")[:500])


if __name__ == "__main__":
    main()

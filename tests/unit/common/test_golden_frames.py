"""Bytes of real clients' frames, written down once: they must decode forever.

A failing test here means that these clients would not be understood any more.
"""

from __future__ import annotations

from typing import Final

import pytest

from common.integrity import Algorithm, additive_checksum, digest
from common.wire import Metadata, parse_message

PCM: Final = bytes.fromhex("0100feff2c010080")
FRAMES: Final[dict[str, tuple[str, Metadata]]] = {
    "a browser client, unsigned checksum": (
        (
            "6d0000007b2273616d706c6552617465223a31363030302c22646174614c656e677468223a342c22"
            "636865636b73756d223a343239343933343832372c2274696d657374616d70223a31363430393935"
            "3230303030302c227365727665725f73656e745f746f5f737474223a747275657d0100feff2c0100"
            "80"
        ),
        Metadata(
            sample_rate=16000.0,
            data_length=4,
            checksum=4294934827,
            timestamp=1640995200000,
            server_sent_to_stt=True,
        ),
    ),
    "a browser whose & 0xFFFFFFFF gave a signed checksum": (
        (
            "690000007b2273616d706c6552617465223a34383030302c22646174614c656e677468223a342c22"
            "636865636b73756d223a2d33323436392c2274696d657374616d70223a3136343039393532303030"
            "30302c227365727665725f73656e745f746f5f737474223a747275657d0100feff2c010080"
        ),
        Metadata(
            sample_rate=48000.0,
            data_length=4,
            checksum=-32469,
            timestamp=1640995200000,
            server_sent_to_stt=True,
        ),
    ),
    "the stock Python client": (
        (
            "7b0000007b2273616d706c6552617465223a2031363030302c20227365727665725f73656e745f74"
            "6f5f737474223a20313736343030303030303030303030303030312c20227365727665725f73656e"
            "745f746f5f7374745f666f726d6174746564223a2022323032352d31312d32342031363a30303a30"
            "302e303030227d0100feff2c010080"
        ),
        Metadata(sample_rate=16000.0, server_sent_to_stt=1764000000000000001),
    ),
    "the stock browser page": (
        ("140000007b2273616d706c6552617465223a34343130307d0100feff2c010080"),
        Metadata(sample_rate=44100.0),
    ),
    "a client that names crc32c": (
        (
            "820000007b2273616d706c6552617465223a31363030302c22646174614c656e677468223a342c22"
            "636865636b73756d223a313137393036383232352c22636865636b73756d416c676f726974686d22"
            "3a22637263333263222c22617564696f53657175656e6365223a372c2274696d657374616d70223a"
            "313634303939353230303030307d0100feff2c010080"
        ),
        Metadata(
            sample_rate=16000.0,
            data_length=4,
            checksum=1179068225,
            checksum_algorithm="crc32c",
            audio_sequence=7,
            timestamp=1640995200000,
        ),
    ),
    "a client that names xxh3_64": (
        (
            "8b0000007b2273616d706c6552617465223a31363030302c22646174614c656e677468223a342c22"
            "636865636b73756d223a2236353263313664366261353439346663222c22636865636b73756d416c"
            "676f726974686d223a22787868335f3634222c22617564696f53657175656e6365223a372c227469"
            "6d657374616d70223a313634303939353230303030307d0100feff2c010080"
        ),
        Metadata(
            sample_rate=16000.0,
            data_length=4,
            checksum="652c16d6ba5494fc",
            checksum_algorithm="xxh3_64",
            audio_sequence=7,
            timestamp=1640995200000,
        ),
    ),
    "a client that names hmac-sha256": (
        (
            "bf0000007b2273616d706c6552617465223a31363030302c22646174614c656e677468223a342c22"
            "636865636b73756d223a223263323639636134646262656463363337303362316564636238623266"
            "3763313033393463313361373162343730393361376236366134303830353661336165222c226368"
            "65636b73756d416c676f726974686d223a22686d61632d736861323536222c22617564696f536571"
            "75656e6365223a372c2274696d657374616d70223a313634303939353230303030307d0100feff2c"
            "010080"
        ),
        Metadata(
            sample_rate=16000.0,
            data_length=4,
            checksum="2c269ca4dbbedc63703b1edcb8b2f7c10394c13a71b47093a7b66a408056a3ae",
            checksum_algorithm="hmac-sha256",
            audio_sequence=7,
            timestamp=1640995200000,
        ),
    ),
}


@pytest.mark.parametrize("client", FRAMES)
def test_a_clients_frame_decodes_forever(client: str) -> None:
    hexadecimal, metadata = FRAMES[client]
    frame = parse_message(bytes.fromhex(hexadecimal))
    assert frame.metadata == metadata
    assert frame.sample_rate_hz == metadata.sample_rate
    assert frame.pcm == PCM


@pytest.mark.parametrize(
    "client", [name for name, (_, m) in FRAMES.items() if m.checksum is not None]
)
def test_a_clients_checksum_stays_right_forever(client: str) -> None:
    metadata = FRAMES[client][1]
    algorithm = Algorithm(metadata.checksum_algorithm or "additive")
    actual = digest(algorithm, metadata, PCM, b"golden key")
    expected = metadata.checksum
    assert actual == (expected & 0xFFFFFFFF if isinstance(expected, int) else expected)
    assert additive_checksum(PCM) == 4294934827

"""The page's modules without a page: their own tests under Node, and their frames in Python."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from common.integrity import Algorithm, digest
from common.wire import parse_message

HERE = Path(__file__).parent
INTEGRITY_JS = HERE.parent.parent / "gateway" / "web" / "integrity.js"
NODE = shutil.which("node")

pytestmark = pytest.mark.skipif(NODE is None, reason="node is not installed")


def run_node(*arguments: str) -> subprocess.CompletedProcess[str]:
    assert NODE is not None
    return subprocess.run([NODE, *arguments], capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize("tests", sorted(HERE.glob("*.test.mjs")), ids=lambda path: path.stem)
def test_the_tests_of_a_module_pass_under_node(tests: Path) -> None:
    result = run_node("--test", str(tests))
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("algorithm", ["additive", "crc32c"])
@pytest.mark.parametrize("samples", [[], [-1], [32767, -32768, 5], list(range(-3000, 0))])
def test_the_server_reads_and_verifies_a_frame_made_in_javascript(
    algorithm: str, samples: list[int]
) -> None:
    script = f"""
        import {{ describe, encodeFrame }} from {str(INTEGRITY_JS)!r};
        const samples = Int16Array.from({samples});
        const metadata = describe(samples, {{
          sampleRate: 44100, audioSequence: 7, timestamp: 1640995200123, algorithm: '{algorithm}',
        }});
        process.stdout.write(Buffer.from(encodeFrame(metadata, samples)).toString('hex'));
    """
    result = run_node("--input-type=module", "--eval", script)
    assert result.returncode == 0, result.stderr
    metadata, sample_rate_hz, pcm = parse_message(bytes.fromhex(result.stdout))
    assert sample_rate_hz == 44100
    assert metadata.server_sent_to_stt is True
    assert metadata.audio_sequence == 7
    assert metadata.data_length == len(samples)
    assert np.frombuffer(pcm, "<i2").tolist() == samples
    assert metadata.checksum == digest(Algorithm(algorithm), metadata, pcm)

"""NIST SPHERE files: read exactly, and refused in a sentence where they cannot be."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest

from audiocx.errors import AudioError
from audiocx.io import audio
from audiocx.io.sphere import MAGIC, SphereHeader, read_header

SAMPLES = np.random.default_rng(0).integers(-32768, 32768, 16000).astype("<i2")
SHORTEN = "sample_coding -s26 pcm,embedded-shorten-v2.00"


def sphere(*lines: str, data: bytes = SAMPLES.tobytes()) -> bytes:
    """A file with the header of TIMIT's recordings, and other lines in it."""
    stated = ["database_id -s5 TIMIT", "utterance_id -s8 cjf0_sa1", "channel_count -i 1", f"sample_count -i {16000}"]
    pcm = ["sample_rate -i 16000", "sample_n_bytes -i 2", "sample_byte_format -s2 01", "sample_sig_bits -i 16"]
    text = "\n".join(["NIST_1A", "   1024", *stated, *pcm, *lines, "end_head", ""])
    return text.encode().ljust(1024) + data


@pytest.mark.parametrize("name", ["SA1.WAV", "sa1.wav", "sa1.sph"])
def test_a_recording_is_read_exactly(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(sphere())
    samples, rate = audio.read(tmp_path / name)
    assert rate == 16000
    np.testing.assert_array_equal(samples, SAMPLES / np.float32(32768))


@pytest.mark.parametrize(("lines", "data"), [([SHORTEN], b"ajkg\x02"), ([], b"ajkg\x02"), ([SHORTEN.upper()], b"")])
def test_a_compressed_recording_says_how_to_convert_it(tmp_path: Path, lines: list[str], data: bytes) -> None:
    path = tmp_path / "SA1.WAV"
    path.write_bytes(sphere(*(line.replace("SAMPLE_CODING -S", "sample_coding -s") for line in lines), data=data * 999))
    for read in (audio.read, audio.info):
        with pytest.raises(
            AudioError, match=r'SA1\.WAV: .*"shorten".*: sph2pipe -f wav SA1\.WAV SA1\.WAV\.wav'
        ) as refused:
            read(path)
        assert "\n" not in str(refused.value)


def test_a_recording_that_is_cut_short_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "SA1.WAV"
    path.write_bytes(sphere()[:-16000])
    with pytest.raises(AudioError, match=r"cut short: its header states 1\.00 s and 0\.50 s are there"):
        audio.read(path)


def test_headers() -> None:
    assert read_header(io.BytesIO(sphere())) == SphereHeader(16000, shortened=False)
    assert read_header(io.BytesIO(sphere(SHORTEN))) == SphereHeader(16000, shortened=True)
    # Of a field that is there twice, the last counts; what follows the header is none of it.
    assert read_header(io.BytesIO(sphere("sample_count -i 8000\nend_head\nsample_count -i 1"))) == SphereHeader(
        8000, False
    )
    assert read_header(io.BytesIO(sphere("sample_count -i many"))) == SphereHeader(0, False)


@pytest.mark.parametrize("content", [b"", b"RIFF", MAGIC, MAGIC + b"\n   many\n" + b" " * 100])
def test_what_is_not_sphere_has_no_header(content: bytes) -> None:
    assert read_header(io.BytesIO(content)) is None

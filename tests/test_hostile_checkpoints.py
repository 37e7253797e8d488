"""Checkpoints made to do harm: each is refused in one sentence, without running, reading or filling anything else."""

from __future__ import annotations

import hashlib
import json
import os
import struct
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from audiocx import checkpoints
from audiocx.cli import main
from audiocx.errors import CheckpointError
from audiocx.kinds import build
from audiocx.models import TranscriberConfig

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no pipes and devices in folders")
WEIGHTS = "weights.safetensors"


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    network = build(TranscriberConfig(window_samples=256, outputs=4, lowest_note=60)).eval()
    return checkpoints.save_checkpoint(network, tmp_path / "network")


def change(folder: Path, **values: Any) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def put(folder: Path, weights: bytes) -> None:
    """Replace the weights, with their hash."""
    (folder / WEIGHTS).write_bytes(weights)
    change(folder, weights={"sha256": hashlib.sha256(weights).hexdigest()})


def refused(folder: Path, capsys: pytest.CaptureFixture[str], *said: str) -> None:
    with pytest.raises(CheckpointError) as caught:
        checkpoints.load_checkpoint(folder)
    for text in said:
        assert text in str(caught.value)
    sound = folder.parent / "a.wav"
    import soundfile

    soundfile.write(sound, np.zeros(800), 8000)
    assert main(["transcribe", str(sound), "-m", str(folder), "-o", str(folder.parent)]) == 1
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("audiocx: error: ") and err.count("\n") == 1


def header(content: bytes, stated: int | None = None) -> bytes:
    return struct.pack("<Q", len(content) if stated is None else stated) + content


@pytest.mark.parametrize(
    "weights",
    [
        pytest.param(b"", id="empty"),
        pytest.param(header(b"{}", 2**63 - 1), id="giant header"),
        pytest.param(header(b"{}", 99_000_000), id="large header"),
        pytest.param(header(b"[" * 100_000), id="deep header"),
        pytest.param(header(b'{"../../x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}') + b"1234", id="traversal"),
        pytest.param(header(b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4000000000]}}'), id="beyond the end"),
        pytest.param(
            header(b'{"a":{"dtype":"F32","shape":[9223372036854775807,4],"data_offsets":[0,4]}}1234'), id="huge"
        ),
        pytest.param(b"\x80\x04cposix\nsystem\n(S'true'\ntR.", id="pickle"),
    ],
)
def test_weights(checkpoint: Path, weights: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    put(checkpoint, weights)
    refused(checkpoint, capsys, "does not fit this version")


def test_weights_of_another_hash_and_size(checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = bytearray((checkpoint / WEIGHTS).read_bytes())
    content[-1] ^= 1
    (checkpoint / WEIGHTS).write_bytes(content)
    refused(checkpoint, capsys, "is damaged", "SHA-256")
    with open(checkpoint / WEIGHTS, "ab") as file:
        file.truncate(2**33)  # sparse
    refused(checkpoint, capsys, "cannot be read", "no regular file of at most")


@pytest.mark.parametrize("name", ["weights.safetensors", "model.onnx"])
@pytest.mark.parametrize("target", ["/dev/zero", "/", "nowhere", "network", "pipe"])
def test_links_to_what_is_no_file(
    checkpoint: Path, name: str, target: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if name == "model.onnx":
        pytest.importorskip("onnxruntime")
        change(checkpoint, onnx={"sha256": "0"})
    (checkpoint / name).unlink(missing_ok=True)
    os.mkfifo(tmp_path / "pipe")
    (checkpoint / name).symlink_to(target if target.startswith("/") else tmp_path / target)
    with pytest.raises(CheckpointError, match=f"{name} (cannot be read|is missing)"):
        checkpoints.load_checkpoint(checkpoint, runtime="onnx" if name == "model.onnx" else "torch")


def test_a_link_to_the_weights_is_as_good_as_the_weights(checkpoint: Path, tmp_path: Path) -> None:
    """Caches of model hubs hold such links; what they point to is known by its hash."""
    (checkpoint / WEIGHTS).rename(tmp_path / "blob")
    (checkpoint / WEIGHTS).symlink_to(tmp_path / "blob")
    checkpoints.load_checkpoint(checkpoint)
    (tmp_path / "secret").write_text("secret")
    (checkpoint / WEIGHTS).unlink()
    (checkpoint / WEIGHTS).symlink_to(tmp_path / "secret")
    with pytest.raises(CheckpointError, match="SHA-256") as caught:
        checkpoints.load_checkpoint(checkpoint)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "values",
    [
        {"kind": "../../windows"},
        {"kind": ["windows"]},
        {"kind": "os.system"},
        {"hop_samples": 0},
        {"hop_samples": -5},
        {"hop_samples": 1e400},
        {"model": {"window_samples": 10**30}},
        {"model": {"outputs": 10**12}},
        {"model": {"architecture": "../../../etc/passwd"}},
        {"weights": {"sha256": "../../x", "file": "/etc/passwd"}},
        {"decode": {"threshold": 1e400}},
        {"decode": {"threshold": "NaN"}},
    ],
    ids=str,
)
def test_configurations(checkpoint: Path, values: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    if isinstance(values.get("model"), dict):
        model = json.loads((checkpoint / "config.json").read_text())["model"]
        values = {"model": {**model, **values["model"]}}
    change(checkpoint, **values)
    refused(checkpoint, capsys)


@pytest.mark.parametrize(
    "content", [b"[" * 200_000, b"\xff\xfe", b"\0" * 100, b"null", b'{"a": 1' + b"0" * 5000 + b"}"]
)
def test_files_that_are_no_configuration(checkpoint: Path, content: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    (checkpoint / "config.json").write_bytes(content)
    refused(checkpoint, capsys, "config.json")
    with open(checkpoint / "config.json", "ab") as file:
        file.truncate(2**33)
    refused(checkpoint, capsys, "cannot be read")

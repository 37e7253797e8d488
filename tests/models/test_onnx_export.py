"""ONNX export of transcribers: the same outputs as the networks."""

from __future__ import annotations

import importlib.util
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_notes import HOP, RATE, recording

from audiocx import checkpoints
from audiocx.api import load_transcriber
from audiocx.cli import main
from audiocx.errors import CheckpointError, ConfigError
from audiocx.kinds import build
from audiocx.models import TranscriberConfig, onnx_export
from audiocx.models.level import BLOCK_SAMPLES
from audiocx.models.note_blocks import infer_notes
from audiocx.models.note_network import NoteNetwork
from audiocx.models.runtime import TorchNetwork
from audiocx.music.window_decoding import WindowDecodeSettings

needs_onnx = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("onnx", "onnxscript", "onnxruntime")),
    reason="needs the extra onnx: onnx, onnxscript and onnxruntime",
)


def session(path: Path) -> Any:
    import onnxruntime

    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


@needs_onnx
def test_window_networks_have_the_same_outputs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    network = build(TranscriberConfig(window_samples=256, outputs=4, lowest_note=60)).eval()
    with torch.no_grad():
        list(network.modules())[-1].bias.zero_()  # in doubt, so that differences show
    settings = WindowDecodeSettings(threshold=0.3)
    folder = checkpoints.save_checkpoint(network, tmp_path / "small", decode=settings, hop_samples=64, half=False)
    path = tmp_path / "small.onnx"
    assert main(["export", str(folder), "-o", str(path)]) == 0
    assert capsys.readouterr().out.startswith(f"{path}: ")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["small", "small.onnx"]
    ran = session(path)
    for batch in (1, 5):
        windows = torch.randn(batch, 256)
        (outputs,) = ran.run(["probabilities"], {"windows": windows.numpy()})
        with torch.inference_mode():
            expected = network(windows).sigmoid().numpy()
        assert expected.std() > 1e-3
        np.testing.assert_allclose(outputs, expected, rtol=0, atol=1e-4)
    about = ran.get_modelmeta().custom_metadata_map
    assert (about["name"], about["kind"], about["window_samples"]) == ("small", "transcriber", "256")
    assert (about["sample_rate"], about["hop_samples"], about["lowest_note"]) == ("11025", "64", "60")
    assert json.loads(about["decode"])["threshold"] == 0.3


@needs_onnx
def test_note_networks_have_the_same_outputs_at_any_length(tmp_path: Path, tiny_notes: Path) -> None:
    ran = session(onnx_export.export_onnx(checkpoints.load_checkpoint(tiny_notes), tmp_path / "notes.onnx"))
    network = checkpoints.load_checkpoint(tiny_notes).network
    for length in (HOP - 1, 20 * HOP, 37 * HOP + 1):
        samples = recording(length)
        outputs = ran.run(None, {"samples": samples[None]})
        for name, part, expected in zip(
            [output.name for output in ran.get_outputs()],
            outputs,
            infer_notes(TorchNetwork(network), samples),
            strict=True,
        ):
            np.testing.assert_allclose(part[0], expected, rtol=0, atol=1e-4, err_msg=f"{name}, {length} samples")
    about = ran.get_modelmeta().custom_metadata_map
    assert (about["kind"], about["sample_rate"], about["hop_samples"]) == ("notes", str(RATE), str(HOP))
    assert int(about["step_samples"]) == 2 * HOP
    overlap_frames = -(-int(about["overlap_samples"]) // HOP)
    whole = recording(100 * HOP)
    uncut, cut = (ran.run(["onsets"], {"samples": some[None]})[0][0] for some in (whole, whole[10 * HOP :]))
    np.testing.assert_allclose(uncut[10 + overlap_frames :], cut[overlap_frames:], rtol=0, atol=1e-4)


@needs_onnx
def test_exported_networks_normalise_levels(tmp_path: Path, tiny_notes: Path) -> None:
    tiny = checkpoints.load_checkpoint(tiny_notes, fold=False)
    network = NoteNetwork(replace(tiny.config, level_dbfs=-20.0)).eval()
    network.load_state_dict(tiny.network.state_dict())
    quiet = checkpoints.save_checkpoint(network, tmp_path / "quiet", decode=tiny.decode)
    ran = session(onnx_export.export_onnx(checkpoints.load_checkpoint(quiet), tmp_path / "quiet.onnx"))
    assert "overlap_samples" not in ran.get_modelmeta().custom_metadata_map
    rng = np.random.default_rng(0)
    for length in (HOP - 1, BLOCK_SAMPLES, 40 * BLOCK_SAMPLES + 7):
        levels = 10 ** rng.uniform(-5, 0, length // 3000 + 1)
        samples = recording(length) * np.repeat(levels, 3000)[:length].astype(np.float32)
        for part, expected in zip(
            ran.run(None, {"samples": samples[None]}), infer_notes(TorchNetwork(network), samples), strict=True
        ):
            np.testing.assert_allclose(part[0], expected, rtol=0, atol=1e-4, err_msg=f"{length} samples")


def test_unsupported_networks_and_missing_packages_are_refused(
    tmp_path: Path,
    tiny_checkpoint: Path,
    tiny_predictor: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = tmp_path / "it.onnx"
    monkeypatch.setattr(onnx_export, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"needs onnx, .*audiocx\[onnx\]"):
        onnx_export.export_onnx(checkpoints.load_checkpoint(tiny_checkpoint), path)
    monkeypatch.setattr(onnx_export, "find_spec", lambda name: True)
    with pytest.raises(CheckpointError, match="tiny-predictor predicts speech"):
        load_transcriber(tiny_predictor, "cpu")
    assert not list(tmp_path.iterdir())


def test_an_existing_file_is_kept(tmp_path: Path, tiny_checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "it.onnx"
    path.write_bytes(b"mine")
    assert main(["export", str(tiny_checkpoint), "-o", str(path)]) == 1
    assert "--overwrite" in capsys.readouterr().err and path.read_bytes() == b"mine"

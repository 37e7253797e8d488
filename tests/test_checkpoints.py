from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from audiocx import checkpoints
from audiocx.errors import CheckpointError, OutputError
from audiocx.kinds import build
from audiocx.models import NoteConfig, PredictorConfig, TranscriberConfig
from audiocx.music.note_decoding import NoteDecodeSettings
from audiocx.music.window_decoding import WindowDecodeSettings

SMALL = TranscriberConfig(window_samples=256, outputs=4, lowest_note=60)


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    network = build(SMALL).eval()
    return checkpoints.save_checkpoint(
        network, tmp_path / "small", decode=WindowDecodeSettings(threshold=0.3), hop_samples=64, description="small"
    )


@pytest.fixture
def predictor(tmp_path: Path) -> Path:
    network = build(PredictorConfig(hidden=3))
    return checkpoints.save_checkpoint(
        network, tmp_path / "predictor", description="predicts", figures={"mse": 12.5}, card="# card"
    )


def change(folder: Path, **values: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


@pytest.mark.parametrize("complex", [True, False])
def test_a_checkpoint_gives_back_the_network_it_was_made_of(tmp_path: Path, complex: bool) -> None:
    config = TranscriberConfig(complex=complex, window_samples=1024, outputs=4, lowest_note=60)
    network = build(config)
    network(torch.randn(32, 1024))  # moves the running statistics off their start
    network.eval()
    folder = checkpoints.save_checkpoint(
        network, tmp_path / "it", decode=WindowDecodeSettings(threshold=0.3), hop_samples=64, half=False
    )
    loaded = checkpoints.load_checkpoint(folder)
    windows = torch.randn(5, 1024)
    with torch.inference_mode():
        torch.testing.assert_close(loaded.network(windows), network(windows), rtol=1e-4, atol=1e-5)
    assert (loaded.name, loaded.hop_samples, loaded.decode.threshold) == ("it", 64, 0.3)
    assert loaded.network.config == config


def test_a_network_to_train_on_is_the_one_that_was_exported(tmp_path: Path) -> None:
    network = build(SMALL)
    network(torch.randn(32, 256))
    folder = checkpoints.save_checkpoint(
        network, tmp_path / "it", decode=WindowDecodeSettings(), hop_samples=64, half=False
    )
    loaded = checkpoints.load_network(folder)
    assert loaded.training and loaded.config == SMALL
    torch.testing.assert_close(loaded.state_dict(), network.state_dict(), rtol=0, atol=0)
    assert all(p.requires_grad and p.dtype == torch.float32 for p in loaded.parameters())


NOTES = NoteConfig(
    stem_channels=2,
    channels=3,
    dilations=[1, 2],
    octave=3,
    outputs=4,
    lowest_note=60,
    hop_samples=64,
    windows=[256, 64],
)


@pytest.mark.parametrize("complex", [True, False])
def test_a_note_networks_checkpoint_gives_back_the_network_it_was_made_of(tmp_path: Path, complex: bool) -> None:
    config = dataclasses.replace(NOTES, complex=complex)
    network, samples = build(config), 0.1 * torch.randn(3, 20 * 64 + 256)
    network(samples)  # moves the running statistics off their start
    settings = NoteDecodeSettings(onset_threshold=0.3)
    folder = checkpoints.save_checkpoint(
        network.eval(), tmp_path / "it", decode=settings, figures={"ap": 0.5}, card="# card", half=False
    )
    opened, loaded = checkpoints.load_checkpoint(folder), checkpoints.load_network(folder)
    assert opened.kind.name == "notes" and opened.network.config == loaded.config == config
    assert (opened.name, opened.hop_samples, opened.decode) == ("it", 64, settings)
    assert opened.card["kind"] == "notes" and opened.card["figures"] == {"ap": 0.5} and "hop_samples" not in opened.card
    assert loaded.training and all(p.requires_grad and p.device.type == "cpu" for p in loaded.parameters())
    torch.testing.assert_close(loaded.state_dict(), network.state_dict(), rtol=0, atol=0)
    with torch.inference_mode():
        torch.testing.assert_close(loaded.eval()(samples), network(samples), rtol=0, atol=0)
        torch.testing.assert_close(opened.network(samples), network(samples), rtol=1e-4, atol=1e-5)


def test_broken_settings_of_a_note_network_give_one_sentence(tmp_path: Path) -> None:
    good = checkpoints.save_checkpoint(build(NOTES), tmp_path / "good")
    for index, values in enumerate(
        ({"decode": {"threshold": 0.3}}, {"decode": None}, {"decode": {"frame_only_s": -2}}, {"model": {"octave": 2}})
    ):
        folder = tmp_path / f"broken-{index}"
        shutil.copytree(good, folder)
        change(folder, **values)
        with pytest.raises(CheckpointError, match=str(folder)) as caught:
            checkpoints.load_checkpoint(folder)
        assert "\n" not in str(caught.value)


PREDICTORS = [
    PredictorConfig(),
    PredictorConfig(complex=False, hidden=2, layers=2, kernel=5),
    PredictorConfig(architecture="lstm", complex=False, hidden=4),
    PredictorConfig(architecture="urnn", hidden=4),
    PredictorConfig(architecture="cgrnn", hidden=4, layers=2),
    PredictorConfig(hidden=2, front_end="compressed", level=True, position=2, forget_bias=1.0),
]


@pytest.mark.parametrize("config", PREDICTORS)
def test_a_predictors_checkpoint_gives_back_the_very_network(tmp_path: Path, config: PredictorConfig) -> None:
    network = build(config).eval()
    folder = checkpoints.save_checkpoint(network, tmp_path / "it")
    opened, loaded = checkpoints.load_checkpoint(folder), checkpoints.load_network(folder)
    assert opened.kind.name == "predictor" and opened.name == "it" and not opened.network.training
    assert loaded.training and loaded.config == opened.network.config == config
    torch.testing.assert_close(loaded.state_dict(), network.state_dict(), rtol=0, atol=0)
    spectra = torch.randn(2, 5, 129, dtype=torch.complex64)
    with torch.inference_mode():
        torch.testing.assert_close(opened.network(spectra)[0], network(spectra)[0], rtol=0, atol=0)


def test_a_predictors_checkpoint_describes_itself(predictor: Path) -> None:
    card = checkpoints.load_checkpoint(predictor).card
    assert card["kind"] == "predictor" and card["description"] == "predicts" and card["figures"] == {"mse": 12.5}
    assert not {"decode", "hop_samples"} & set(card)
    assert (predictor / "README.md").read_text() == "# card"


def test_broken_configurations_of_predictors_give_one_sentence(predictor: Path, tmp_path: Path) -> None:
    for index, (values, message) in enumerate(
        (
            ({"kind": "composer"}, "holds a composer, which this version of audiocx does not know"),
            ({"kind": ["predictor"]}, "does not know"),
            ({"kind": "transcriber"}, "unknown key"),
            ({"model": {"architecture": "wide"}}, "architecture is one of"),
            ({"model": {"hidden": 4}}, "does not fit this version"),
            ({"model": {"kernel": 2}}, "kernel must be odd, not 2"),
        )
    ):
        folder = tmp_path / f"broken-{index}"
        shutil.copytree(predictor, folder)
        change(folder, **values)
        with pytest.raises(CheckpointError, match=f"{folder}.*{message}") as caught:
            checkpoints.load_checkpoint(folder)
        assert "\n" not in str(caught.value)


def test_half_precision_halves_the_file_and_hardly_moves_the_logits(tmp_path: Path) -> None:
    network = build(SMALL).eval()
    small = checkpoints.save_checkpoint(network, tmp_path / "small")
    large = checkpoints.save_checkpoint(network, tmp_path / "large", half=False)
    sizes = [(folder / "weights.safetensors").stat().st_size for folder in (small, large)]
    assert sizes[0] < 0.55 * sizes[1]
    windows = torch.randn(8, 256)
    with torch.inference_mode():
        half, full = (checkpoints.load_checkpoint(folder).network(windows).numpy() for folder in (small, large))
    assert 0 < np.abs(half - full).max() < 0.02


def test_folding_leaves_the_complex_network_without_normalisation(checkpoint: Path) -> None:
    network = checkpoints.load_checkpoint(checkpoint).network
    kinds = {type(layer).__name__ for layer in network.body}
    assert "Conv2d" in kinds and not {"ComplexBatchNorm", "ComplexConv2d"} & kinds


def test_every_changed_byte_of_the_weights_is_noticed(checkpoint: Path) -> None:
    path = checkpoint / "weights.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(CheckpointError, match="damaged.*SHA-256"):
        checkpoints.load_checkpoint(checkpoint)


def test_a_missing_checkpoint_names_those_there_are() -> None:
    with pytest.raises(CheckpointError, match="There is no checkpoint nothing-like-this; the names are"):
        checkpoints.load_checkpoint("nothing-like-this")
    with pytest.raises(CheckpointError, match=f"notes-compelx; did you mean {checkpoints.DEFAULT}[?] The names are"):
        checkpoints.load_checkpoint("notes-compelx")


def test_a_folder_without_configuration_is_no_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no audiocx checkpoint"):
        checkpoints.load_checkpoint(tmp_path)


def test_broken_configurations_give_one_sentence(checkpoint: Path, tmp_path: Path) -> None:
    for index, values in enumerate(
        (
            {"format": "other"},
            {"model": {"architecture": "wide"}},
            {"model": {"nonsense": 1}},
            {"model": {"outputs": 5, "window_samples": 256}},
            {"decode": {"nonsense": 1}},
            {"hop_samples": "many"},
            {"weights": None},
        )
    ):
        folder = tmp_path / f"broken-{index}"
        shutil.copytree(checkpoint, folder)
        change(folder, **values)
        with pytest.raises(CheckpointError, match=str(folder)) as caught:
            checkpoints.load_checkpoint(folder)
        assert "\n" not in str(caught.value)
    (checkpoint / "config.json").write_text("{")
    with pytest.raises(CheckpointError, match="cannot be read"):
        checkpoints.load_checkpoint(checkpoint)


def test_foreign_weights_are_refused(checkpoint: Path) -> None:
    import hashlib

    foreign = b"not safetensors at all"
    (checkpoint / "weights.safetensors").write_bytes(foreign)
    change(checkpoint, weights={"sha256": hashlib.sha256(foreign).hexdigest()})
    with pytest.raises(CheckpointError, match="does not fit"):
        checkpoints.load_checkpoint(checkpoint)


def test_export_never_overwrites_and_leaves_nothing_behind(checkpoint: Path) -> None:
    with pytest.raises(OutputError, match="exists"):
        checkpoints.save_checkpoint(build(SMALL), checkpoint)
    in_a_file = checkpoint / "config.json" / "inside"
    with pytest.raises(OutputError, match="cannot be written"):
        checkpoints.save_checkpoint(build(SMALL), in_a_file)
    assert [path.name for path in checkpoint.parent.iterdir()] == ["small"]


def test_the_bundled_checkpoints_load_and_describe_themselves() -> None:
    found = checkpoints.available()
    assert next(iter(found)) == checkpoints.DEFAULT
    for name in found:
        checkpoint = checkpoints.load_checkpoint(name)
        figures = checkpoint.card["figures"]
        assert checkpoint.card["description"]
        assert figures["mse"] > 0 if checkpoint.kind.does == "predict" else 0 < figures["ap"] < 1
        assert (checkpoint.folder / "README.md").is_file()


def test_a_run_is_told_from_a_checkpoint(tmp_path: Path) -> None:
    (tmp_path / "best.ckpt").touch()
    with pytest.raises(CheckpointError, match="is a run, not a checkpoint; export it first"):
        checkpoints.load_checkpoint(tmp_path)

"""LibriSpeech's export command: a predictor's checkpoint from a run, on a synthetic corpus."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from recipe_runs import RECIPES, TRAINING, refusal, run_script
from speech_lookalike import write_librispeech

from audiocx import checkpoints
from audiocx.api import load_predictor
from audiocx.train.runs import load_network, read_experiment

SIZES: dict[str, Any] = {
    "model.hidden": 2,
    "train.steps": 4,
    "train.epoch_steps": 2,
    "train.batch_size": 2,
    "train.segment_frames": 16,
}


def changes(**more: Any) -> list[str]:
    values = SIZES | {f"train.{name}": value for name, value in more.items()}
    return [word for name, value in values.items() for word in ("--set", f"{name}={value}")]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """A corpus, three runs that differ in their seed, and the checkpoint of the first, with what was printed."""
    folder = tmp_path_factory.mktemp("speech")
    corpus, commands = write_librispeech(folder / "corpus", 10, 1, 0.5), write_librispeech(folder / "more", 1, 2, 0.5)
    for number, path in enumerate(sorted(commands.rglob("*.flac"))):
        path.rename(commands / f"yes-{number}.flac")
    words = (corpus, "--extra", commands, "--cache", folder / "cache")
    config, runs = RECIPES / "librispeech" / "conf" / "complex-convlstm.toml", []
    for seed in range(3):
        runs.append(folder / f"run-{seed}")
        run_script("librispeech/train", config, *words, "--run", runs[-1], *changes(seed=seed), *TRAINING)
    how = ("--config", "complex-convlstm", "--machine", "a test machine")
    place = folder / "speech-tiny"
    printed = run_script("librispeech/export", runs[0], place, *words, *how, "--seeds", *runs[1:])
    return SimpleNamespace(words=words, runs=runs, folder=place, printed=printed)


def test_a_run_becomes_a_checkpoint(made: SimpleNamespace) -> None:
    experiment = read_experiment(made.runs[0])
    theirs, ours = load_network(made.runs[0] / "best.ckpt", experiment.model), checkpoints.load_network(made.folder)
    torch.testing.assert_close(ours.state_dict(), theirs.state_dict(), rtol=0, atol=0)
    assert ours.config == experiment.model
    figures = checkpoints.read_config(made.folder)["figures"]
    assert figures["mse"] > figures["mse_wisdom"] * 0.999 and figures["frames"] == 4 * 2 * 16
    assert list(figures["mse_by_seed"]) == ["0", "1", "2"] and figures["mse_by_seed"]["0"] == figures["mse"]


def test_the_error_is_that_of_the_held_out_speakers(made: SimpleNamespace) -> None:
    from audiocx.data.corpora import librispeech

    held_out = librispeech.split(librispeech.find_utterances(made.words[0])).validation
    (utterance,) = held_out
    mse = load_predictor(made.folder, "cpu").predict(utterance.audio).mse
    # The store keeps 16 bits of the resampled samples.
    assert checkpoints.read_config(made.folder)["figures"]["mse"] == pytest.approx(mse, rel=1e-2)


def test_the_model_card(made: SimpleNamespace) -> None:
    card = (made.folder / "README.md").read_text(encoding="utf-8")
    figures = checkpoints.read_config(made.folder)["figures"]
    each = ", ".join(f"{mse:.2f}" for mse in figures["mse_by_seed"].values())
    for part in (
        "# speech-tiny\n",
        f"complex ConvLSTM, {figures['parameters']:,} parameters; other than in the paper: hidden 2 |",
        "LibriSpeech (train-clean-100): 9 recordings by 9 speakers, 0.00 h; Speech Commands: 2 recordings, 0.00 h |",
        "LibriSpeech: 1 recordings by 1 speakers, 0.00 h, none of them in the training data |",
        "CC BY 4.0 (LibriSpeech",
        "Apache-2.0 (Speech Commands",
        f"{figures['frames']:,} frames, seed 0; these weights: after ",
        "| a test machine, ",
        f"| validation | {figures['mse']:.2f} | {figures['mse_wisdom']:.2f} |",
        f"Trained 3 times, with the seeds 0, 1, 2: {each}; mean ",
        "conf/complex-convlstm.toml FOLDER --extra COMMANDS \\\n    --run runs/run-0 --set train.seed=0\n",
        "export.py runs/run-0 pretrained/speech-tiny FOLDER --extra COMMANDS\n",
    ):
        assert part in card, part
    assert "{" not in card and "}" not in card and "%(" not in card
    assert f"{figures['mse']:.2f}" in made.printed and "mean" in made.printed


def test_a_checkpoint_is_replaced_and_one_seed_has_no_spread(made: SimpleNamespace, tmp_path: Path) -> None:
    place = tmp_path / "again"
    shutil.copytree(made.folder, place)
    printed = run_script("librispeech/export", made.runs[0], place, made.words[0], *made.words[3:])
    card = (place / "README.md").read_text(encoding="utf-8")
    assert "mean" not in printed + card.split("## Figures")[1].replace("Mean squared", "")
    assert "Speech Commands" not in card and "--extra" not in card and "conf/run-0.toml FOLDER \\\n" in card
    assert f"# {place.name}\n" in card


def test_invalid_exports_are_refused(made: SimpleNamespace, tmp_path: Path) -> None:
    run, words = made.runs[0], made.words
    (tmp_path / "thesis.txt").write_text("all of it")
    assert "exists and is no checkpoint" in refusal("librispeech/export", run, tmp_path, *words)
    assert "holds no run" in refusal("librispeech/export", tmp_path, tmp_path / "new", *words)
    assert "in the seed alone" in refusal("librispeech/export", run, tmp_path / "new", *words, "--seeds", run)
    assert not (tmp_path / "new").exists() and (tmp_path / "thesis.txt").is_file()

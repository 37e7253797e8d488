"""The recipes' export commands: checkpoints from runs, the second run started from the first."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from musicnet_lookalike import write_folder
from recipe_runs import RECIPES, TRAINING, refusal, run_script, settings
from tiny_corpus import write_corpus

from audiocx import checkpoints
from audiocx.train.export import SCORES
from audiocx.train.runs import load_network, read_experiment

STEPS, BATCH = 4, 16
SIZES: dict[str, Any] = {
    "train__windows": STEPS * BATCH,
    "train__epoch_windows": STEPS * BATCH // 2,
    "train__batch_size": BATCH,
    "train__learning_rate": 1e-6,  # nothing is found yet: few notes are tuned and scored quickly
}


@pytest.fixture(scope="module")
def pianos(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """MAPS in small, a run on it and its checkpoint, with what the export printed."""
    folder = tmp_path_factory.mktemp("maps")
    corpus, run, checkpoint = write_corpus(folder / "corpus"), folder / "run", folder / "maps-tiny"
    config = RECIPES / "maps" / "conf" / "deep-complex.toml"
    cache = ("--cache", folder / "cache")
    run_script("maps/train", config, corpus, *cache, "--run", run, *settings(**SIZES), *TRAINING)
    printed = run_script("maps/export", run, checkpoint, corpus, "--machine", "a test machine")
    return SimpleNamespace(corpus=corpus, cache=cache, run=run, folder=checkpoint, printed=printed)


@pytest.fixture(scope="module")
def renders(pianos: SimpleNamespace, tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """The same of renders and MAPS."""
    folder = tmp_path_factory.mktemp("em")
    corpus, run, checkpoint = write_folder(folder / "renders", (1727, 1728, 2131)), folder / "run", folder / "em-tiny"
    config = RECIPES / "musicnet_em" / "conf" / "deep-complex.toml"
    tiny, places = settings(**SIZES, train__start=pianos.folder), (corpus, pianos.corpus)
    run_script("musicnet_em/train", config, *places, "--cache", folder / "cache", "--run", run, *tiny, *TRAINING)
    printed = run_script("musicnet_em/export", run, checkpoint, *places)
    return SimpleNamespace(corpus=corpus, run=run, folder=checkpoint, printed=printed)


def parts_of(made: SimpleNamespace) -> tuple[dict[str, Any], str]:
    """Figures and model card of a checkpoint."""
    return checkpoints.read_config(made.folder)["figures"], (made.folder / "README.md").read_text(encoding="utf-8")


def assert_whole(made: SimpleNamespace, names: list[str]) -> None:
    """Sees that a checkpoint is its run's, described, and scored under the names given."""
    opened, experiment = checkpoints.load_checkpoint(made.folder), read_experiment(made.run)
    assert opened.network.config == experiment.model and opened.hop_samples == 256
    theirs, ours = load_network(made.run / "best.ckpt", experiment.model), checkpoints.load_network(made.folder)
    # Rounded to 16 bits.
    torch.testing.assert_close(ours.state_dict(), theirs.state_dict(), rtol=1e-3, atol=1e-4)
    figures, card = parts_of(made)
    scored = [f"{name}, hop {hop}" for hop in (128, 256) for name in names]
    assert [key for key, value in figures.items() if isinstance(value, dict)] == scored
    assert figures["ap"] == figures[scored[0]]["average_precision"]
    assert figures["windows"] in (STEPS * BATCH // 2, STEPS * BATCH)
    for key in scored:
        row = f"| {key} | {' | '.join(f'{figures[key][score]:.3f}' for score in SCORES)} |"
        assert row in card and row in made.printed
    assert f"# {made.folder.name}\n" in card and f"Seen in training | {figures['windows']:,} windows, seed 0" in card
    assert f"export.py runs/run pretrained/{made.folder.name} FOLDER" in card
    assert "{" not in card and "}" not in card


def test_a_run_on_maps_becomes_a_checkpoint(pianos: SimpleNamespace) -> None:
    assert_whole(pianos, ["MAPS validation"])
    card = parts_of(pianos)[1]
    assert "| Machine, date | a test machine, " in card and "trained on MAPS." in card
    assert "from the weights" not in card


def test_a_run_on_renders_and_maps_becomes_a_checkpoint(renders: SimpleNamespace, pianos: SimpleNamespace) -> None:
    assert_whole(renders, ["MAPS validation", "MusicNetEM-rendered validation"])
    card = parts_of(renders)[1]
    assert f", seed 0, from the weights of `{pianos.folder}` on; these weights: after " in card
    assert read_experiment(renders.run).train.shares == [0.6, 0.4]


def test_the_checkpoint_is_scored_on_maps(pianos: SimpleNamespace, tmp_path: Path) -> None:
    printed = run_script("maps/evaluate", pianos.folder, pianos.corpus, "-o", tmp_path, "--device", "cpu")
    assert {path.name for path in tmp_path.iterdir()} == {"scores.json", "precision_recall.png", "prediction.png"}
    overall = json.loads((tmp_path / "scores.json").read_text(encoding="utf-8"))["overall"]
    figures = parts_of(pianos)[0]["MAPS validation, hop 128"]
    assert overall["average_precision"] == pytest.approx(figures["average_precision"], abs=1e-6)
    assert "MAPS_MUS-etude_AkPnBcht" in printed


def test_only_a_checkpoint_is_replaced(pianos: SimpleNamespace, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "thesis.txt").write_text("all of it")
    words = (precious, pianos.corpus)
    assert "exists and is no checkpoint" in refusal("maps/export", pianos.run, *words)
    assert (precious / "thesis.txt").read_text() == "all of it"
    assert "holds no run" in refusal("maps/export", tmp_path, tmp_path / "new", pianos.corpus)
    assert not (tmp_path / "new").exists()


def test_renders_without_a_part_are_refused(pianos: SimpleNamespace, tmp_path: Path) -> None:
    renders = write_folder(tmp_path / "renders", [1727], 0.6)
    config = RECIPES / "musicnet_em" / "conf" / "deep-complex.toml"
    sentence = refusal("musicnet_em/train", config, renders, pianos.corpus, "--cache", tmp_path / "cache")
    assert "nothing to train on or nothing to validate with" in sentence

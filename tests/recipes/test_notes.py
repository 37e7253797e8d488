"""A note network through the recipes' commands: trained, exported, scored on MAPS and on MusicNet."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from musicnet_lookalike import write_folder
from recipe_runs import TRAINING, refusal, run_script
from tiny_corpus import write_corpus
from training_runs import TINY_NOTES

from audiocx import checkpoints
from audiocx.api import load_transcriber
from audiocx.data.corpora import musicnet
from audiocx.data.frame_grids import paper_frames
from audiocx.data.store import prepare
from audiocx.kinds import build
from audiocx.models import NoteConfig
from audiocx.models.note_blocks import infer_notes, probabilities_at
from audiocx.models.runtime import TorchNetwork
from audiocx.music.evaluation import infer_labelled, scorable
from audiocx.music.metrics import average_precision, evaluate
from audiocx.train.export import SCORES
from audiocx.train.runs import load_network, read_experiment

# Hardly trained: few notes are tuned and scored quickly.
EXPERIMENT = TINY_NOTES.replace("steps = 2\nepoch_steps = 1", "steps = 4\nepoch_steps = 2") + "learning_rate = 1e-6\n"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """MAPS in small, a run on it and its checkpoint, with what the export printed."""
    folder = tmp_path_factory.mktemp("maps")
    corpus, run, checkpoint, config = (folder / name for name in ("corpus", "run", "tiny", "notes-complex.toml"))
    config.write_text(EXPERIMENT)
    write_corpus(corpus)
    words = ("maps/train", config, corpus, "--cache", folder / "cache", "--run", run, *TRAINING)
    assert run_script(*words) == run_script(*words) == f"best: {run / 'best.ckpt'}\n"  # at the second call it had ended
    printed = run_script("maps/export", run, checkpoint, corpus, "--machine", "a test machine")
    return SimpleNamespace(corpus=corpus, run=run, folder=checkpoint, config=config, printed=printed)


def assert_whole(run: Path, folder: Path, printed: str, names: list[str]) -> str:
    """Check that a checkpoint is its run's and has scores of these names; return its model card."""
    opened, experiment = checkpoints.load_checkpoint(folder), read_experiment(run)
    assert opened.kind.name == "notes" and opened.network.config == experiment.model
    theirs, ours = load_network(run / "best.ckpt", experiment.model), checkpoints.load_network(folder)
    # Rounded to 16 bits.
    torch.testing.assert_close(ours.state_dict(), theirs.state_dict(), rtol=1e-3, atol=1e-4)
    figures, card = opened.card["figures"], (folder / "README.md").read_text(encoding="utf-8")
    assert [key for key, value in figures.items() if isinstance(value, dict)] == names
    for name in names:
        row = f"| {name} | {' | '.join(f'{figures[name][score]:.3f}' for score in SCORES)} |"
        assert row in card and row in printed
    assert figures["ap"] == figures[names[0]]["average_precision"] and figures["frames"] == 4 * 2 * 16
    assert "Seen in training | 128 frames, seed 0; these weights: after " in card
    assert f"complex note network, {figures['parameters']:,} parameters, " in card
    assert "{" not in card and "}" not in card
    return card


def test_a_run_on_maps_becomes_a_checkpoint(made: SimpleNamespace) -> None:
    card = assert_whole(made.run, made.folder, made.printed, ["MAPS validation, hop 64"])
    assert "Notes by a complex network over time and log frequency, trained on MAPS." in card
    assert "windows of 512 (46 ms) and 128 (12 ms) samples every 64 (5.8 ms)" in card


def test_export_with_scores_on_renders(made: SimpleNamespace, tmp_path: Path) -> None:
    renders = write_folder(tmp_path / "renders", (1727, 1728, 2131))
    words = (made.run, tmp_path / "tiny", renders, made.corpus, "--config", "more-notes-complex")
    printed = run_script("musicnet_em/export", *words)
    names = [f"{name} validation, hop 64" for name in ("MAPS", "MusicNetEM-rendered")]
    card = assert_whole(made.run, tmp_path / "tiny", printed, names)
    assert "recipes/musicnet_em/conf/more-notes-complex.toml FOLDER MAPS -o runs/run" in card


def test_scoring_with_vibrato(made: SimpleNamespace, tmp_path: Path) -> None:
    renders = write_folder(tmp_path / "renders", (1727, 2131))
    printed = run_script("musicnet_em/vibrato", made.folder, renders, "--cents", 0, 60, "--device", "cpu").splitlines()
    assert printed[0] == "| vibrato up to, cents | AP | frame F1 | note F1 | with offset |"
    assert printed[2].startswith("| 0 | ") and printed[3].startswith("| 60 | ")
    assert printed[2].split("|")[2] != printed[3].split("|")[2]
    without = write_folder(tmp_path / "without", (1727,))
    assert "none of the validation ids" in refusal("musicnet_em/vibrato", made.folder, without)


def test_the_checkpoint_is_scored_on_maps(made: SimpleNamespace, tmp_path: Path) -> None:
    words = (made.folder, made.corpus, "--device", "cpu", "-o")
    run_script("maps/evaluate", *words, tmp_path)
    overall = json.loads((tmp_path / "scores.json").read_text(encoding="utf-8"))["overall"]
    figures = checkpoints.read_config(made.folder)["figures"]["MAPS validation, hop 64"]
    assert overall == pytest.approx(figures, abs=1e-6)
    assert "every 64 samples, not 128" in refusal("maps/evaluate", *words, tmp_path, "--hop", 128)


def test_degraded_recordings_are_tuned_and_scored_too(made: SimpleNamespace, tmp_path: Path) -> None:
    printed = run_script("maps/export", made.run, tmp_path / "tiny", made.corpus, "--disturbed")
    assert_whole(made.run, tmp_path / "tiny", printed, ["MAPS validation, hop 64", "MAPS validation degraded, hop 64"])
    run_script("maps/evaluate", tmp_path / "tiny", made.corpus, "--device", "cpu", "--disturbed", "-o", tmp_path)
    overall = json.loads((tmp_path / "scores.json").read_text(encoding="utf-8"))["overall"]
    figures = checkpoints.read_config(tmp_path / "tiny")["figures"]
    assert overall == pytest.approx(figures["MAPS validation degraded, hop 64"], abs=1e-6)
    assert figures["MAPS validation, hop 64"]["average_precision"] != overall["average_precision"]
    # The same scores from the degraded files.
    assert run_script("maps/disturb", made.corpus, tmp_path / "files") == f"1 pieces in {tmp_path / 'files'}\n"
    transcriber = load_transcriber(tmp_path / "tiny", "cpu")
    labels = tmp_path / "files" / "MAPS_MUS-etude_AkPnBcht.tsv"
    pieces = [scorable(infer_labelled(transcriber, labels.with_suffix(".wav"), labels), transcriber.checkpoint.decode)]
    assert evaluate(pieces).overall == pytest.approx(overall, abs=1e-6)


def test_other_experiments_are_refused(made: SimpleNamespace, tmp_path: Path) -> None:
    sentence = refusal("timit/train", made.config, tmp_path)
    assert 'notes-complex.toml is of kind "notes"; name one of kind "predictor"' in sentence
    sentence = refusal("maps/variations", made.corpus, made.run, "--cache", tmp_path)
    assert 'run is of kind "notes"; name one of kind "transcriber"' in sentence


SECONDS = 2.0


@pytest.fixture(scope="module")
def chamber_music(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, tuple[str, Path]]:
    folder = tmp_path_factory.mktemp("chamber")
    return write_folder(folder / "musicnet", (1727, 2131, *musicnet.TEST_IDS), SECONDS), ("--cache", folder / "cache")


@pytest.mark.parametrize("frames", ["paper", "whole"])
@pytest.mark.parametrize("what", ["run", "folder"])
def test_frame_by_frame_scoring_on_musicnet(
    made: SimpleNamespace, chamber_music: tuple[Path, tuple[str, Path]], frames: str, what: str, tmp_path: Path
) -> None:
    corpus, cache = chamber_music
    printed = run_script("musicnet/evaluate", getattr(made, what), corpus, *cache, "-o", tmp_path, "--frames", frames)
    scores: dict[str, Any] = json.loads((tmp_path / "scores.json").read_text(encoding="utf-8"))
    transcriber = load_transcriber(made.folder)
    store = prepare(musicnet.split(musicnet.find_pieces(corpus)).test, cache[1], progress=False)
    probabilities, sounding = [], []
    for piece, length in enumerate(store.lengths.tolist()):
        # The first of the paper's frames is at sample 11000 + 512 / 2, 8 short of whole hops.
        silence = 0 if frames == "whole" else 8
        samples = np.concatenate([np.zeros(silence, np.float32), store.samples(piece)])
        centres = np.arange(0, length, 64) if frames == "whole" else paper_frames(length, 512, 11025)
        rows = (centres + silence) // 64
        assert not ((centres + silence) % 64).any()
        probabilities.append(transcriber.infer(samples).probabilities[rows, :84])
        sounding.append(store.sounding(piece, centres)[:, :84])
    expected = average_precision(np.concatenate(probabilities), np.concatenate(sounding))
    assert scores["average_precision"] == pytest.approx(expected, abs=2e-3 if what == "run" else 1e-6)
    assert scores["windows"] is None and scores["frames_seen"] == 128 and scores["frames"] == frames
    assert set(scores["recordings"]) == {"1819", "2303", "2382"} and scores["instruments"] and scores["polyphony"]
    assert f"AP {100 * scores['average_precision']:.2f} %" in printed
    row = run_script("musicnet/table", tmp_path, "-o", tmp_path / "table").splitlines()[2]
    assert " | note network, complex |  | standardized | crelu | 11025 | " in row and row.endswith(
        f" | ? | {100 * expected:.1f} |  |"
    )


def test_shifted_frames_equal_those_of_the_whole() -> None:
    config = NoteConfig(stem_channels=2, channels=2, dilations=[1], octave=3, hop_samples=64, windows=[512])
    network, samples = build(config).eval(), 0.1 * np.random.default_rng(0).normal(size=64 * 40).astype(np.float32)
    whole = infer_notes(TorchNetwork(network), samples).frames
    np.testing.assert_allclose(
        probabilities_at(TorchNetwork(network), samples, 64 * np.arange(2, 40, 3)), whole[2::3], atol=1e-6
    )
    assert probabilities_at(TorchNetwork(network), samples, np.zeros(0, np.int64)).shape == (0, 88)
    done: list[int] = []
    moved = probabilities_at(TorchNetwork(network), samples[24:], 64 * np.arange(2, 40, 3) - 24, done.append)
    np.testing.assert_allclose(moved[5:], whole[17::3], atol=1e-6)  # but for the samples that were cut off
    assert sum(done) == len(moved)
    with pytest.raises(ValueError, match="multiples of 64"):
        probabilities_at(TorchNetwork(network), samples, np.array([3, 68]))

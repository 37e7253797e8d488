"""The MusicNet recipe from corpus to table, on a synthetic corpus in its layout."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from musicnet_lookalike import labels_of, write_folder
from recipe_runs import RECIPES, TRAINING, refusal, run_script, settings
from sklearn.metrics import average_precision_score

from audiocx.config import to_dict
from audiocx.data.corpora import musicnet
from audiocx.data.corpora.musicnet_labels import Label, write_table
from audiocx.io import audio
from audiocx.models import TranscriberConfig
from audiocx.music.group_scores import program_name
from audiocx.train.runs import open_trained, recordings_of

SECONDS = 2.0
WINDOW = 256
# 1759 and 1819 lie in test_data, 1759 for training.
IDS = (1727, 1728, 1759, 2131, 2384, *musicnet.TEST_IDS)
STEPS = 4


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("corpora") / "musicnet", IDS, SECONDS)


def cache_of(corpus: Path) -> tuple[str, Path]:
    return "--cache", corpus.parent / "cache"


@pytest.fixture(scope="module")
def run(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of one epoch, by the recipe's own command; with 88 outputs, four more than are scored."""
    folder = tmp_path_factory.mktemp("runs") / "tiny"
    config = RECIPES / "musicnet" / "conf" / "paper-deep-complex.toml"
    tiny = settings(train__windows=STEPS, train__epoch_windows=STEPS, model__outputs=88)
    printed = run_script("musicnet/train", config, corpus, *cache_of(corpus), "--run", folder, *tiny, *TRAINING)
    assert printed == f"best: {folder / 'best.ckpt'}\n"
    return folder


@pytest.fixture(scope="module")
def evaluated(corpus: Path, run: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Results of the paper's evaluation, and what it printed."""
    folder = tmp_path_factory.mktemp("results") / "tiny"
    return folder, run_script("musicnet/evaluate", run, corpus, *cache_of(corpus), "-o", folder)


def scores_of(results: Path) -> dict[str, Any]:
    scores: dict[str, Any] = json.loads((results / "scores.json").read_text(encoding="utf-8"))
    return scores


def counts_of(printed: str) -> dict[str, int]:
    return {name: int(count) for name, count in re.findall(r"^(\w+): (\d+) recordings, ", printed, re.MULTILINE)}


# What is scored, from the labels themselves: at 11025 Hz, four of their samples are one.


def centres_of(first: int) -> np.ndarray:
    return np.arange(first, int(SECONDS * 11025) - WINDOW + 1, 128) + WINDOW // 2


def played(labels: list[Label], centres: np.ndarray) -> np.ndarray:
    roll = np.zeros((len(centres), 84), bool)
    for label in labels:
        if 21 <= label.note < 21 + 84:
            roll[(label.start_time // 4 <= centres) & (centres < label.end_time // 4), label.note - 21] = True
    return roll


def expected_ap(run: Path, corpus: Path, first: int) -> float:
    network, centres = open_trained(str(run)).network, centres_of(first)
    probabilities, rolls = [], []
    for number in musicnet.TEST_IDS:
        samples, _ = audio.read(corpus / "test_data" / f"{number}.wav", 11025)
        stored = np.round(samples * 32768) / 32768  # 16 bits
        windows = np.stack([stored[centre - WINDOW // 2 : centre + WINDOW // 2] for centre in centres])
        with torch.inference_mode():
            probabilities.append(network(torch.from_numpy(windows.astype(np.float32))).sigmoid()[:, :84].numpy())
        rolls.append(played(labels_of(number, SECONDS), centres))
    return float(average_precision_score(np.concatenate(rolls).ravel(), np.concatenate(probabilities).ravel()))


def test_every_split_is_prepared_by_id(corpus: Path) -> None:
    printed = run_script("musicnet/prepare", corpus, *cache_of(corpus))
    assert counts_of(printed) == {"train": 3, "validation": 2, "test": 3} and " at 11025 Hz, " in printed
    assert run_script("musicnet/prepare", corpus, *cache_of(corpus)) == printed
    assert all(Path(line.rpartition(", ")[2]).is_dir() for line in printed.splitlines())
    extended = run_script("musicnet/prepare", corpus, *cache_of(corpus), "--extended", "--rate", 11000)
    assert counts_of(extended) == {"train": 2, "validation": 2, "test": 4} and " at 11000 Hz, " in extended


def test_a_part_of_the_corpus_is_prepared_but_not_trained_on(tmp_path: Path) -> None:
    part = write_folder(tmp_path / "musicnet", [1727], SECONDS)
    printed = run_script("musicnet/prepare", part, *cache_of(part))
    assert counts_of(printed) == {"train": 1, "validation": 0, "test": 0}
    config = RECIPES / "musicnet" / "conf" / "paper-deep-complex.toml"
    assert "holds no recording for validation" in refusal("musicnet/train", config, part, *cache_of(part))


def test_an_unknown_id_is_one_line_on_stderr(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "musicnet", [1727, 9999], 0.6)
    (folder / "musicnet_metadata.csv").unlink()
    command = [
        sys.executable,
        str(RECIPES / "musicnet" / "prepare.py"),
        str(folder),
        "--cache",
        str(tmp_path / "cache"),
    ]
    environment = {**os.environ, "PYTHONPATH": str(RECIPES.parent)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.startswith("prepare: error: ") and done.stderr.count("\n") == 1 and "9999" in done.stderr


def test_missing_labels_are_named(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "musicnet", [1727, 1728], 0.6)
    (folder / "train_labels" / "1728.csv").unlink()
    assert "no labels (ID.csv) for 1728" in refusal("musicnet/prepare", folder, *cache_of(folder))
    assert "not a folder" in refusal("maps/prepare", tmp_path / "missing")
    assert not (tmp_path / "cache").exists()


def test_training_counts_a_window_of_each_recording_a_step(run: Path) -> None:
    trained = open_trained(str(run))
    assert trained.windows == STEPS * 3 and trained.name == "tiny"
    assert trained.network.config.front_end == "spectrum" and trained.network.config.window_samples == WINDOW


def test_evaluation_computes_the_papers_average_precision(evaluated: tuple[Path, str], run: Path, corpus: Path) -> None:
    results, printed = evaluated
    assert {path.name for path in results.iterdir()} == {
        "scores.json",
        "curve.npz",
        "precision_recall.png",
        "prediction.png",
    }
    scores = scores_of(results)
    assert scores["average_precision"] == pytest.approx(expected_ap(run, corpus, 11000), abs=1e-4)
    assert f"AP {100 * scores['average_precision']:.2f} %" in printed
    facts = ("name", "corpus", "split", "frames", "pitches", "windows")
    assert [scores[fact] for fact in facts] == ["tiny", "musicnet", "test", "paper", 84, 3 * STEPS]
    assert set(scores["recordings"]) == {"1819", "2303", "2382"}
    with np.load(results / "curve.npz") as curve:
        assert curve["precision"].shape == curve["recall"].shape and curve["recall"][-1] == 1


def test_evaluation_by_instrument_and_polyphony(evaluated: tuple[Path, str]) -> None:
    results, printed = evaluated
    scores, centres = scores_of(results), centres_of(11000)
    pairs: dict[str, int] = {}
    sounding = 0
    for number in musicnet.TEST_IDS:
        labels = labels_of(number, SECONDS)
        sounding += int(played(labels, centres).any(1).sum())
        for instrument in {label.instrument for label in labels}:
            name = program_name(instrument - 1)
            theirs = played([label for label in labels if label.instrument == instrument], centres)
            pairs[name] = pairs.get(name, 0) + int(theirs.sum())
    assert {row["instrument"]: row["pairs"] for row in scores["instruments"]} == {n: p for n, p in pairs.items() if p}
    assert sum(row["frames"] for row in scores["polyphony"]) == sounding
    assert "| instrument | AP | recordings | pairs |" in printed and "| notes | AP | frames |" in printed
    assert all(0 <= row["average_precision"] <= 1 for row in scores["instruments"] + scores["polyphony"])


def test_the_recurrent_network_trains_and_is_scored(corpus: Path, tmp_path: Path) -> None:
    config = RECIPES / "musicnet" / "conf" / "cgrnn.toml"
    frames = {"model__frame_samples": 128, "model__frame_hop_samples": 32, "model__hidden": 4}
    tiny = settings(train__windows=STEPS, train__epoch_windows=STEPS, **frames)
    run_script("musicnet/train", config, corpus, *cache_of(corpus), "--run", tmp_path / "run", *tiny, *TRAINING)
    run_script("musicnet/evaluate", tmp_path / "run", corpus, *cache_of(corpus), "-o", tmp_path / "results")
    scores = scores_of(tmp_path / "results")
    assert scores["average_precision"] == pytest.approx(expected_ap(tmp_path / "run", corpus, 11000))
    printed = run_script("musicnet/table", tmp_path / "results", "-o", tmp_path / "table")
    ours = f"{100 * scores['average_precision']:.1f}"
    seen = f"{scores['parameters']:,} | {scores['windows']:,}"
    assert f"| results | cgrnn complex | compressed | whitening | crelu | 11025 | {seen} | {ours} |  |" in printed


def test_the_table_has_results_and_published_figures(
    evaluated: tuple[Path, str], run: Path, corpus: Path, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    first = evaluated[0]
    second, third = tmp_path / "thickstun", tmp_path / "checkpoint"
    run_script("musicnet/evaluate", run, corpus, *cache_of(corpus), "-o", second, "--frames", "thickstun")
    assert scores_of(second)["average_precision"] == pytest.approx(expected_ap(run, corpus, 11025), abs=1e-4)
    whole = ("--split", "validation", "--frames", "whole")
    run_script("musicnet/evaluate", tiny_checkpoint, corpus, *cache_of(corpus), "-o", third, *whole)
    printed = run_script("musicnet/table", first, second, third, "-o", tmp_path / "table")
    assert {path.name for path in (tmp_path / "table").iterdir()} == {
        "table.md",
        "precision_recall.png",
        "prediction.png",
    }
    assert (tmp_path / "table" / "table.md").read_text(encoding="utf-8") == printed.rstrip("\n") + "\n"
    rows = {line.split(" | ")[0].strip("| "): line for line in printed.splitlines() if line.startswith("| ")}
    assert {name for name in rows if not name.startswith("*")} == {"run", "tiny", "thickstun", "checkpoint"}
    assert rows["*Yang et al. 2020*"].endswith("| transformer complex |  |  |  |  |  |  |  | 74.2 |")
    assert {line.count("|") for line in rows.values()} == {11}
    ours = {folder.name: scores_of(folder) for folder in (first, second, third)}
    for name, scores in ours.items():
        assert rows[name].endswith(f"| {100 * scores['average_precision']:.1f} |  |")  # of 256 samples: not the paper's
        assert f" | {scores['parameters']:,} | " in rows[name]
    assert (
        " | deep complex | spectrum | whitening | crelu | 11025 | " in rows["tiny"]
        and f" | {3 * STEPS} | " in rows["tiny"]
    )
    assert (
        " | deep complex | compressed | whitening | crelu | 8000 | " in rows["checkpoint"]
        and " | ? | " in rows["checkpoint"]
    )
    best = max((first, second, third), key=lambda folder: ours[folder.name]["average_precision"])
    assert (tmp_path / "table" / "prediction.png").read_bytes() == (best / "prediction.png").read_bytes()


@pytest.mark.parametrize(
    ("changes", "cells"),
    [
        ({}, "deep complex | spectrum | whitening | crelu | 11025 | 1 | 2 | 50.0 | 72.9 |"),
        ({"complex": False}, "deep real | spectrum | batch | relu | 11025 | 1 | 2 | 50.0 | 69.6 |"),
        (
            {"architecture": "shallow", "front_end": "raw"},
            "shallow complex | raw | none | crelu | 11025 | 1 | 2 | 50.0 | 66.0 |",
        ),
        ({"sample_rate": 11000}, "deep complex | spectrum | whitening | crelu | 11000 | 1 | 2 | 50.0 | 72.9 |"),
        ({"norm": "naive"}, "deep complex | spectrum | naive | crelu | 11025 | 1 | 2 | 50.0 |  |"),
        ({"activation": "zrelu"}, "deep complex | spectrum | whitening | zrelu | 11025 | 1 | 2 | 50.0 |  |"),
        ({"front_end": "raw"}, "deep complex | raw | whitening | crelu | 11025 | 1 | 2 | 50.0 |  |"),
    ],
)
def test_the_published_figure_is_that_of_the_papers_network_only(
    changes: dict[str, Any], cells: str, tmp_path: Path
) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "prediction.png").touch()
    np.savez(mine / "curve.npz", precision=[1.0, 0.5], recall=[0.0, 1.0])
    model = to_dict(TranscriberConfig(**{"front_end": "spectrum", "outputs": 84, **changes}))
    scores = {"model": model, "parameters": 1, "windows": 2, "average_precision": 0.5}
    scores |= {"corpus": "musicnet", "split": "test", "frames": "paper", "recordings": {}}
    (mine / "scores.json").write_text(json.dumps(scores))
    assert f"| mine | {cells}" in run_script("musicnet/table", mine, "-o", tmp_path / "table")


def test_recordings_that_were_trained_on_are_refused_or_marked(
    run: Path, corpus: Path, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    words = (corpus, *cache_of(corpus), "-o", tmp_path / "results", "--extended", "--frames", "whole")
    assert "was trained on 1759 of the recordings to score" in refusal("musicnet/evaluate", run, *words)
    assert "does not record which" in refusal("musicnet/evaluate", tiny_checkpoint, *words)
    printed = run_script("musicnet/evaluate", run, *words, "--allow-trained")
    assert printed.count("(trained on)") == 1 and re.search(r"1759: AP [\d.]+ % \(trained on\)", printed)
    scores = scores_of(tmp_path / "results")
    assert scores["trained_on"] == ["1759"] and scores["chosen_by"] == []
    assert "(trained on 1 of 4) |" in run_script("musicnet/table", tmp_path / "results", "-o", tmp_path / "table")
    printed = run_script("musicnet/evaluate", tiny_checkpoint, *words, "--allow-trained")
    assert "is not recorded" in printed and scores_of(tmp_path / "results")["trained_on"] is None
    # What a network started from counts too.
    later = tmp_path / "later"
    shutil.copytree(run, later)
    record, experiment = (json.loads((later / name).read_text()) for name in ("data.json", "experiment.json"))
    (later / "data.json").write_text(json.dumps(record | {"train": [["1727"]]}))
    experiment["train"]["start"] = str(run)
    (later / "experiment.json").write_text(json.dumps(experiment))
    assert recordings_of(later) == {"train": ["1727", "1728", "1759"], "validation": ["2131", "2384"]}
    assert recordings_of(tiny_checkpoint) is None


def test_errors_are_one_sentence(run: Path, corpus: Path, tmp_path: Path) -> None:
    def evaluate(folder: Path, *words: object, network: object = run) -> str:
        return refusal("musicnet/evaluate", network, folder, *cache_of(folder), "-o", tmp_path / "results", *words)

    assert "There is no checkpoint" in evaluate(corpus, network=tmp_path / "nothing")
    only_test = write_folder(tmp_path / "a" / "short", [2303], 1.0)
    assert "2303 is too short for the frames 'paper'; score the whole of it with 'whole'" in evaluate(only_test)
    assert "holds no recording for validation" in evaluate(only_test, "--split", "validation")
    early = write_folder(tmp_path / "b" / "early", [2303], SECONDS)
    write_table([Label(0, 4410, 1, 60, 0.0, 1.0, "Quarter")], early / "test_labels" / "2303.csv")
    assert "Nothing sounds in the frames 'paper' of 2303" in evaluate(early)
    (tmp_path / "results").write_text("a file in the way")
    assert "cannot be written" in evaluate(corpus)
    assert "holds no scores" in refusal("musicnet/table", corpus, "-o", tmp_path / "table")


def test_learning_curves_name_the_epoch_whose_weights_count(run: Path, tmp_path: Path) -> None:
    printed = run_script("musicnet/learning_curves", run, "-o", tmp_path / "curves.png")
    found = re.match(r"tiny: best validation AP (\S+) % after epoch 1 of 1 \(4 steps\); last (\S+) %\n", printed)
    assert found and found[1] == found[2] and 0 < float(found[1]) < 100
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert "holds no training log" in refusal("musicnet/learning_curves", tmp_path)

"""The speech recipes from corpus to table, on synthetic corpora in the layouts of LibriSpeech and TIMIT."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import speech_table
import torch
from recipe_runs import RECIPES, refusal, run_script
from speech_lookalike import write_librispeech, write_timit

from audiocx.config import to_dict
from audiocx.data.corpora import librispeech, timit
from audiocx.data.corpora.speech import Utterance
from audiocx.io import audio
from audiocx.models import PredictorConfig
from audiocx.plots import figure
from audiocx.speech.metrics import resynthesize, segmental_snr_db
from audiocx.stft import BINS, log_power_db, stft
from audiocx.train.runs import open_trained

TINY = {"model.hidden": 2, "train.batch_size": 2, "train.epoch_steps": 1, "train.steps": 2}


@pytest.fixture(scope="module", autouse=True)
def small_pictures() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(figure, "DOTS_PER_INCH", 20)
        yield


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_librispeech(tmp_path_factory.mktemp("corpora") / "librispeech", speakers=4)


@pytest.fixture(scope="module")
def spheres(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_timit(tmp_path_factory.mktemp("corpora") / "timit", sentences=("sa1", "si648", "sx37"))


def cache_of(corpus: Path) -> tuple[str, Path]:
    return "--cache", corpus.parent / "cache"


def evaluate(corpus: Path, network: object, results: Path, *words: object) -> str:
    script = "timit/evaluate" if corpus.name == "timit" else "librispeech/evaluate"
    return run_script(script, network, corpus, *cache_of(corpus), "-o", results, "--device", "cpu", *words)


def scores_of(results: Path) -> dict[str, Any]:
    scores: dict[str, Any] = json.loads((results / "scores.json").read_text(encoding="utf-8"))
    return scores


@pytest.fixture(scope="module")
def runs(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two runs that differ in their seed, by the recipe's own command."""
    folder = tmp_path_factory.mktemp("runs")
    config = RECIPES / "librispeech" / "conf" / "complex-convlstm.toml"
    quick = ("--quiet", "--accelerator", "cpu", "--devices", "1")
    for seed in (0, 1):
        sets = [word for key, value in {**TINY, "train.seed": seed}.items() for word in ("--set", f"{key}={value}")]
        run_script("librispeech/train", config, corpus, *cache_of(corpus), "-o", folder / f"seed-{seed}", *sets, *quick)
    return [folder / "seed-0", folder / "seed-1"]


@pytest.fixture(scope="module")
def results(corpus: Path, runs: list[Path], tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """What evaluate.py wrote of the runs and of a baseline."""
    folder = tmp_path_factory.mktemp("results")
    for name in (*runs, "repeat"):
        evaluate(corpus, name, folder / Path(name).name, "--no-resynthesis")
    return [folder / Path(name).name for name in (*runs, "repeat")]


@pytest.fixture(scope="module")
def repeated(spheres: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """What evaluate.py wrote of a baseline on both parts of TIMIT, and what it printed."""
    folder = tmp_path_factory.mktemp("results") / "repeat"
    return folder, evaluate(spheres, "repeat", folder, "--padding", "wisdom")


# What is scored, frame by frame, from the recordings themselves.


def spectra_of(utterance: Utterance) -> tuple[np.ndarray, np.ndarray]:
    samples = np.round(audio.read(utterance.audio, 8000)[0] * 32768).astype(np.float32) / 32768
    return samples, stft(samples)


def squares(true: np.ndarray, predicted_db: np.ndarray) -> np.ndarray:
    return np.square(log_power_db(true[1:]) - predicted_db[:-1]).astype(np.float64)


def test_scores_equal_those_of_single_steps(corpus: Path, runs: list[Path], tmp_path: Path) -> None:
    printed = evaluate(corpus, runs[0], tmp_path / "results")
    scores = scores_of(tmp_path / "results")
    found = scores["splits"]["validation"]
    network = open_trained(str(runs[0])).network
    utterances = librispeech.split(librispeech.find_utterances(corpus)).validation
    errors, sounds = [], []
    for utterance in utterances:
        samples, true = spectra_of(utterance)
        frames, state = [], None
        with torch.inference_mode():
            for frame in torch.from_numpy(true):
                ahead, state = network.step(frame[None], state)
                frames.append(ahead[0].numpy())
        predicted = np.stack(frames)
        errors.append(squares(true, log_power_db(predicted)))
        sound = resynthesize(predicted, true, len(samples))
        sounds.append(segmental_snr_db(samples, sound, 8000))
    together, longest = np.concatenate(errors), max(map(len, errors))
    assert found["mse"]["valid"] == pytest.approx(together.mean().item(), rel=1e-4)
    assert found["mse"]["wisdom"] == pytest.approx(together.sum().item() / (len(errors) * longest * BINS), rel=1e-4)
    assert f"validation: MSE {found['mse']['valid']:.2f} dB^2 over valid frames, 2 utterances of 1 speakers" in printed
    rows = found["by_utterance"]
    assert [row["name"] for row in rows] == [utterance.name for utterance in utterances]
    assert [row["frames"] for row in rows] == [len(error) for error in errors]
    np.testing.assert_allclose([row["mse"] for row in rows], [error.mean() for error in errors], rtol=1e-4)
    np.testing.assert_allclose([row["segmental_snr_db"] for row in rows], sounds, atol=0.02)
    (speaker,) = {utterance.speaker for utterance in utterances}
    assert found["by_speaker"][speaker]["mse"] == pytest.approx(found["mse"]["valid"])
    assert found["segmental_snr_db"] == {"mean": pytest.approx(np.mean(sounds), abs=0.02), "utterances": 2}
    assert found["stoi"]["utterances"] == 2 and 0 < found["stoi"]["mean"] < 1 < found["pesq"]["mean"] < 5
    assert scores["parameters"] == sum(parameter.numel() for parameter in network.parameters())
    assert scores["frames_seen"] > 0 and scores["train"]["seed"] == 0 and scores["model"]["hidden"] == 2
    assert (tmp_path / "results" / "prediction.png").read_bytes().startswith(b"\x89PNG")


def test_baselines_are_fitted_to_the_training_data(spheres: Path, repeated: tuple[Path, str], tmp_path: Path) -> None:
    parts = timit.split(timit.find_utterances(spheres))
    learnt = np.concatenate([log_power_db(spectra_of(utterance)[1][1:]) for utterance in parts.train]).mean(0)
    mean = tmp_path / "mean"
    printed_mean = evaluate(spheres, "mean", mean, "--padding", "wisdom", "--no-resynthesis")
    for (folder, printed), parameters in ((repeated, 0), ((mean, printed_mean), BINS)):
        scores = scores_of(folder)
        assert scores["kind"] == "baseline" and scores["parameters"] == parameters
        assert list(scores["splits"]) == ["validation", "test"]
        for split, found in scores["splits"].items():
            true = [spectra_of(utterance)[1] for utterance in getattr(parts, split)]
            predicted = [np.broadcast_to(learnt, own.shape) if parameters else log_power_db(own) for own in true]
            expected = np.concatenate([squares(*pair) for pair in zip(true, predicted, strict=True)]).mean().item()
            assert found["mse"]["valid"] == pytest.approx(expected, rel=1e-4)
            assert f"{split}: MSE {found['mse']['wisdom']:.2f} dB^2 over padded frames" in printed
            assert len(found["by_speaker"]) == 2 and found["mse"]["wisdom"] < found["mse"]["valid"]
    assert "PESQ" in repeated[1] and "PESQ" not in printed_mean
    linear = evaluate(spheres, "linear-prediction", tmp_path / "linear", "--split", "test", "--no-resynthesis")
    assert "validation" not in linear and list(scores_of(tmp_path / "linear")["splits"]) == ["test"]


def test_utterances_that_cannot_be_scored_are_left_out_and_counted(repeated: tuple[Path, str]) -> None:
    """Some last less than the 0.4 s that STOI needs."""
    splits = scores_of(repeated[0])["splits"].values()
    for found in splits:
        scored_stoi = [row["stoi"] for row in found["by_utterance"] if row["stoi"] is not None]
        assert found["stoi"]["utterances"] == len(scored_stoi) and found["utterances"] == 4
        assert found["stoi"]["mean"] == (pytest.approx(np.mean(scored_stoi)) if scored_stoi else None)
    assert 0 < sum(found["stoi"]["utterances"] for found in splits) < 8


def test_the_table_has_mean_and_spread_of_seeds_and_published_figures(results: list[Path], tmp_path: Path) -> None:
    printed = run_script("librispeech/table", *results, "-o", tmp_path / "table")
    assert printed.strip() == (tmp_path / "table" / "table.md").read_text(encoding="utf-8").strip()
    first, second, repeat = (scores_of(folder)["splits"]["validation"]["mse"]["valid"] for folder in results)
    rows = {line.split(" | ")[0].removeprefix("| "): line for line in printed.splitlines() if line.startswith("|")}
    parameters = f"{scores_of(results[0])['parameters']:,}"
    mean_and_spread = f"{(first + second) / 2:.2f} ± {abs(first - second) / 2**0.5:.2f}"
    assert rows["complex ConvLSTM, hidden 2"].startswith(
        f"| complex ConvLSTM, hidden 2 | 2 | {parameters} | {mean_and_spread} |  |  |  |"
    )
    assert rows["repeat"].startswith(f"| repeat | 1 | 0 | {repeat:.2f} |  |  |  |")
    assert "| 14.56 | 14.66 |" in rows["full-capacity uRNN"] and "| 16.59 | 16.98 |" in rows["LSTM"]
    # Published figures stand beside networks that are the paper's, and this one is smaller.
    assert "| 11.10 | 12.18 |" in rows["real ConvLSTM"] and "| 10.78 | 11.90 |" in rows["complex ConvLSTM"]
    assert rows["seed-1"] == f"| seed-1 | 1 | {second:.2f} |  |" and "repeat | " not in printed.partition("seed-0")[2]
    assert "on LibriSpeech: 2 utterances for validation." in printed
    assert "The published figures are of TIMIT and cannot be compared with those on LibriSpeech." in printed
    assert (tmp_path / "table" / "learning_curves.png").read_bytes().startswith(b"\x89PNG")
    padded = run_script("librispeech/table", *results, "-o", tmp_path / "padded", "--padding", "wisdom")
    assert "over padded frames" in padded and f" {repeat:.2f} " not in padded


def test_only_networks_of_the_paper_have_published_figures() -> None:
    models = [PredictorConfig("urnn"), PredictorConfig("urnn", hidden=2), PredictorConfig("cgrnn")]
    scored = [
        {
            "name": f"run-{index}",
            "kind": "predictor",
            "model": to_dict(model),
            "train": {},
            "parameters": 7,
            "corpus": "TIMIT",
            "splits": {"test": {"utterances": 3, "mse": {"valid": 20.0 - index}}},
        }
        for index, model in enumerate(models)
    ]
    rows = speech_table.table(speech_table.grouped(scored)).splitlines()
    assert "| full-capacity uRNN | 1 | 7 |  | 20.00 | 14.56 | 14.66 |  |  |  |" in rows
    assert "| full-capacity uRNN, hidden 2 | 1 | 7 |  | 19.00 |  |  |  |  |  |" in rows
    assert "| cgRNN | 1 | 7 |  | 18.00 |  |  |  |  |  |" in rows
    assert sum("14.66" in row for row in rows) == 1 and sum("16.98" in row for row in rows) == 1


def test_the_table_of_timit_is_compared_with_the_published(repeated: tuple[Path, str], tmp_path: Path) -> None:
    printed = run_script("timit/table", repeated[0], "-o", tmp_path / "table")
    assert "on TIMIT: 4 utterances for validation, 4 utterances for test." in printed
    assert "cannot be compared" not in printed and "No learning curves" in printed
    row = next(line for line in printed.splitlines() if line.startswith("| repeat"))
    found = scores_of(repeated[0])["splits"]["test"]
    assert f"| {found['mse']['valid']:.2f} |" in row and f"| {found['segmental_snr_db']['mean']:.2f} |" in row


def test_runs_with_other_settings_do_not_share_a_row(results: list[Path], tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    scores = scores_of(results[0])
    scores["train"]["learning_rate"] *= 2
    (other / "scores.json").write_text(json.dumps(scores))
    printed = run_script("librispeech/table", results[0], other, "-o", tmp_path / "table")
    labels = re.findall(r"^\| (complex.*?) \| 1 \|", printed, re.MULTILINE)
    assert sorted(labels) == ["complex ConvLSTM, hidden 2 (other)", "complex ConvLSTM, hidden 2 (seed-0)"]


def test_errors_are_one_sentence(
    corpus: Path,
    runs: list[Path],
    results: list[Path],
    repeated: tuple[Path, str],
    tiny_checkpoint: Path,
    tmp_path: Path,
) -> None:
    def refused(network: object, *words: object) -> str:
        where = (corpus, *cache_of(corpus), "-o", tmp_path / "results", "--no-resynthesis")
        return refusal("librispeech/evaluate", network, *where, *words)

    assert "There is no checkpoint" in refused(tmp_path / "nothing")
    assert 'name one of kind "predictor"' in refused(tiny_checkpoint)
    assert "holds no recording for test; add some of its speakers" in refused("repeat", "--split", "test")
    assert "device 'nonsense'" in refused(runs[0], "--device", "nonsense")
    (tmp_path / "results").write_text("a file in the way")
    assert "cannot be written" in refused("repeat")
    assert "holds no scores" in refusal("librispeech/table", corpus, "-o", tmp_path / "table")
    unlike = refusal("librispeech/table", results[0], repeated[0], "-o", tmp_path / "table")
    assert "seed-0 and repeat were not scored on the same utterances for validation" in unlike

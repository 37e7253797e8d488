"""The recipe that scores packet loss concealment, on a synthetic corpus in the layout of LibriSpeech."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from recipe_runs import refusal, run_script
from speech_lookalike import write_librispeech
from speech_table import read_results

from audiocx.speech.concealment_evaluation import (
    METHODS,
)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_librispeech(tmp_path_factory.mktemp("corpora") / "librispeech", speakers=4, duration_s=1.5)


def test_the_scores_are_written_and_shown(corpus: Path, tiny_predictor: Path, tmp_path: Path) -> None:
    where = ("--cache", corpus.parent / "cache", "--device", "cpu", "--utterances", 1, "-o", tmp_path / "conceal")
    printed = run_script("librispeech/conceal", corpus, *where, tiny_predictor)
    scores = json.loads((tmp_path / "conceal" / "scores.json").read_text(encoding="utf-8"))
    assert list(scores["methods"]) == [*METHODS, str(tiny_predictor)]
    assert (scores["kind"], scores["split"], scores["seed"], scores["utterances"]) == (
        "concealment",
        "validation",
        0,
        1,
    )
    rows = [line for line in printed.splitlines() if line.startswith("| ")]
    assert rows[0].startswith("| gaps filled with | PESQ, 16 ms | PESQ, 32 ms |") and len(rows) == 6
    for row, (name, found) in zip(rows[1:], scores["methods"].items(), strict=True):
        assert list(found) == ["16", "32", "48", "64"]
        figures = [f"{found[ms]['pesq']:.2f}" for ms in found] + [f"{found[ms]['mse']:.1f}" for ms in found]
        assert row == f"| {name} | {' | '.join(figures)} |"
    by_ms = {name: [own["mse"] for own in found.values()] for name, found in scores["methods"].items()}
    # Even noise is closer to its last frame than to silence.
    assert all(
        of_frame < of_nothing
        for of_frame, of_nothing in zip(by_ms["the last frame again"], by_ms["silence"], strict=True)
    )
    refused = refusal("librispeech/table", tmp_path / "conceal", "-o", tmp_path / "table")
    assert "scores of concealment only" in refused
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "scores.json").write_text('{"splits": {}}')
    # As results/* names them.
    assert [other["name"] for other in read_results([tmp_path / "conceal", tmp_path / "other"])] == ["other"]


def test_scores_are_there_although_nobody_reads_the_table(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def closed(*words: object) -> None:
        raise RuntimeError("nobody reads")

    monkeypatch.setattr("builtins.print", closed)
    where = ("--cache", corpus.parent / "cache", "--device", "cpu", "--utterances", 1, "-o", tmp_path / "conceal")
    with pytest.raises(RuntimeError, match="nobody reads"):
        run_script("librispeech/conceal", corpus, *where)
    assert json.loads((tmp_path / "conceal" / "scores.json").read_text())["kind"] == "concealment"


def test_errors_are_one_sentence(corpus: Path, tiny_checkpoint: Path, tmp_path: Path) -> None:
    where = (corpus, "--cache", corpus.parent / "cache", "-o", tmp_path / "conceal")
    assert 'name one of kind "predictor"' in refusal("librispeech/conceal", *where, tiny_checkpoint)
    assert "There is no checkpoint" in refusal("librispeech/conceal", *where, "nothing")
    assert "device 'nonsense'" in refusal("librispeech/conceal", *where, "--device", "nonsense")
    with pytest.raises(SystemExit) as ended:
        run_script("librispeech/conceal", *where, "--utterances", 0)
    assert ended.value.code == 2 and not (tmp_path / "conceal").exists()

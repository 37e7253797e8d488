"""``audiocx train``: any network on any folder, and runs that know their recordings."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import soundfile
from tiny_corpus import write_corpus
from training_runs import TINY_NOTES as EXPERIMENT
from training_runs import checkpoint

from audiocx.cli import main
from audiocx.train.runs import DATA_RECORD


def test_a_network_is_trained_on_folders_and_its_run_keeps_to_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    corpus, config, run = write_corpus(tmp_path / "corpus"), tmp_path / "notes.toml", tmp_path / "run"
    config.write_text(EXPERIMENT)
    quick = ["-q", "--no-compile", "--accelerator", "cpu", "--devices", "1", "--cache", str(tmp_path / "cache")]
    words = ["train", str(config), str(corpus), "-o", str(run), *quick]
    assert main(words) == 0
    assert capsys.readouterr().out == f"best: {run / 'best.ckpt'}\n"
    record = json.loads((run / DATA_RECORD).read_text())
    assert record["corpus"] == "MAPS" and record["validation"] == [["MAPS_MUS-etude_AkPnBcht"]]
    assert checkpoint(run / "last.ckpt")["global_step"] == 2
    (tmp_path / "file").touch()  # where no folder can be made
    words_elsewhere = [str(tmp_path / "file") if word == str(run) else word for word in words]
    assert main(words_elsewhere) == 1 and "cannot hold a run" in capsys.readouterr().err
    # The same recordings elsewhere are the same; others are refused.
    corpus = corpus.rename(tmp_path / "moved")
    assert main([word.replace("corpus", "moved") if word.endswith("/corpus") else word for word in words]) == 0
    # So are others of the same names, such as another render.
    first = next(path for path in corpus.rglob("*.wav") if "AkPnBcht" not in path.name)
    content = first.read_bytes()
    soundfile.write(first, soundfile.read(first)[0][:-999], 11025)
    again = [word.replace("corpus", "moved") if word.endswith("/corpus") else word for word in words]
    assert main(again) == 1 and "other recordings of the same names" in capsys.readouterr().err
    first.write_bytes(content)
    first.unlink()
    moved = [str(corpus) if word == str(tmp_path / "corpus") else word for word in words]
    assert main(moved) == 1
    error = capsys.readouterr().err
    assert "holds a run on other recordings (MAPS, " in error and "start over with --fresh" in error
    assert error.count("\n") == 1
    (run / DATA_RECORD).write_text("{")
    assert main(moved) == 1 and "is damaged" in capsys.readouterr().err
    # Runs of earlier versions have no record.
    (run / DATA_RECORD).unlink()
    assert main(moved) == 0 and not (run / DATA_RECORD).exists()
    assert main([*moved, "--fresh"]) == 0
    assert sum(map(len, json.loads((run / DATA_RECORD).read_text())["train"])) < sum(map(len, record["train"]))


def test_what_cannot_be_trained_is_said_in_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "notes.toml"
    for text, folder, message in (
        (EXPERIMENT, tmp_path / "missing", "missing"),
        (EXPERIMENT + "epochs = 3\n", tmp_path, "unknown key 'epochs'"),
        ('kind = "nonsense"\n', tmp_path, "kind is one of"),
        (EXPERIMENT, tmp_path, "holds no"),
    ):
        config.write_text(text)
        assert main(["train", str(config), str(folder), "--validation", str(tmp_path)]) == 1
        error = capsys.readouterr().err
        assert message in error and error.startswith("audiocx: error: ") and error.count("\n") == 1

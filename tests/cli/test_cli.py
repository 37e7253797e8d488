from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

import audiocx
from audiocx.api import load_transcriber
from audiocx.cli import main
from audiocx.cli.transcribe import FORMATS
from audiocx.errors import AudioError, DataError
from audiocx.io import midi, note_tables
from audiocx.music.evaluation import read_piece
from audiocx.music.metrics import evaluate, format_table
from audiocx.notes import Note

SineFile = Callable[..., Path]
ROOT = Path(audiocx.__file__).parents[1]


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    yield


def names() -> list[str]:
    return sorted(path.name for path in Path().iterdir())


def test_writes_midi_into_the_current_folder(
    sine_file: SineFile, tiny_checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["transcribe", str(sine_file("song.wav")), "-m", str(tiny_checkpoint)]) == 0
    out, err = capsys.readouterr()
    assert names() == ["song.mid"] and err == ""
    assert out.count("\n") == 1 and "song.wav: 1 note in 1.0 s" in out and "song.mid" in out and "x real time" in out
    assert [note.midi_note for note in midi.read_midi("song.mid")] == [69]


def test_writes_every_format(sine_file: SineFile, tiny_checkpoint: Path) -> None:
    command = ["transcribe", str(sine_file("song.wav")), "-m", str(tiny_checkpoint), "-o", "new/folder", "--list"]
    assert main([*command, "--format", ",".join(FORMATS)]) == 0
    written = {path.name: path for path in Path("new/folder").iterdir()}
    assert set(written) == {f"song{suffix}" for suffix in FORMATS.values()}
    notes = note_tables.read_table(written["song.csv"])
    content = json.loads(written["song.json"].read_text())
    assert len(notes) == 1 and [Note(**row) for row in content["notes"]] == notes
    assert content["metadata"] == {
        "source": "song.wav", "duration_s": 1.0, "tuning_cents": 0.0
    }  # fmt: skip
    with np.load(written["song.npz"]) as archive:
        assert archive["probabilities"].dtype == np.float32 and archive["probabilities"].shape[1] == 88
        assert archive["frame_rate"] > 0 and archive["lowest_note"] == 21
    assert written["song.png"].read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert soundfile.info(written["song.notes.wav"]).duration == pytest.approx(1.0, abs=0.2)


def test_sonify_adds_the_sound_and_list_prints_the_notes(
    sine_file: SineFile, tiny_checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["transcribe", str(sine_file("song.wav")), "-m", str(tiny_checkpoint), "--sonify", "--list", "-q"]) == 0
    assert names() == ["song.mid", "song.notes.wav"]
    header, note = capsys.readouterr().out.splitlines()
    assert header.split() == ["onset_s", "length_s", "note", "midi", "velocity"] and note.split()[2:4] == ["A4", "69"]


def test_the_options_reach_the_network(sine_file: SineFile, tiny_checkpoint: Path) -> None:
    command = ["transcribe", str(sine_file("song.wav")), "-m", str(tiny_checkpoint), "--format", "csv", "--overwrite"]
    for options, count in ((["--threshold", "0.9999"], 0), (["--min-note", "1500"], 0), (["--min-note", "900"], 1)):
        assert main([*command, *options]) == 0
        assert len(note_tables.read_table("song.csv")) == count, options


def test_the_tuning_is_estimated_printed_and_corrected(
    tiny_checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    time_s = np.arange(5 * 8000) / 8000
    soundfile.write("song.wav", sum(0.2 * np.sin(2 * np.pi * 452 * k * time_s) for k in (1, 2, 3)), 8000)
    command = ["transcribe", "song.wav", "-m", str(tiny_checkpoint), "--format", "json", "--overwrite"]
    found = []
    for options in ([], ["--tuning", "auto"], ["--tuning", "0"], ["--tuning", "-31.8"]):
        assert main([*command, *options]) == 0
        metadata = json.loads(Path("song.json").read_text())["metadata"]
        assert metadata["duration_s"] == 5.0
        found.append((metadata["tuning_cents"], *re.findall(r", A4 at (\d+) Hz ", capsys.readouterr().out)))
    cents = pytest.approx(46.6, abs=1)
    assert found == [(cents, "452"), (cents, "452"), (0.0,), (-31.8, "432")]


@pytest.mark.parametrize("tempo", [60.0, 97.3, 200.0])
def test_the_tempo_is_stated_and_the_times_stay(sine_file: SineFile, tiny_checkpoint: Path, tempo: float) -> None:
    import pretty_midi

    path = sine_file("song.wav", duration_s=2.0)
    assert main(["transcribe", str(path), "-m", str(tiny_checkpoint), "--tempo", str(tempo), "-f", "midi,csv"]) == 0
    assert pretty_midi.PrettyMIDI("song.mid").get_tempo_changes()[1][0] == pytest.approx(tempo, rel=1e-4)
    (in_midi,), (in_csv,) = midi.read_midi("song.mid"), note_tables.read_table("song.csv")
    assert in_midi.onset_s == pytest.approx(in_csv.onset_s, abs=2e-3)
    assert in_midi.offset_s == pytest.approx(in_csv.offset_s, abs=2e-3)


def test_quantize_moves_the_notes_of_the_midi_file_alone(sine_file: SineFile, tiny_checkpoint: Path) -> None:
    path = sine_file("song.wav", duration_s=2.0)
    command = ["transcribe", str(path), "-m", str(tiny_checkpoint), "-f", "midi,csv", "--overwrite"]
    (performed,), exact = _notes_of([*command, "--min-note", "100"])
    for options, beat in (([], 1 / 4), (["3"], 1 / 3), (["1"], 1)):
        (in_midi,), in_csv = _notes_of([*command, "--tempo", "90", "--quantize", *options])
        places = (in_midi.offset_s - in_midi.onset_s) / (beat * 60 / 90)
        assert places == pytest.approx(round(places), abs=1e-3) and in_csv == exact
        assert in_midi.onset_s == pytest.approx(performed.onset_s, abs=0.03)


def _notes_of(command: list[str]) -> tuple[list[Note], list[Note]]:
    assert main(command) == 0
    return midi.read_midi("song.mid"), note_tables.read_table("song.csv")


def test_existing_outputs_stay_unless_asked_and_no_network_is_loaded_for_that(
    sine_file: SineFile, tiny_checkpoint: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = sine_file("song.wav")
    Path("song.mid").write_text("mine")
    with monkeypatch.context() as patch:
        patch.setattr("audiocx.api.load_transcriber", lambda *_: pytest.fail("the network was loaded"))
        assert main(["transcribe", str(path), "-m", str(tiny_checkpoint), "-f", "csv,midi"]) == 1
    assert "--overwrite" in capsys.readouterr().err
    assert names() == ["song.mid"] and Path("song.mid").read_text() == "mine"
    assert main(["transcribe", str(path), "-m", str(tiny_checkpoint), "-f", "csv,midi", "--overwrite"]) == 0
    assert len(midi.read_midi("song.mid")) == 1


def test_only_empty_folders_that_the_run_made_are_removed(sine_file: SineFile, tiny_checkpoint: Path) -> None:
    Path("mine").mkdir()
    for folder in ("mine/new/inner", "mine"):
        assert main(["transcribe", "missing.wav", "-m", str(tiny_checkpoint), "-o", folder]) == 1
        assert names() == ["mine"] and not list(Path("mine").iterdir())
    assert (
        main(["transcribe", str(sine_file()), "missing.wav", "-m", str(tiny_checkpoint), "-o", "mine/new/inner"]) == 1
    )
    assert [path.suffix for path in Path("mine/new/inner").iterdir()] == [".mid"]


def test_a_folder_that_another_run_removed_is_made_again(
    sine_file: SineFile, tiny_checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def remove_and_load(*_: object) -> Any:
        Path("new").rmdir()
        return load_transcriber(tiny_checkpoint, "cpu")

    monkeypatch.setattr("audiocx.api.load_transcriber", remove_and_load)
    assert main(["transcribe", str(sine_file()), "-o", "new"]) == 0
    assert [path.suffix for path in Path("new").iterdir()] == [".mid"]


def test_two_recordings_of_one_name_do_not_overwrite_one_another(
    tiny_checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for folder, seconds in (("a", 1), ("b", 2)):
        Path(folder).mkdir()
        soundfile.write(f"{folder}/song.wav", np.zeros(8000 * seconds), 8000)
    files = ["a/song.wav", "b/song.wav"]
    assert main(["transcribe", *files, "-m", str(tiny_checkpoint), "--overwrite", "-f", "csv"]) == 1
    out, err = capsys.readouterr()
    assert err.startswith("audiocx: error: b/song.wav") and "a/song.wav" in err
    assert note_tables.read_table("song.csv")[0].offset_s < 1.5 and out.count("\n") == 1


def test_a_recording_is_never_its_own_output(tiny_checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> None:
    soundfile.write("song.notes.wav", np.zeros(800), 8000)
    Path("song.wav").symlink_to("song.notes.wav")
    before = Path("song.notes.wav").read_bytes()
    assert main(["transcribe", "song.wav", "-m", str(tiny_checkpoint), "--sonify", "--overwrite"]) == 1
    assert "its own output" in capsys.readouterr().err and Path("song.notes.wav").read_bytes() == before


def test_a_folder_where_the_output_should_go(
    sine_file: SineFile, tiny_checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("song.mid").mkdir()
    assert main(["transcribe", str(sine_file("song.wav")), "-m", str(tiny_checkpoint), "--overwrite"]) == 1
    assert "is a folder" in capsys.readouterr().err


def test_a_bad_file_among_many_is_reported_and_the_rest_done(
    sine_file: SineFile, tiny_checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    soundfile.write("nan.wav", np.full(800, np.nan), 8000, subtype="FLOAT")
    files = [str(sine_file("one.wav")), "missing.wav", "nan.wav", str(sine_file("two.wav"))]
    assert main(["transcribe", *files, "-m", str(tiny_checkpoint)]) == 1
    out, err = capsys.readouterr()
    assert names() == ["nan.wav", "one.mid", "two.mid"] and out.count("\n") == 2
    assert err.count("audiocx: error: ") == 2 and "missing.wav" in err and "nan.wav" in err


def test_quiet_prints_nothing(sine_file: SineFile, tiny_checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["transcribe", str(sine_file()), "-m", str(tiny_checkpoint), "-q"]) == 0
    assert capsys.readouterr() == ("", "")


def test_debug_shows_the_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", "missing.wav", "--debug"]) == 1
    err = capsys.readouterr().err
    assert "Traceback" in err and AudioError.__name__ in err and err.splitlines()[-1].startswith("audiocx: error: ")
    assert main(["info", "missing.wav"]) == 1
    assert "Traceback" not in capsys.readouterr().err


def test_interrupting_leaves_nothing(
    sine_file: SineFile, tiny_checkpoint: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("audiocx.music.window_transcriber.WindowTranscriber.probabilities", interrupt)
    assert main(["transcribe", str(sine_file()), "-m", str(tiny_checkpoint)]) == 130
    assert names() == [] and capsys.readouterr() == ("", "audiocx: interrupted\n")


@pytest.mark.parametrize(
    ("module", "raised"),
    [
        ("audiocx.cli", "KeyboardInterrupt"),
        ("onnxruntime", "KeyboardInterrupt"),
        ("onnxruntime", "ImportError('initialization failed') from KeyboardInterrupt()"),  # as native modules do
    ],
)
def test_ctrl_c_during_an_import_is_one_line(module: str, raised: str) -> None:
    code = f"""
import sys
from importlib.machinery import ModuleSpec
from audiocx.__main__ import main
class Interrupted:
    def find_spec(self, name, *_):
        return ModuleSpec(name, self) if name == {module!r} else None
    def create_module(self, spec):
        return None
    def exec_module(self, module):
        raise {raised}
sys.meta_path.insert(0, Interrupted())
main()
"""
    words = [sys.executable, "-c", code, "transcribe", str(ROOT / "examples" / "grieg_watchmans_song.flac")]
    done = subprocess.run(words, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "audiocx: interrupted\n")


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["nonsense"],
        ["transcribe"],
        ["transcribe", "a.wav", "--format", "mid"],
        ["transcribe", "a.wav", "--format", ","],
        ["transcribe", "a.wav", "--threshold", "1"],
        ["transcribe", "a.wav", "--threshold", "nan"],
        ["transcribe", "a.wav", "--min-note", "-5"],
        ["transcribe", "a.wav", "--tempo", "fast"],
        ["transcribe", "a.wav", "--tempo", "0"],
        ["transcribe", "a.wav", "--quantize", "0"],
        ["transcribe", "a.wav", "--quantize", "13"],
        ["transcribe", "--quantize", "a.wav"],
        ["transcribe", "a.wav", "--tuning", "101"],
        ["transcribe", "a.wav", "--tuning", "nan"],
        ["transcribe", "a.wav", "--tuning", "440Hz"],
    ],
)
def test_wrong_usage_is_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_info:
        main(arguments)
    assert exit_info.value.code == 2 and "error: " in capsys.readouterr().err


def test_a_file_after_quantize_gets_advice(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["transcribe", "--quantize", "a.wav"])
    message = "'a.wav' is not a whole number from 1 to 12; without one, write the files first"
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("command", [[], ["transcribe"], ["predict"], ["models"], ["evaluate"], ["export"], ["info"]])
def test_help_is_there(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_info:
        main([*command, "--help"])
    out = capsys.readouterr().out
    assert exit_info.value.code == 0 and out.startswith("usage: audiocx")
    assert max(map(len, out.splitlines())) <= 120


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--version"])
    assert capsys.readouterr().out == f"audiocx {audiocx.__version__}\n"


def test_a_device_that_is_not_there(
    sine_file: SineFile, tiny_checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["transcribe", str(sine_file()), "-m", str(tiny_checkpoint), "--device", "cuda:99"]) == 1
    assert "'cuda:99' is not available" in capsys.readouterr().err


@pytest.mark.parametrize("kept", [0.3, 0.99])
def test_info_sees_that_a_flac_file_is_cut_short(
    kept: float, sine_file: SineFile, capsys: pytest.CaptureFixture[str]
) -> None:
    path = sine_file("a.flac", duration_s=5)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * kept)])
    assert main(["info", str(path)]) == 1
    out, err = capsys.readouterr()
    assert not out and re.fullmatch(r"audiocx: error: .*a\.flac: is cut short .* states 5\.00 s, whose end .*\n", err)


def test_info_prints_a_line_a_file(sine_file: SineFile, capsys: pytest.CaptureFixture[str]) -> None:
    path = sine_file("a.flac", rate=48000, duration_s=0.5, channels=2)
    assert main(["info", str(path), "missing.wav"]) == 1
    out, err = capsys.readouterr()
    assert out == f"{path}: 0.50 s, 48000 Hz, 2 channels, 24000 frames, FLAC PCM_16\n" and "missing.wav" in err


def test_models_prints_a_table(
    tiny_checkpoint: Path,
    tiny_predictor: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("audiocx.checkpoints.available", lambda: {"one": tiny_predictor, "two": tiny_checkpoint})
    monkeypatch.setattr("audiocx.checkpoints.DEFAULT", "two")
    assert main(["models"]) == 0
    header, first, second, *legend = capsys.readouterr().out.splitlines()
    assert header.split()[:4] == ["name", "kind", "score", "size"] and "default" in legend[0]
    assert first.split()[:5] == ["*", "two", "transcriber", "AP", "0.500"] and first.endswith(
        "hears an A in everything"
    )
    assert second.split()[:4] == ["one", "predictor", "MSE", "99.00"] and second.endswith("guesses")


@pytest.mark.parametrize("command", ["transcribe", "predict"])
@pytest.mark.parametrize("name", ["song.wav", "song.mp3"])
def test_a_recording_is_opened_twice_by_each_reader(
    sine_file: SineFile,
    tiny_checkpoint: Path,
    tiny_predictor: Path,
    monkeypatch: pytest.MonkeyPatch,
    command: str,
    name: str,
) -> None:
    """Once to check it before the network is loaded, once to read it."""
    path, opened = str(sine_file(name)), []

    def counted(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(file: Any, *arguments: Any, **keywords: Any) -> Any:
            opened.append(str(file))
            return function(file, *arguments, **keywords)

        return call

    class Counted(soundfile.SoundFile):
        def __init__(self, file: Any, *arguments: Any, **keywords: Any) -> None:
            opened.append(str(file))
            super().__init__(file, *arguments, **keywords)

    monkeypatch.setattr(soundfile, "SoundFile", Counted)
    monkeypatch.setattr("builtins.open", counted(open))
    monkeypatch.setattr("io.open", counted(io.open))
    model = tiny_checkpoint if command == "transcribe" else tiny_predictor
    assert main([command, path, "-m", str(model), "-q"]) == 0
    # Its layout is read by open, its sound by soundfile.
    assert opened.count(path) == 4


def test_as_a_module_and_piped_it_is_quiet_on_stderr(sine_file: SineFile, tiny_checkpoint: Path) -> None:
    command = [sys.executable, "-m", "audiocx", "transcribe", str(sine_file("song.wav")), "-m", str(tiny_checkpoint)]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert done.returncode == 0 and done.stderr == "" and done.stdout.count("\n") == 1
    assert names() == ["song.mid"]


def test_a_closed_pipe_is_no_traceback(sine_file: SineFile) -> None:
    command = [sys.executable, "-m", "audiocx", "info", str(sine_file())]
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(ROOT)})
    os.close(writer)
    assert done.returncode == 1 and done.stderr == b""


@pytest.fixture
def labelled() -> Path:
    """Two seconds in which, say the labels, an A sounds all the time: as the tiny network says of everything."""
    folder = Path("labelled")
    folder.mkdir()
    for name in ("one", "two"):
        soundfile.write(folder / f"{name}.wav", np.zeros(16000), 8000)
    (folder / "one.tsv").write_text("onset_s\toffset_s\tmidi_note\tvelocity\n0.0\t2.0\t69\t80\n")
    for name in ("one", "two"):
        midi.write_midi([Note(0.0, 69, 2.0)], folder / f"{name}.mid")
    soundfile.write(folder / "unlabelled.wav", np.zeros(800), 8000)
    return folder


@pytest.mark.skipif(os.name == "nt", reason="closes streams as POSIX shells do")
@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams_stop_nothing(sine_file: SineFile, tmp_path: Path, closed: str) -> None:
    command = f'"$0" -W error -m audiocx info "$1" {closed}'
    words = ["sh", "-c", command, sys.executable, str(sine_file("a.wav"))]
    done = subprocess.run(words, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert (done.returncode, done.stderr) == (0, "") and (" >&-" in f" {closed}" or "a.wav: " in done.stdout)


def test_evaluate_scores_a_folder(labelled: Path, tiny_checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["evaluate", str(labelled), "-m", str(tiny_checkpoint), "-o", "scores.json"]
    assert main(command) == 0
    out, err = capsys.readouterr()
    said, table = out.splitlines()[:3], out.splitlines()[5:]
    assert [line.split("|")[1].strip() for line in table] == ["one", "two", "overall"] and err == ""
    assert said == [
        "one.wav: 1 notes of one.tsv (table); ignored: one.mid",
        "two.wav: 1 notes of two.mid (MIDI, with the sustain pedal)",
        "without labels, and left out: unlabelled.wav",
    ]
    scores = json.loads(Path("scores.json").read_text())
    assert [row["labels"] for row in scores["pieces"]] == ["one.tsv", "two.mid"]
    assert scores["network"]["checkpoint"] == "tiny" and scores["without_labels"] == ["unlabelled.wav"]
    for key in ("average_precision", "frame_f1", "note_f1"):
        assert scores["overall"][key] == pytest.approx(1.0, abs=0.01), key
    assert main(command) == 1
    assert "--overwrite" in capsys.readouterr().err


def test_scores_can_be_computed_again_from_what_evaluate_saved(labelled: Path, tiny_checkpoint: Path) -> None:
    (labelled / "deeper").mkdir()
    for suffix in (".wav", ".mid"):
        (labelled / f"two{suffix}").rename(labelled / "deeper" / f"two{suffix}")
    command = ["evaluate", str(labelled), "-m", str(tiny_checkpoint), "-q", "--save", "new/scored"]
    assert main(command) == 0
    saved = sorted(path for path in Path("new/scored").rglob("*") if path.is_file())
    assert [str(path.relative_to("new/scored")) for path in saved] == [
        "deeper/two.wav.csv", "deeper/two.wav.npz", "one.wav.csv", "one.wav.npz", "scores.json", "table.md"
    ]  # fmt: skip
    pieces = [read_piece(path) for path in saved if path.suffix == ".npz"]
    again, scores = evaluate(pieces).to_dict(), json.loads(Path("new/scored/scores.json").read_text())
    assert again["overall"] == scores["overall"] and scores["overall"]["note_f1"] > 0
    assert all(own.items() <= row.items() for own, row in zip(again["pieces"], scores["pieces"], strict=True))
    assert format_table([*again["pieces"], again["overall"]]) + "\n" == Path("new/scored/table.md").read_text()
    (written,), (estimated,) = note_tables.read_table("new/scored/one.wav.csv"), pieces[1].estimated
    assert written == replace(estimated, offset_s=round(estimated.offset_s, 6))
    assert main(command) == 1 and main([*command, "--overwrite"]) == 0
    with pytest.raises(DataError, match="is no piece"):
        read_piece("new/scored/scores.json")


def test_evaluate_has_saved_its_scores_when_nobody_reads_them(labelled: Path, tiny_checkpoint: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "audiocx", "evaluate", str(labelled), "-m", str(tiny_checkpoint), "-o", "a.json"]
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(ROOT)})
    os.close(writer)
    assert done.returncode == 1 and done.stderr == b""
    assert len(json.loads(Path("a.json").read_text())["pieces"]) == 2


def test_evaluate_reports_a_bad_recording_and_scores_the_rest(
    labelled: Path, tiny_checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (labelled / "one.tsv").write_text("0.0\tnonsense\t69\n")
    assert main(["evaluate", str(labelled), "-m", str(tiny_checkpoint)]) == 1
    out, err = capsys.readouterr()
    assert "one.tsv, line 1" in err and "| two " in out and "| one " not in out


def test_evaluate_without_labels(tmp_path: Path, tiny_checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for folder, said in ((tmp_path, "no recording with a label file"), (tmp_path / "none", "not a folder")):
        assert main(["evaluate", str(folder), "-m", str(tiny_checkpoint)]) == 1
        assert said in capsys.readouterr().err


def test_evaluate_looks_for_the_folder_first(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "mir_eval", None)
    assert main(["evaluate", "nope"]) == 1
    assert capsys.readouterr().err == "audiocx: error: nope: is not a folder; name one that holds recordings.\n"


def test_evaluate_says_what_is_not_installed(
    labelled: Path, tiny_checkpoint: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "mir_eval", None)  # as if not installed
    assert main(["evaluate", str(labelled), "-m", str(tiny_checkpoint)]) == 1
    assert "audiocx[evaluate]" in capsys.readouterr().err

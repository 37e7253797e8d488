from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from audiocx.api import conceal
from audiocx.cli import main

GAPS = [(0.3, 0.35), (0.6, 0.632)]


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    yield


def call(name: str, rate: int = 16000, channels: int = 1, lost: bool = True, subtype: str | None = None) -> Path:
    """A second of noise that never is zero but in the gaps."""
    drawn = np.random.default_rng(0).uniform(0.01, 0.3, (rate, channels))
    for start_s, end_s in GAPS if lost else []:
        drawn[round(start_s * rate) : round(end_s * rate)] = 0
    path = Path("calls") / name
    path.parent.mkdir(exist_ok=True)
    soundfile.write(path, drawn, rate, subtype)
    return path


def written() -> list[str]:
    return sorted(path.name for path in Path().iterdir() if path.is_file())


def test_gaps_are_found_and_filled(tiny_predictor: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = call("call.flac", 44100, 2)
    assert main(["conceal", str(path), "-m", str(tiny_predictor)]) == 0
    out, err = capsys.readouterr()
    assert err == "" and out.count("\n") == 1 and written() == ["call.concealed.wav"]
    assert out.startswith(f"{path}: 2 gaps, 82 ms in 1.0 s of sound (") and out.endswith("-> call.concealed.wav\n")
    about = soundfile.info("call.concealed.wav")
    assert (about.samplerate, about.channels, about.frames, about.subtype) == (44100, 2, 44100, "PCM_16")
    lost, _ = soundfile.read(path, dtype="int16")
    concealed, _ = soundfile.read("call.concealed.wav", dtype="int16")
    outside = np.ones(44100, bool)
    for start_s, end_s in GAPS:
        outside[round((start_s - 0.0041) * 44100) : round((end_s + 0.0041) * 44100)] = False
        assert concealed[round(start_s * 44100) : round(end_s * 44100)].any()
    np.testing.assert_array_equal(concealed[outside], lost[outside])


def test_a_gap_in_one_channel_is_filled_there_alone(tiny_predictor: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = call("call.wav", 16000, 2, lost=False)
    samples, _ = soundfile.read(path, dtype="float32")
    samples[8000:8800, 1] = 0
    soundfile.write(path, samples, 16000)
    assert main(["conceal", str(path), "-m", str(tiny_predictor), "-f", "wav,png"]) == 0
    assert "1 gap, 50 ms (channel 1: 0, channel 2: 1) in 1.0 s of sound" in capsys.readouterr().out
    lost, concealed = (soundfile.read(name, dtype="int16")[0] for name in (path, "call.concealed.wav"))
    np.testing.assert_array_equal(concealed[:, 0], lost[:, 0])
    assert concealed[8000:8800, 1].any()


def test_the_level_of_gaps_is_an_option(tiny_predictor: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = call("call.wav", lost=False)
    samples, _ = soundfile.read(path, dtype="float32")
    samples[8000:8800] = 0.155 + 0.1 * (samples[8000:8800] - 0.155)  # 20 dB less
    soundfile.write(path, samples, 16000)
    command = ["conceal", str(path), "-m", str(tiny_predictor), "--overwrite"]
    for level, said in (("25", "no gaps"), ("18", "1 gap, ")):
        assert main([*command, "--gap-level", level]) == 0 and said in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main([*command, "--gap-level", "5"])


@pytest.mark.parametrize(
    ("subtype", "kept"),
    [("PCM_16", "PCM_16"), ("PCM_24", "PCM_24"), ("FLOAT", "FLOAT"), ("PCM_U8", "PCM_16"), ("DOUBLE", "PCM_16")],
)
def test_encodings_that_are_common_are_kept(tiny_predictor: Path, subtype: str, kept: str) -> None:
    path = call("call.wav", 8000, subtype=subtype)
    assert main(["conceal", str(path), "-m", str(tiny_predictor), "--gaps", "0.1-0.15", "-q"]) == 0
    assert soundfile.info("call.concealed.wav").subtype == kept
    before, after = (soundfile.read(name, dtype="float64")[0] for name in (path, "call.concealed.wav"))
    np.testing.assert_allclose(after[:700], before[:700], atol=0 if kept == subtype else 2**-15, rtol=0)


def test_floating_point_beyond_full_scale_stays(tiny_predictor: Path) -> None:
    soundfile.write("loud.wav", np.linspace(-3, 3, 8000), 8000, subtype="FLOAT")
    assert main(["conceal", "loud.wav", "-m", str(tiny_predictor), "--gaps", "0.5-0.51", "-q"]) == 0
    before, after = (soundfile.read(name, dtype="float32")[0] for name in ("loud.wav", "loud.concealed.wav"))
    np.testing.assert_array_equal(before[:3900], after[:3900])


def test_gaps_named_in_a_list_or_a_file(tiny_predictor: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = call("call.wav", lost=False)
    Path("gaps.txt").write_text("# lost packets\n0.3 0.35\n\n  0.6\t0.632   # another\n")
    for gaps in ("0.3-0.35,0.6-0.632", " .3-.35, 0.6 - 0.632", "gaps.txt"):
        assert main(["conceal", str(path), "-m", str(tiny_predictor), "--gaps", gaps, "--overwrite"]) == 0
        assert "2 gaps, 82 ms in" in capsys.readouterr().out
        samples, _ = soundfile.read(path, dtype="float32")
        expected = conceal(samples, GAPS, tiny_predictor, "cpu", sample_rate=16000)
        np.testing.assert_allclose(soundfile.read("call.concealed.wav")[0], expected, atol=2**-15)


def test_a_recording_without_gaps_is_copied_and_that_is_said(
    tiny_predictor: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = call("call.wav", lost=False)
    assert main(["conceal", str(path), "-m", str(tiny_predictor), "-o", "whole", "-f", "wav,png"]) == 0
    assert f"{path}: no gaps in 1.0 s of sound" in capsys.readouterr().out
    np.testing.assert_array_equal(soundfile.read(path)[0], soundfile.read("whole/call.concealed.wav")[0])
    assert Path("whole/call.concealed.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def test_existing_outputs_stay_unless_asked_and_no_network_is_loaded_for_that(
    tiny_predictor: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ["conceal", str(call("call.wav")), "-m", str(tiny_predictor)]
    Path("call.concealed.wav").write_text("mine")
    with monkeypatch.context() as patch:
        patch.setattr("audiocx.api.load_predictor", lambda *_: pytest.fail("the network was loaded"))
        assert main(command) == 1
    assert "--overwrite" in capsys.readouterr().err and Path("call.concealed.wav").read_text() == "mine"
    assert main([*command, "--overwrite", "-q"]) == 0
    assert capsys.readouterr() == ("", "") and soundfile.info("call.concealed.wav").frames == 16000


def test_a_bad_file_among_many_is_reported_and_the_rest_done(
    tiny_predictor: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    soundfile.write("short.wav", np.full(800, 0.1), 8000)
    soundfile.write("nan.wav", np.full(8000, np.nan), 8000, subtype="FLOAT")
    files = ["short.wav", "missing.wav", "nan.wav", str(call("call.wav"))]
    assert main(["conceal", *files, "-m", str(tiny_predictor), "-o", "whole", "--gaps", "0.3-0.35"]) == 1
    out, err = capsys.readouterr()
    assert out.count("\n") == 1 and "1 gap, 50 ms" in out
    assert err.count("audiocx: error: ") == 3 and "missing.wav" in err and "nan.wav: holds NaN" in err
    assert "short.wav: the gap from 0.3 to 0.35 s lies outside of the recording, which is 0.100 s long; " in err
    assert [path.name for path in Path("whole").iterdir()] == ["call.concealed.wav"]


def test_nothing_half_written_is_left(
    tiny_predictor: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks_off(path: str, *_: object) -> None:
        Path(path).write_bytes(b"RIFF")
        raise KeyboardInterrupt

    command = ["conceal", str(call("call.wav")), "-m", str(tiny_predictor), "-o", "whole"]
    monkeypatch.setattr(soundfile, "write", breaks_off)
    assert main(command) == 130
    assert not Path("whole").exists() and "interrupted" in capsys.readouterr().err


def test_a_network_of_the_other_kind(tiny_checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["conceal", str(call("call.wav")), "-m", str(tiny_checkpoint)]) == 1
    assert "cannot predict speech" in capsys.readouterr().err and written() == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "FILE"),
        (["a.wav", "--format", "midi"], "choose from wav, png"),
        (["a.wav", "--gaps", "nonsense"], "'nonsense' is neither gaps in seconds, such as 1.20-1.25,3.0-3.06, nor"),
        (["a.wav", "--gaps", "1.2-1.3,"], "is neither gaps"),
        (["a.wav", "--gaps", "1.2:1.3"], "is neither gaps"),
        (["a.wav", "--gaps", "bad.txt"], "bad.txt, line 3: is not the start and the end of a gap"),
        (["a.wav", "--gaps", "."], "is neither gaps"),
    ],
)
def test_wrong_usage_is_2(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("bad.txt").write_text("# gaps\n1.2 1.3\n1.4\n")
    with pytest.raises(SystemExit) as exit_info:
        main(["conceal", *arguments])
    assert exit_info.value.code == 2 and said in capsys.readouterr().err


def test_help_teaches(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_info:
        main(["conceal", "--help"])
    out = capsys.readouterr().out
    assert exit_info.value.code == 0 and "audiocx conceal call.wav --gaps 1.20-1.25" in out and "formats:" in out

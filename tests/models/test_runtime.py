"""Both runtimes give the same notes; what cannot run is refused in a sentence."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from tiny_notes import HOP, RATE, recording

import audiocx
from audiocx import checkpoints
from audiocx.api import load_transcriber
from audiocx.errors import CheckpointError, ConfigError
from audiocx.io import audio
from audiocx.kinds import build
from audiocx.models import TranscriberConfig
from audiocx.models.note_blocks import infer_notes, infer_notes_stream
from audiocx.models.runtime import OnnxNetwork, TorchNetwork, choose_runtime, core_count, thread_count
from audiocx.music.transcriber import Transcriber
from audiocx.music.transcription import Transcription
from audiocx.music.window_decoding import WindowDecodeSettings
from audiocx.notes import Note, NoteOutputs

ROOT = Path(__file__).parents[2]
RECORDINGS = sorted((ROOT / "examples").glob("*.flac"))
Pair = tuple[Transcriber, Transcriber]


def pair(folder: str | Path) -> Pair:
    """Load a checkpoint for onnxruntime and for PyTorch."""
    onnx, torch_ = (load_transcriber(folder, "cpu", runtime=runtime) for runtime in ("onnx", "torch"))
    assert isinstance(onnx.network, OnnxNetwork) and isinstance(torch_.network, TorchNetwork)
    return onnx, torch_


def assert_same_notes(found: list[Note], expected: list[Note]) -> None:
    assert [note.midi_note for note in found] == [note.midi_note for note in expected]
    for ours, theirs in zip(found, expected, strict=True):
        assert (ours.onset_s, ours.offset_s) == pytest.approx((theirs.onset_s, theirs.offset_s), abs=1e-3)


def assert_same(networks: Pair, source: Any, rate: int | None = None) -> Transcription:
    found, expected = (network.transcribe(source, rate, tuning=0.0) for network in networks)
    assert_same_notes(found.notes, expected.notes)
    np.testing.assert_allclose(found.probabilities, expected.probabilities, rtol=0, atol=1e-4)
    return expected


@pytest.fixture(scope="module")
def default() -> Pair:
    return pair(checkpoints.DEFAULT)


@pytest.fixture(scope="module")
def tiny(exported_notes: Path) -> Pair:
    return pair(exported_notes)


@pytest.fixture(scope="module")
def windows(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    """A small window network in doubt, so that differences show."""
    pytest.importorskip("onnxscript")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = build(TranscriberConfig(sample_rate=RATE, window_samples=256, outputs=12, lowest_note=60)).eval()
    with torch.no_grad():
        list(network.modules())[-1].bias.zero_()
    settings = WindowDecodeSettings(threshold=0.5, snap_s=0.0, least_rise_db=0.0)
    folder = tmp_path_factory.mktemp("checkpoints") / "tiny-windows"
    checkpoints.save_checkpoint(network, folder, decode=settings, hop_samples=80, half=False)
    assert checkpoints.add_onnx(folder) == folder / "model.onnx"
    return pair(folder)


@pytest.mark.parametrize("path", RECORDINGS, ids=lambda path: path.stem)
def test_the_default_network_gives_the_same_notes(default: Pair, path: Path) -> None:
    found = assert_same(default, path)
    if "grieg" in path.stem:
        assert len(found.notes) > 50


@pytest.mark.parametrize("peak_dbfs", [0, -30, -60])
def test_the_default_network_gives_the_same_notes_at_any_level(default: Pair, peak_dbfs: float) -> None:
    rate = default[0].config.sample_rate
    samples = audio.read(RECORDINGS[0], rate)[0][: 4 * rate]
    samples *= 10 ** (peak_dbfs / 20) / np.abs(samples).max()
    assert assert_same(default, samples, rate).notes or peak_dbfs < -30


@pytest.mark.parametrize("length", [1, 4095, 11025 + 7])
def test_the_default_network_gives_the_same_notes_at_short_lengths(default: Pair, length: int) -> None:
    rate = default[0].config.sample_rate
    assert_same(default, audio.read(RECORDINGS[0], rate)[0][rate : rate + length], rate)


@pytest.mark.parametrize("length", [1, HOP - 1, 511, HOP * 300 + 13, HOP * 2000 + 1])
def test_a_note_network_gives_the_same_notes(tiny: Pair, length: int) -> None:
    assert assert_same(tiny, recording(length), RATE).notes or length < 512


@pytest.mark.parametrize("peak_dbfs", [0, -20, -40, -60])
def test_networks_give_the_same_notes_at_any_level(tiny: Pair, windows: Pair, peak_dbfs: float) -> None:
    samples = recording(HOP * 300)
    samples *= 10 ** (peak_dbfs / 20) / np.abs(samples).max()
    assert_same(tiny, samples, RATE)
    assert_same(windows, samples, RATE)


@pytest.mark.parametrize("length", [1, 255, 5001, 20000])
def test_a_window_network_gives_the_same_notes(windows: Pair, length: int) -> None:
    found = assert_same(windows, recording(length), RATE)
    assert length == 1 or found.probabilities.std() > 1e-3


@pytest.mark.parametrize("runtime", [0, 1], ids=["onnx", "torch"])
@pytest.mark.parametrize("sizes", [[HOP], [1, 700, 63, 64, 65, 5000, 0, 7]])
def test_a_live_stream_equals_the_whole(tiny: Pair, runtime: int, sizes: list[int]) -> None:
    network, sound = tiny[runtime].network, recording(HOP * 200 + 13)
    edges = np.cumsum(np.resize(sizes, 300))
    blocks: Iterator[NoteOutputs] = infer_notes_stream(network, np.split(sound, edges[edges < len(sound)]), 100)
    expected = infer_notes(tiny[1].network, sound)
    for parts, whole in zip(zip(*blocks, strict=True), expected, strict=True):
        np.testing.assert_allclose(np.concatenate(parts), whole, rtol=0, atol=1e-4)


def run_python(code: str, *arguments: str, **environment: str) -> str:
    """Run code in a process of its own, without any warning; return what it prints."""
    env = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, *arguments], capture_output=True, text=True, timeout=240, env=env
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("runtime", ["onnx", "torch"])
def test_a_forked_child_answers(runtime: str) -> None:
    if runtime == "torch":
        pytest.importorskip("torch")
    code = """
import multiprocessing, sys
import numpy as np
import audiocx
runtime = sys.argv[1]
if runtime == "onnx":
    sys.modules["torch"] = None
network = audiocx.load_transcriber(runtime=runtime)
predictor = audiocx.load_predictor(runtime=runtime)
noise = np.random.default_rng(0).normal(0, 0.1, 11025)
def answer():
    outputs = network.transcribe(noise, 11025, tuning=0.0).probabilities, predictor.predict(noise, 11025).spectra
    return np.concatenate([np.abs(each).ravel() for each in outputs])
expected = answer()
context = multiprocessing.get_context("fork")
ours, theirs = context.Pipe()
children = [context.Process(target=lambda: theirs.send(answer())) for _ in range(2)]
for child in children:
    child.start()
    assert ours.poll(120)
    np.testing.assert_allclose(ours.recv(), expected, rtol=0, atol=0 if runtime == "onnx" else 1e-4)
    child.join(30)
    assert child.exitcode == 0
np.testing.assert_array_equal(answer(), expected)
print("done")
"""
    assert run_python(code, runtime, OMP_NUM_THREADS="2") == "done\n"


@pytest.mark.parametrize("name", ["notes-complex", "maps-deep-real", "librispeech-tuned-complex"])
def test_the_default_precision_of_torch_does_not_matter(name: str) -> None:
    pytest.importorskip("torch")
    code = """
import sys, torch
import numpy as np
import audiocx
noise = np.random.default_rng(0).normal(0, 0.1, 11025)
def answer():
    network = audiocx.load(sys.argv[1], runtime="torch")
    if hasattr(network, "predict"):
        return network.predict(noise, 11025).spectra
    return network.transcribe(noise, 11025).probabilities
expected = answer()
torch.set_default_dtype(torch.float64)
outputs = answer()
assert outputs.dtype == expected.dtype
np.testing.assert_allclose(outputs, expected, rtol=0, atol=1e-6)
print("done")
"""
    assert run_python(code, name) == "done\n"


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="counts threads in /proc")
def test_omp_num_threads_is_honoured() -> None:
    code = """
import os
import audiocx, onnxruntime, numpy
before = len(os.listdir("/proc/self/task"))
network = audiocx.load(runtime="onnx")
print(len(os.listdir("/proc/self/task")) - before)
"""
    # Never more than there are cores, whatever a cluster's profile asks for.
    one, many = (int(run_python(code, OMP_NUM_THREADS=count)) for count in ("1", "1000"))
    assert many - one == core_count() - 1


@pytest.mark.parametrize(("value", "count"), [("1", 1), ("1,2", 1), ("100000", None), ("0", None), ("many", None)])
def test_the_number_of_threads(value: str, count: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    cores = thread_count()
    assert 1 <= cores <= (os.cpu_count() or 1)
    monkeypatch.setenv("OMP_NUM_THREADS", value)
    assert thread_count() == (count or cores)


def test_pytorch_is_not_imported_without_a_gpu_driver(tiny_notes: Path) -> None:
    code = f"""
import ctypes, sys
def no_driver(*names, **options):
    raise OSError
ctypes.CDLL = no_driver
from audiocx.models.runtime import choose_runtime
assert choose_runtime("auto", "auto", "float32", True, "it") == "onnx"
assert "torch" not in sys.modules
sys.modules["torch"] = None
import numpy as np
import audiocx
assert audiocx.load().transcribe(np.zeros(11025), 11025).notes == []
try:
    audiocx.load({str(tiny_notes)!r})
except audiocx.errors.ConfigError as error:
    print(error)
"""
    expected = (
        "tiny-notes has no ONNX form and needs PyTorch, which is not installed; run pip install 'audiocx[torch]'."
    )
    assert run_python(code) == f"{expected}\n"


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        (("torch", "auto", "float32"), "The runtime torch needs PyTorch"),
        (("auto", "cuda:0", "float32"), "The device cuda:0 needs PyTorch"),
        (("auto", "cpu", "bfloat16"), "The precision bfloat16 needs PyTorch"),
    ],
)
def test_what_needs_pytorch_says_so(
    settings: tuple[str, str, str], reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert choose_runtime(*settings, True, "it") == "torch"
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ConfigError, match=reason + r", which is not installed; run pip install 'audiocx\[torch\]'\.$"):
        choose_runtime(*settings, True, "it")


@pytest.mark.parametrize("installed", [True, False])
@pytest.mark.parametrize(
    ("device", "precision", "message"),
    [
        ("foo", "float32", "There is no device 'foo'; choose auto, cpu, cuda, a number as in cuda:1, or mps."),
        ("cuda:", "float32", "There is no device 'cuda:'; choose auto, cpu, cuda, a number as in cuda:1, or mps."),
        ("cpu", "float23", "There is no precision 'float23'; choose float32 or bfloat16."),
    ],
)
def test_typing_errors_name_the_choices(
    device: str, precision: Any, message: str, installed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not installed:
        monkeypatch.setitem(sys.modules, "torch", None)
    for runtime in ("auto", "onnx", "torch"):
        with pytest.raises(ConfigError) as error:
            load_transcriber(None, device, precision, runtime)
        assert str(error.value) == message


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (None, r"^onnxruntime is not installed; run pip install onnxruntime, or choose the runtime torch\.$"),
        (SimpleNamespace(__version__="1.9.0"), r"^onnxruntime 1\.9\.0 is too old; run pip install --upgrade "),
    ],
)
def test_a_missing_or_old_onnxruntime_is_refused(module: Any, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", module)
    with pytest.raises(ConfigError, match=message):
        audiocx.load(runtime="onnx")


def test_pytorch_serves_where_onnxruntime_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert choose_runtime("auto", "cpu", "float32", True, "it") == "torch"


def test_a_file_that_onnxruntime_cannot_read_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"^The ONNX form of it is damaged; fetch it again, .* or choose the runtime"):
        OnnxNetwork(None, b"nothing of the kind", "it")


def test_a_file_for_a_newer_onnxruntime_is_refused() -> None:
    helper = pytest.importorskip("onnx").helper
    graph = helper.make_graph([], "empty", [], [])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 9999)], ir_version=9)
    with pytest.raises(ConfigError, match=r"^onnxruntime .* cannot run it \(.*\); update onnxruntime, or choose"):
        OnnxNetwork(None, model.SerializeToString(), "it")


def test_the_onnx_form_of_another_network_is_refused(exported_notes: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(exported_notes, tmp_path / "mixed")
    card = checkpoints.read_config(folder)
    for content in ((folder / "model.onnx").read_bytes(), b"nothing of the kind"):
        other = content.replace(card["weights"]["sha256"].encode(), b"0" * 64)
        (folder / "model.onnx").write_bytes(other)
        card["onnx"]["sha256"] = hashlib.sha256(other).hexdigest()
        (folder / "config.json").write_text(json.dumps(card))
        with pytest.raises(CheckpointError, match=r"model\.onnx is damaged or the form of another network: .* make it"):
            load_transcriber(folder, "cpu")


def test_without_its_onnx_file_a_checkpoint_runs_by_pytorch(
    exported_notes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = shutil.copytree(exported_notes, tmp_path / "incomplete")
    (folder / "model.onnx").unlink()
    assert isinstance(load_transcriber(folder, "cpu").network, TorchNetwork)
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(CheckpointError, match=r"model\.onnx is missing; fetch it again, or run pip install 'audiocx\["):
        load_transcriber(folder, "cpu")


@pytest.mark.parametrize("runtime", [0, 1], ids=["onnx", "torch"])
def test_a_transcriber_can_be_pickled(tiny: Pair, runtime: int) -> None:
    copied = pickle.loads(pickle.dumps(tiny[runtime]))
    assert_same((copied, tiny[runtime]), recording(HOP * 300), RATE)


@pytest.mark.parametrize("runtime", ["onnx", "torch"])
def test_a_predictor_can_be_pickled(runtime: Any) -> None:
    predictor = audiocx.load_predictor(device="cpu", runtime=runtime)
    frame = np.fft.rfft(recording(256))
    found, expected = (each.step(frame)[0] for each in (pickle.loads(pickle.dumps(predictor)), predictor))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_a_damaged_onnx_file_is_refused(exported_notes: Path) -> None:
    path = exported_notes / "model.onnx"
    content = path.read_bytes()
    try:
        path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        with pytest.raises(CheckpointError, match=r"model\.onnx is damaged: its SHA-256 .* fetch it again"):
            checkpoints.load_checkpoint(exported_notes, runtime="auto", device="cpu")
        assert checkpoints.load_checkpoint(exported_notes).network is not None
        path.unlink()
        with pytest.raises(CheckpointError, match=r"model\.onnx is missing; fetch it again"):
            checkpoints.load_checkpoint(exported_notes, runtime="onnx")
    finally:
        path.write_bytes(content)


def test_a_checkpoint_without_an_onnx_form(tiny_notes: Path) -> None:
    with pytest.raises(ConfigError, match="tiny-notes has no ONNX form; add one with audiocx export --in-place, or"):
        load_transcriber(tiny_notes, runtime="onnx")
    assert isinstance(load_transcriber(tiny_notes, "cpu", runtime="auto").network, TorchNetwork)


@pytest.mark.parametrize(("device", "precision"), [("cuda", "float32"), ("cpu", "bfloat16"), ("mps", "bfloat16")])
def test_onnxruntime_runs_on_the_processor_only(device: str, precision: Any) -> None:
    with pytest.raises(ConfigError, match="it runs on the processor in float32; choose the runtime torch"):
        load_transcriber(None, device, precision, "onnx")
    with pytest.raises(ConfigError, match="no runtime 'tensorflow'; choose auto, onnx, torch"):
        load_transcriber(None, runtime="tensorflow")  # type: ignore[arg-type]

"""The public functions: load networks; transcribe music; predict and conceal speech.

>>> import audiocx
>>> transcription = audiocx.transcribe("song.wav")  # doctest: +SKIP
>>> transcription.to_midi("song.mid")  # doctest: +SKIP
>>> audiocx.predict("speech.wav").mse  # in dB^2  # doctest: +SKIP
>>> samples = audiocx.conceal("call.wav")  # doctest: +SKIP
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from . import checkpoints
from .errors import CheckpointError
from .kinds import KINDS

if TYPE_CHECKING:
    from .io.audio import AudioSource
    from .models.runtime import Precision, Runtime
    from .music.transcriber import Transcriber
    from .music.transcription import Transcription
    from .speech.prediction import Prediction
    from .speech.predictor import Predictor

__all__ = ["conceal", "load", "load_predictor", "load_transcriber", "predict", "transcribe"]

# What networks do with a recording, and the default network for it.
_DEFAULTS = {"transcribe": checkpoints.DEFAULT, "predict": checkpoints.DEFAULT_PREDICTOR}
_DOES = {"transcribe": "transcribes music", "predict": "predicts speech"}


def load(
    name_or_path: str | Path | None = None,
    device: str = "auto",
    precision: Precision = "float32",
    runtime: Runtime = "auto",
) -> Transcriber | Predictor:
    """Load a trained network.

    Args:
        name_or_path: A name of ``audiocx.available()`` or a checkpoint folder; None for the default transcriber.
        device: "auto" (a CUDA device if there is one, else the processor) or a name such as "cpu", "cuda:1", "mps".
        precision: Arithmetic of transcribers: "float32", or "bfloat16", which pays on GPUs and on processors with AMX.
            Predictors run in float32 only.
        runtime: "auto" (PyTorch on a GPU, in bfloat16, and for checkpoints without an ONNX form; else onnxruntime),
            "onnx" or "torch". Both give the same results up to rounding.

    Returns:
        The network, ready to transcribe music or to predict speech, depending on its checkpoint.

    Raises:
        CheckpointError: There is no such checkpoint, or it is damaged.
        ConfigError: The device is not there, or the network does not run in this precision.
    """
    return _run(_load(name_or_path, "transcribe", device, precision, runtime), device, precision)


def load_transcriber(
    name_or_path: str | Path | None = None,
    device: str = "auto",
    precision: Precision = "float32",
    runtime: Runtime = "auto",
) -> Transcriber:
    """Load a trained transcriber.

    Args:
        name_or_path: A name of ``audiocx.available()`` or a checkpoint folder; None for the default transcriber.
        device: Where to run, as in :func:`load`.
        precision: Arithmetic, as in :func:`load`.
        runtime: What runs it, as in :func:`load`.

    Returns:
        The network, ready to transcribe.

    Raises:
        CheckpointError: There is no such checkpoint, it is damaged, or of a predictor.
        ConfigError: The device is not there, or there is no such precision.
    """
    checkpoint = _load(name_or_path, "transcribe", device, precision, runtime)
    _check_does(checkpoint, "transcribe")
    transcriber: Transcriber = _run(checkpoint, device, precision)
    return transcriber


def load_predictor(
    name_or_path: str | Path | None = None, device: str = "auto", runtime: Runtime = "auto"
) -> Predictor:
    """Load a trained predictor.

    Args:
        name_or_path: A name of ``audiocx.available()`` or a checkpoint folder; None for the default predictor.
        device: Where to run, as in :func:`load`.
        runtime: What runs it, as in :func:`load`.

    Returns:
        The network, ready to predict.

    Raises:
        CheckpointError: There is no such checkpoint, it is damaged, or of a transcriber.
        ConfigError: The device is not there.
    """
    checkpoint = _load(name_or_path, "predict", device, "float32", runtime)
    _check_does(checkpoint, "predict")
    predictor: Predictor = _run(checkpoint, device, "float32")
    return predictor


def transcribe(
    source: AudioSource,
    model: str | Path | None = None,
    device: str = "auto",
    *,
    runtime: Runtime = "auto",
    sample_rate: float | None = None,
    threshold: float | None = None,
    min_note_s: float | None = None,
    hop_samples: int | None = None,
    tuning: float | None = None,
    progress: bool = False,
) -> Transcription:
    """Find the notes of one recording; for several, call :func:`load_transcriber` once and use its ``transcribe``.

    Args:
        source: An audio file by its name ("-" is standard input), its content as bytes, an open binary file, or
            samples with ``sample_rate``: [N], [N, C] or [C, N], full scale at 1 or integers. Also
            ``(samples, sample_rate)``; see :func:`audiocx.io.audio.load`.
        model: A name of ``audiocx.available()`` or a checkpoint folder; None for the default.
        device: Where to run, as in :func:`load`.
        runtime: What runs the network, as in :func:`load`.
        sample_rate: Rate of the samples, in Hz; only for samples.
        threshold: Least probability of a note, up to 1; None for the checkpoint's.
        min_note_s: Notes shorter than this are dropped, in seconds; None for the checkpoint's.
        hop_samples: Samples from frame to frame at the network's rate; None for the checkpoint's.
        tuning: How many cents above 440 Hz the recording's A4 is; 0 leaves the recording as it is, None estimates it.
        progress: Show a progress bar on stderr, if that is a terminal.

    Returns:
        The notes and the probabilities.

    Raises:
        AudiocxError: The recording, the checkpoint or an option cannot be used; the message says which.
    """
    return load_transcriber(model, device, runtime=runtime).transcribe(
        source,
        sample_rate,
        threshold=threshold,
        min_note_s=min_note_s,
        hop_samples=hop_samples,
        tuning=tuning,
        progress=progress,
    )


def predict(
    source: AudioSource,
    model: str | Path | None = None,
    device: str = "auto",
    *,
    runtime: Runtime = "auto",
    sample_rate: float | None = None,
) -> Prediction:
    """Predict every frame of one recording; for several, call :func:`load_predictor` once and use its ``predict``.

    Args:
        source: An audio file by its name ("-" is standard input), its content as bytes, an open binary file, or
            samples with ``sample_rate``: [N], [N, C] or [C, N], full scale at 1 or integers. Also
            ``(samples, sample_rate)``; see :func:`audiocx.io.audio.load`.
        model: A name of ``audiocx.available()`` or a checkpoint folder; None for the default predictor.
        device: Where to run, as in :func:`load`.
        runtime: What runs the network, as in :func:`load`.
        sample_rate: Rate of the samples, in Hz; only for samples.

    Returns:
        The predicted spectra and their errors.

    Raises:
        AudiocxError: The recording or the checkpoint cannot be used; the message says which.
    """
    return load_predictor(model, device, runtime).predict(source, sample_rate)


def conceal(
    source: AudioSource,
    gaps: Iterable[tuple[float, float]] | None = None,
    model: str | Path | Predictor | None = None,
    device: str = "auto",
    *,
    runtime: Runtime = "auto",
    sample_rate: float | None = None,
    gap_level_db: float | None = None,
    progress: bool = False,
) -> NDArray[np.float32]:
    """Fill gaps in a recording of speech with a prediction of what followed, each channel on its own.

    A gap longer than 100 ms fades out, and is silent from 150 ms on; one without sound before it stays silent.

    Args:
        source: An audio file or samples, as in :func:`transcribe`.
        gaps: Start and end of each, in seconds, in all channels; None to find those of each channel
            (:func:`audiocx.speech.gaps.find_gaps`).
        model: A name of ``audiocx.available()``, a checkpoint folder, or a predictor that is loaded already, for many
            recordings; None for the default predictor.
        device: Where to run, as in :func:`load`.
        runtime: What runs the network, as in :func:`load`.
        sample_rate: Rate of the samples, in Hz; only for samples.
        gap_level_db: How far a gap that is to be found is below its surroundings; None for 25 dB.
        progress: Show a progress bar on stderr, if that is a terminal.

    Returns:
        The samples at their own rate, float32 [N] or, of more than one channel, [N, C]: unchanged outside of the gaps
        and 4 ms on either side.

    Raises:
        AudioError: The file cannot be used, or the samples are empty, of another shape or not finite.
        CheckpointError: There is no such checkpoint, it is damaged, or of a transcriber.
        ConfigError: A gap is empty or lies outside of the recording, the device is not there, or samples came without
            their rate.
    """
    from .models.running import read_channels
    from .speech.concealment import fill_channels, network_forecast
    from .speech.gaps import gaps_by_channel

    recording = read_channels(source, sample_rate)
    samples, rate = recording.samples, round(recording.sample_rate)
    spans = gaps_by_channel(samples, rate, gaps, gap_level_db, recording.name)
    if not any(spans):
        return samples
    predictor = load_predictor(model, device, runtime) if model is None or isinstance(model, (str, Path)) else model
    return fill_channels(samples, rate, spans, network_forecast(predictor.network), progress=progress)


def _load(
    name_or_path: str | Path | None,
    does: Literal["transcribe", "predict"],
    device: str,
    precision: str,
    runtime: Runtime,
) -> checkpoints.Checkpoint:
    name = _DEFAULTS[does] if name_or_path is None else name_or_path
    return checkpoints.load_checkpoint(name, runtime=runtime, device=device, precision=precision)


def _run(checkpoint: checkpoints.Checkpoint, device: str, precision: str) -> Any:
    runner = checkpoint.kind.load("runner")
    if runner is None:
        kind = checkpoint.kind.name
        kinds = ", ".join(f'"{name}"' for name, other in KINDS.items() if other.runner)
        raise CheckpointError(f'{checkpoint.name} is of kind "{kind}", which is trained only; choose one of {kinds}.')
    return runner(checkpoint, device, precision)


def _check_does(checkpoint: checkpoints.Checkpoint, does: Literal["transcribe", "predict"]) -> None:
    own = checkpoint.kind.does
    if own != does:
        noun, verb = {"transcribe": ("transcriber", "transcribe"), "predict": ("predictor", "predict speech")}[does]
        raise CheckpointError(
            f"{checkpoint.name} {_DOES.get(str(own), 'is trained only')} and cannot {verb}; choose a {noun}, such as "
            f"{_DEFAULTS[does]}" + (f", or let it {own} with audiocx {own}." if own else ".")
        )

"""Export of networks to ONNX files, which run without PyTorch.

Needs the extra ``onnx``. ``audiocx export --help`` shows how to use the files.
"""

from __future__ import annotations

import copy
import json
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.export import Dim

from .. import __version__
from ..config import to_dict
from ..errors import ConfigError
from ..io.atomic_write import atomic_write
from ..notes import NoteOutputs
from ..stft import BINS, HOP_SAMPLES, SPEECH_RATE
from .filtered_spectrum import FilteredSpectrum, MatmulSpectrum
from .note_network import NoteNetwork
from .onnx_level import with_level_normalization
from .predictor_network import PredictorNetwork
from .window_network import TranscriberNetwork

if TYPE_CHECKING:
    from ..checkpoints import Checkpoint

__all__ = ["OnnxModel", "export_onnx", "note_model", "step_model", "to_onnx", "window_model"]


_ALIGNED_CHANNELS = 4


class OnnxModel(NamedTuple):
    """Module to export, and its inputs and outputs.

    Attributes:
        module: Maps the inputs to the outputs.
        inputs: Shape of each example input, float32, by its name.
        output_names: Names of the outputs.
        dynamic: Axes with a dynamic size, of each input.
        metadata: Metadata of the file, in addition to those of all kinds.
        finish: Called with the exported model, to change it.
    """

    module: nn.Module
    inputs: Mapping[str, tuple[int, ...]]
    output_names: list[str]
    dynamic: list[dict[int, Any]]
    metadata: dict[str, Any]
    finish: Callable[[Any], None] | None = None


def export_onnx(checkpoint: Checkpoint, path: str | Path) -> Path:
    """Write a network as an ONNX file.

    A window network has the input "windows", float32 [B, window_samples], and the output "probabilities", float32
    [B, P]. A note network has the input "samples", float32 [B, N], whole recordings or blocks of them, and the outputs
    "onsets", "frames", "offsets" and "velocities", float32 [B, T, P], as in
    :func:`audiocx.models.note_blocks.infer_notes`. A predictor has the inputs and outputs of :func:`step_model`. B
    and N are dynamic. The file's metadata hold name, kind, sample_rate, hop_samples, weights_sha256 and the version of
    audiocx; of transcribers also lowest_note and decode (the checkpoint's settings as JSON); of a window network also
    window_samples, of a note network overlap_samples and step_samples: in a block that begins at a multiple of
    step_samples, frames further than overlap_samples from its ends are the same as in the whole recording. A network
    that normalises levels needs whole recordings, and has no overlap_samples.

    Args:
        checkpoint: Checkpoint with its PyTorch network, on the CPU.
        path: File to write; one that exists is replaced.

    Returns:
        The file.

    Raises:
        ConfigError: The extra ``onnx`` is not installed, or the checkpoint is of a kind that is not exported.
        OutputError: The file cannot be written.
    """
    make_model, config = checkpoint.kind.load("onnx"), checkpoint.config
    if make_model is None:
        raise ConfigError(f"{checkpoint.name} cannot be exported to ONNX.")
    metadata = {
        "name": checkpoint.name,
        "kind": checkpoint.kind.name,
        "weights_sha256": checkpoint.card["weights"]["sha256"],
    }
    if checkpoint.decode is not None:
        metadata |= {
            "sample_rate": config.sample_rate,
            "hop_samples": checkpoint.hop_samples,
            "lowest_note": config.lowest_note,
            "decode": json.dumps(to_dict(checkpoint.decode)),
        }
    content = to_onnx(make_model(checkpoint.network), metadata)
    with atomic_write(path) as temporary:
        temporary.write_bytes(content)
    return Path(path)


def to_onnx(model: OnnxModel, metadata: dict[str, Any] | None = None) -> bytes:
    """Return the content of an ONNX file.

    Args:
        model: The model, on the CPU.
        metadata: Metadata of the file, in addition to the model's own and the version of audiocx.

    Raises:
        ConfigError: The extra ``onnx`` is not installed.
    """
    missing = [name for name in ("onnx", "onnxscript") if find_spec(name) is None]
    if missing:
        raise ConfigError(f"Exporting needs {missing[0]}, which is not installed; run pip install 'audiocx[onnx]'.")
    with _exporter_silenced(), _exporter_errors():
        program = torch.onnx.export(
            _Positional(model.module).eval(),
            tuple(map(torch.zeros, model.inputs.values())),
            input_names=list(model.inputs),
            output_names=model.output_names,
            dynamic_shapes=(tuple(model.dynamic),),
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    every = {"audiocx": __version__, **(metadata or {}), **model.metadata}
    program.model.metadata_props.update({name: str(value) for name, value in every.items()})
    proto = program.model_proto
    if model.finish:
        model.finish(proto)
    return proto.SerializeToString()


def window_model(network: TranscriberNetwork) -> OnnxModel:
    """Return the ONNX model of a window network.

    Args:
        network: On the CPU, in evaluation mode.
    """
    window_samples = network.config.window_samples
    inputs, dynamic = {"windows": (2, window_samples)}, [{0: Dim("batch")}]
    metadata = {"window_samples": window_samples}
    return OnnxModel(_Probabilities(network), inputs, ["probabilities"], dynamic, metadata)


def note_stages_model(network: NoteNetwork) -> OnnxModel:
    """Return the ONNX model of a note network in two stages, without level normalisation.

    The inputs and outputs are those of :meth:`audiocx.models.note_network.NoteNetwork.features`, "samples" to
    "next_features", N a multiple of ``hop_samples``, and of its method ``probabilities``, "features" to the rest. A
    program asks for the outputs of one stage at a time, and feeds zeros of "least_shapes" to the other, which costs
    next to nothing.

    Args:
        network: On the CPU, in evaluation mode.
    """
    config = network.config
    positions = 2 * config.body_context + 4
    channels = network.feature_channels
    samples = config.hop_samples * (2 * config.stem_context_frames + 8 * config.time_stride) + config.window_samples
    inputs = {"samples": (2, samples), "features": (2, channels, positions, config.outputs)}
    batch = Dim("batch")
    dynamic = [{0: batch, 1: config.hop_samples * Dim("hops")}, {0: batch, 2: Dim("positions")}]
    outputs = list(NoteOutputs._fields)
    stages = {"features": ["samples", ["next_features"]], "probabilities": ["features", outputs]}
    one_position = config.hop_samples * config.time_stride + config.window_samples
    least = {"samples": [1, one_position], "features": [1, channels, 1, config.outputs]}
    metadata = {"stages": json.dumps(stages), "least_shapes": json.dumps(least)}
    return OnnxModel(
        _NoteStages(_exportable(network)),
        inputs,
        ["next_features", *outputs],
        dynamic,
        metadata,
    )


def note_model(network: NoteNetwork) -> OnnxModel:
    """Return the ONNX model of a note network, with its level normalisation.

    Args:
        network: On the CPU, in evaluation mode.
    """
    config = network.config
    metadata: dict[str, Any] = {"step_samples": config.hop_samples * config.time_stride}
    finish = None
    if config.level_dbfs is None:
        metadata["overlap_samples"] = _overlap_samples(network)
    else:
        finish = partial(with_level_normalization, sample_rate=config.sample_rate, level_dbfs=config.level_dbfs)
    inputs, dynamic = {"samples": (2, 2 * config.window_samples)}, [{0: Dim("batch"), 1: Dim("samples")}]
    return OnnxModel(_PaddedNoteNetwork(network), inputs, list(NoteOutputs._fields), dynamic, metadata, finish)


def step_model(network: PredictorNetwork) -> OnnxModel:
    """Return the ONNX model of a predictor: one frame a call, with the recurrent state as further inputs and outputs.

    The input "frame" is float32 [B, F, 2], real and imaginary part last; the output "ahead", [B, A, F, 2], the frames
    that follow. The states "state_0", "state_1" ... are zero before the first frame and the outputs "next_0", "next_1"
    ... the states for the next. The last two of a network with the front end "increment" are real and imaginary part of
    the last frame's phase, one and zero before the first.

    Args:
        network: On the CPU, in evaluation mode.
    """
    step, batch = _PredictorStep(network), Dim("batch")
    with torch.inference_mode():
        _, *states = step(torch.zeros(2, BINS, 2))
    names = [f"state_{index}" for index in range(len(states))]
    inputs = {"frame": (2, BINS, 2), **{name: tuple(each.shape) for name, each in zip(names, states, strict=True)}}
    # The states of a plain LSTM are [layers, B, H].
    axis = 1 if network.config.architecture == "lstm" else 0
    core = [{axis: batch}] * (len(states) - 2 * (network.config.front_end == "increment"))
    dynamic = [{0: batch}, *core, *[{0: batch}] * (len(states) - len(core))]
    outputs = ["ahead", *(f"next_{index}" for index in range(len(states)))]
    return OnnxModel(step, inputs, outputs, dynamic, {"sample_rate": SPEECH_RATE, "hop_samples": HOP_SAMPLES})


@contextmanager
def _exporter_errors() -> Iterator[None]:
    """Say in one sentence what the exporter cannot do, such as windows that are no multiples of the hop."""
    try:
        yield
    except torch.onnx.OnnxExporterError as error:
        reason = str(error.__cause__ or error).splitlines()[0]
        raise ConfigError(
            f"PyTorch's exporter cannot write this network ({reason}); run it by the runtime torch."
        ) from error


@contextmanager
def _exporter_silenced() -> Iterator[None]:
    """Suppress the exporter's messages about itself and about optional packages that are not needed."""
    previous_level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(previous_level)


class _Positional(nn.Module):
    """A module as the exporter needs it to describe its inputs: whatever they are called, they are a tuple."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, *inputs: Tensor) -> Any:
        return self.module(*inputs)


class _PredictorStep(nn.Module):
    """One step of a predictor on real tensors, its states one after the other."""

    def __init__(self, network: PredictorNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, frame: Tensor, *states: Tensor) -> tuple[Tensor, ...]:
        pairs = tuple(zip(states[::2], states[1::2], strict=True))
        ahead, pairs = self.network.forecast_pairs(frame.unsqueeze(1), pairs or None)
        return ahead.squeeze(1), *(state for pair in pairs for state in pair)


class _Probabilities(nn.Module):
    """The method ``probabilities`` of a network."""

    def __init__(self, network: TranscriberNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, windows: Tensor) -> Tensor:
        return self.network.probabilities(windows)


class _NoteStages(nn.Module):
    """Both stages of a note network side by side."""

    def __init__(self, network: NoteNetwork) -> None:
        super().__init__()
        self.network = network
        channels = network.feature_channels
        # The identity. What the residual blocks add to has to come from a convolution: else onnxruntime, whose
        # convolutions have a layout of their own, converts to it and back for each block.
        self.entry = nn.Conv2d(channels, channels, 1, groups=channels, bias=False)
        nn.init.ones_(self.entry.weight)

    def forward(self, samples: Tensor, features: Tensor) -> tuple[Tensor, ...]:
        return self.network.features(samples), *self.network.probabilities(self.entry(features))


class _PaddedNoteNetwork(nn.Module):
    """A note network with padding: ceil(N / hop_samples) frames, frame t centred at sample t * hop_samples."""

    def __init__(self, network: NoteNetwork) -> None:
        super().__init__()
        self.network = _exportable(network)

    def forward(self, samples: Tensor) -> tuple[Tensor, ...]:
        config = self.network.config
        hop, context, before = config.hop_samples, config.context_frames, _overlap_samples(self.network)
        # Enough for any length; the network drops samples that do not fill time_stride frames.
        padding = config.window_samples + hop * (2 * context + config.time_stride) - 1
        frames = (samples.shape[1] + hop - 1) // hop
        padded = F.pad(samples, (before, padding - before))
        logits = self.network(padded[:, : padded.shape[1] // hop * hop])
        *logit_parts, velocities = (part[:, context : context + frames] for part in logits)
        return *(part.sigmoid() for part in logit_parts), velocities.clamp(0, 1)


def _exportable(network: NoteNetwork) -> NoteNetwork:
    """Return a copy that onnxruntime computes fast, whose front end transforms by matrix products."""
    if network.config.hop_samples % 2:
        raise ConfigError(
            f"A network with an odd hop, {network.config.hop_samples} samples, cannot be exported to ONNX."
        )
    copied, hop_samples = copy.deepcopy(network), network.config.hop_samples
    filters = [cast(FilteredSpectrum, spectrum).filters for spectrum in network.front_end.spectra]
    copied.front_end.spectra = nn.ModuleList(MatmulSpectrum(each, hop_samples) for each in filters)
    return _with_aligned_channels(copied)


def _with_aligned_channels(network: NoteNetwork) -> NoteNetwork:
    """Repeat the last harmonic, with weights of zero, until the number of input channels is a multiple of four.

    onnxruntime computes only such convolutions in its layout of blocks of channels, in half the time.

    Args:
        network: Folded, a copy that may be changed.
    """
    convolution, spectra, harmonics = network.body[0], network.front_end.channels, len(network.config.harmonics)
    added = next(count for count in range(_ALIGNED_CHANNELS) if spectra * (harmonics + count) % _ALIGNED_CHANNELS == 0)
    if added and isinstance(convolution, nn.Conv2d):
        network.shifts = network.shifts + network.shifts[-1:] * added
        # The harmonics of a spectrum are neighbouring channels.
        weight = F.pad(convolution.weight.unflatten(1, (spectra, harmonics)), (0, 0, 0, 0, 0, added)).flatten(1, 2)
        convolution.weight, convolution.in_channels = nn.Parameter(weight), weight.shape[1]
    return network


def _overlap_samples(network: NoteNetwork) -> int:
    """Return the receptive field on either side of a frame's centre, in samples."""
    return network.config.context_frames * network.config.hop_samples + network.config.left_context_samples

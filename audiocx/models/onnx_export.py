"""Export of transcribers to ONNX files, which run without PyTorch: samples in, probabilities out.

Needs the extra ``onnx``. ``audiocx export --help`` shows how to use the files.
"""

from __future__ import annotations

import copy
import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.export import Dim

from .. import __version__
from ..config import to_dict
from ..errors import ConfigError
from ..io.atomic_write import atomic_write
from ..notes import NoteOutputs
from .filtered_spectrum import MatmulSpectrum
from .note_network import NoteNetwork
from .window_network import TranscriberNetwork

if TYPE_CHECKING:
    from ..checkpoints import Checkpoint

__all__ = ["OnnxModel", "export_onnx", "note_model", "window_model"]


class OnnxModel(NamedTuple):
    """Module to export, and its input and outputs.

    Attributes:
        module: Maps the input to the outputs.
        input_name: Name of the input, float32.
        output_names: Names of the outputs.
        shape: Shape of the example input.
        dynamic: Axes of the input with a dynamic size.
        metadata: Metadata of the file, in addition to those of all kinds.
    """

    module: nn.Module
    input_name: str
    output_names: list[str]
    shape: tuple[int, int]
    dynamic: dict[int, Any]
    metadata: dict[str, int]


def export_onnx(checkpoint: Checkpoint, path: str | Path) -> Path:
    """Write a transcriber as an ONNX file.

    A window network has the input "windows", float32 [B, window_samples], and the output "probabilities", float32
    [B, P]. A note network has the input "samples", float32 [B, N], whole recordings or blocks of them, and the outputs
    "onsets", "frames", "offsets" and "velocities", float32 [B, T, P], as in
    :func:`audiocx.models.note_blocks.infer_notes`. B and N are dynamic. The file's metadata hold name, kind,
    sample_rate, hop_samples, lowest_note, decode (the checkpoint's settings as JSON), weights_sha256 and the version of
    audiocx; of a window network also window_samples, of a note network overlap_samples and step_samples: in a block
    that begins at a multiple of step_samples, frames further than overlap_samples from its ends are the same as in the
    whole recording.

    Args:
        checkpoint: Checkpoint of a transcriber, on the CPU.
        path: File to write; one that exists is replaced.

    Returns:
        The file.

    Raises:
        ConfigError: The extra ``onnx`` is not installed, or the checkpoint is of a kind that is not exported, or
            normalises levels before its network.
        OutputError: The file cannot be written.
    """
    make_model, config = checkpoint.kind.load("onnx"), checkpoint.config
    if make_model is None:
        raise ConfigError(f"{checkpoint.name} cannot be exported to ONNX; choose a network that transcribes.")
    model: OnnxModel = make_model(checkpoint.network)
    metadata = {
        "audiocx": __version__,
        "name": checkpoint.name,
        "kind": checkpoint.kind.name,
        "sample_rate": config.sample_rate,
        "hop_samples": checkpoint.hop_samples,
        "lowest_note": config.lowest_note,
        "decode": json.dumps(to_dict(checkpoint.decode)),
        "weights_sha256": checkpoint.card["weights"]["sha256"],
    }
    with atomic_write(path) as temporary:
        temporary.write_bytes(to_onnx(model, metadata))
    return Path(path)


def to_onnx(model: OnnxModel, metadata: dict[str, Any]) -> bytes:
    """Convert a model to the content of an ONNX file.

    Args:
        model: What to export.
        metadata: Metadata of the file, in addition to the model's own.

    Returns:
        The file's content.

    Raises:
        ConfigError: The extra ``onnx`` is not installed.
    """
    missing = [name for name in ("onnx", "onnxscript") if find_spec(name) is None]
    if missing:
        raise ConfigError(f"Exporting needs {missing[0]}, which is not installed; run pip install 'audiocx[onnx]'.")
    with _exporter_silenced():
        program = torch.onnx.export(
            model.module.eval(),
            (torch.zeros(model.shape),),
            input_names=[model.input_name],
            output_names=model.output_names,
            dynamic_shapes=(model.dynamic,),
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    values = {**metadata, **model.metadata}
    program.model.metadata_props.update({name: str(value) for name, value in values.items()})
    return program.model_proto.SerializeToString()


def window_model(network: TranscriberNetwork) -> OnnxModel:
    """Return the ONNX model of a window network.

    Args:
        network: On the CPU, in evaluation mode.
    """
    window_samples = network.config.window_samples
    metadata = {"window_samples": window_samples}
    dynamic = {0: Dim("batch")}
    return OnnxModel(_Probabilities(network), "windows", ["probabilities"], (2, window_samples), dynamic, metadata)


def note_blocks_model(network: NoteNetwork) -> OnnxModel:
    """Return the ONNX model of a note network over blocks with their context, without level normalisation.

    The input "samples", float32 [B, N], N a multiple of ``hop_samples``, and the outputs are those of
    :meth:`audiocx.models.note_network.NoteNetwork.probabilities`.

    Args:
        network: On the CPU, in evaluation mode.
    """
    config = network.config
    samples = config.hop_samples * (2 * config.context_frames + 8 * config.time_stride) + config.window_samples
    dynamic = {0: Dim("batch"), 1: config.hop_samples * Dim("hops")}
    outputs = list(NoteOutputs._fields)
    return OnnxModel(_Probabilities(_exportable(network)), "samples", outputs, (2, samples), dynamic, {})


def note_model(network: NoteNetwork) -> OnnxModel:
    """Return the ONNX model of a note network.

    Args:
        network: On the CPU, in evaluation mode.

    Raises:
        ConfigError: The network normalises levels first, which is no part of its graph.
    """
    config = network.config
    if config.level_dbfs is not None:
        raise ConfigError(
            "A network with level_dbfs cannot be exported to ONNX, which would lack its level normalisation; choose "
            "one without, such as notes-complex."
        )
    metadata = {
        "overlap_samples": _overlap_samples(network),
        "step_samples": config.hop_samples * config.time_stride,
    }
    shape, dynamic = (2, 2 * config.window_samples), {0: Dim("batch"), 1: Dim("samples")}
    return OnnxModel(_PaddedNoteNetwork(network), "samples", list(NoteOutputs._fields), shape, dynamic, metadata)


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


class _Probabilities(nn.Module):
    """A network's method ``probabilities``."""

    def __init__(self, network: TranscriberNetwork | NoteNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor | NoteOutputs:
        return self.network.probabilities(x)


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
    """Return a copy whose front end transforms by matrix products."""
    copied = copy.deepcopy(network)
    spectra = network.front_end.spectra
    copied.front_end.spectra = nn.ModuleList(MatmulSpectrum(each.filters, each.hop_samples) for each in spectra)
    return copied


def _overlap_samples(network: NoteNetwork) -> int:
    """Return the receptive field on either side of a frame's centre, in samples."""
    return network.config.context_frames * network.config.hop_samples + network.config.left_context_samples

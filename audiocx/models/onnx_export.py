"""Transcribers as ONNX files, which run without PyTorch: samples in, probabilities out.

Needs the extra ``onnx``. ``audiocx export --help`` tells how to use what it writes.
"""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.export import Dim

from .. import __version__
from ..api import load_transcriber
from ..checkpoints import identify
from ..config import to_dict
from ..errors import ConfigError
from ..io.atomic_write import atomic_write
from ..music.note_decoding import NoteOutputs
from . import MusicNetwork, NoteNetwork, TranscriberNetwork

__all__ = ["export_onnx"]


def export_onnx(name_or_path: str | Path, path: str | Path) -> Path:
    """Writes a transcriber as an ONNX file.

    Of a transcriber of single windows the input is "windows", float32 [B, window_samples], the output
    "probabilities", float32 [B, P]. Of a note network the input is "samples", float32 [B, N], whole recordings or
    blocks of them, the outputs are "onsets", "frames", "offsets" and "velocities", float32 [B, T, P] as in
    :func:`audiocx.models.note_blocks.infer_notes`. B and N are chosen when it runs. The file's metadata tell name,
    kind, sample_rate, hop_samples, lowest_note, decode (the checkpoint's settings as JSON), weights_sha256 and the
    version of audiocx; window_samples, or of a note network overlap_samples and step_samples: of a block that begins at
    a multiple of these, what is further than those from its ends is the same as uncut.

    Args:
        name_or_path: A name of ``audiocx.available()`` or a checkpoint folder.
        path: File to write; one that exists is replaced.

    Returns:
        The file.

    Raises:
        CheckpointError: There is no such checkpoint, it is damaged, or of a predictor.
        ConfigError: The extra ``onnx`` is not installed.
        OutputError: The file cannot be written.
    """
    missing = [name for name in ("onnx", "onnxscript") if find_spec(name) is None]
    if missing:
        raise ConfigError(f"Exporting needs {missing[0]}, which is not installed; run pip install 'audiocx[onnx]'.")
    checkpoint = load_transcriber(name_or_path, "cpu").checkpoint
    config = checkpoint.network.config
    with _quiet():
        program = _program(checkpoint.network)
    about = {
        "audiocx": __version__,
        "name": checkpoint.name,
        "kind": checkpoint.network.kind,
        "sample_rate": config.sample_rate,
        "hop_samples": checkpoint.hop_samples,
        "lowest_note": config.lowest_note,
        "decode": json.dumps(to_dict(checkpoint.decode)),
        "weights_sha256": identify(name_or_path)["weights_sha256"],
    }
    if isinstance(checkpoint.network, NoteNetwork):
        about["overlap_samples"] = _overlap_samples(checkpoint.network)
        about["step_samples"] = checkpoint.hop_samples * checkpoint.network.config.time_stride
    else:
        about["window_samples"] = config.window_samples
    program.model.metadata_props.update({name: str(value) for name, value in about.items()})
    with atomic_write(path) as temporary:
        program.save(temporary)
    return Path(path)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keeps back what the exporter says of itself and of packages that nothing here needs."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def _program(network: MusicNetwork) -> torch.onnx.ONNXProgram:
    batch = Dim("batch")
    model: nn.Module
    if isinstance(network, NoteNetwork):
        model, inputs, outputs = _OfRecordings(network), "samples", list(NoteOutputs._fields)
        shape, dynamic = (2, 2 * network.config.window_samples), {0: batch, 1: Dim("samples")}
    else:
        model, inputs, outputs = _OfWindows(network), "windows", ["probabilities"]
        shape, dynamic = (2, network.config.window_samples), {0: batch}
    program = torch.onnx.export(
        model.eval(),
        (torch.zeros(shape),),
        input_names=[inputs],
        output_names=outputs,
        dynamic_shapes=(dynamic,),
        dynamo=True,
        verbose=False,
    )
    assert program is not None
    return program


class _OfWindows(nn.Module):
    def __init__(self, network: TranscriberNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, windows: Tensor) -> Tensor:
        return self.network(windows).sigmoid()


class _OfRecordings(nn.Module):
    """A note network within silence: a frame for every hop begun, frame t centred at sample t * hop_samples."""

    def __init__(self, network: NoteNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, samples: Tensor) -> tuple[Tensor, ...]:
        config = self.network.config
        hop, reach, before = config.hop_samples, config.context_frames, _overlap_samples(self.network)
        # Enough for any length; the network leaves out what does not fill time_stride frames.
        silence = config.window_samples + hop * (2 * reach + config.time_stride) - 1
        logits = self.network(F.pad(samples, (before, silence - before)))
        frames = (samples.shape[1] + hop - 1) // hop
        *sure, velocities = (part[:, reach : reach + frames] for part in logits)
        return *(part.sigmoid() for part in sure), velocities.clamp(0, 1)


def _overlap_samples(network: NoteNetwork) -> int:
    """How far from a frame's centre the network hears."""
    return network.config.context_frames * network.config.hop_samples + network.config.left_context_samples

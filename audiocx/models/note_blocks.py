"""Inference of note networks over recordings or streams, in blocks of bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np
import torch

from ..notes import NoteOutputs
from .level import normalize_level
from .note_network import NoteConfig, NoteNetwork

__all__ = ["BLOCK_FRAMES", "NoteOutputs", "infer_notes", "probabilities_at", "infer_notes_stream"]

# Long beside the overlap of the blocks, and a few hundred megabytes of feature maps.
BLOCK_FRAMES = 512


def infer_notes(
    network: NoteNetwork,
    samples: np.ndarray,
    block_frames: int | None = None,
    report: Callable[[int], object] | None = None,
) -> NoteOutputs:
    """Run a note network over a recording; the outputs do not depend on the blocks.

    Args:
        network: In evaluation mode.
        samples: float32 [N], at the network's sample rate; silence before and behind.
        block_frames: Frames in a block, about; the network sees ``context_frames`` more on either side. None for
            :data:`BLOCK_FRAMES`, or more if the context is long.
        report: Called with the number of frames done since the last call.

    Returns:
        float32 [ceil(N / hop_samples), P] each; frame t is centred at sample t * hop_samples.
    """
    shape = -(-len(samples) // network.config.hop_samples), network.config.outputs
    result = NoteOutputs(*(np.empty(shape, np.float32) for _ in NoteOutputs._fields))
    done = 0
    for block in infer_notes_stream(network, [samples], block_frames):
        after = done + len(block.frames)
        for whole, part in zip(result, block, strict=True):
            whole[done:after] = part
        if report:
            report(after - done)
        done = after
    return result


def probabilities_at(
    network: NoteNetwork, samples: np.ndarray, centres: np.ndarray, report: Callable[[int], object] | None = None
) -> np.ndarray:
    """Run a note network at chosen moments of a recording, its frames shifted to start at the first.

    Args:
        network: In evaluation mode.
        samples: float32 [N], at the network's sample rate.
        centres: Samples at which the frames are centred, whole hops apart, int64 [T].
        report: Called with the number of frames when they are done.

    Returns:
        The probabilities that notes sound, float32 [T, P].

    Raises:
        ValueError: The moments lie otherwise.
    """
    silence = -centres[0] % network.config.hop_samples if len(centres) else 0
    frames, beside = np.divmod(centres + silence, network.config.hop_samples)
    if beside.any():
        raise ValueError(f"the moments must lie whole hops apart, multiples of {network.config.hop_samples} samples.")
    heard = infer_notes(network, np.concatenate([np.zeros(silence, np.float32), samples]))
    if report:
        report(len(frames))
    return heard.frames[frames]


def infer_notes_stream(
    network: NoteNetwork, chunks: Iterable[np.ndarray], block_frames: int | None = None
) -> Iterator[NoteOutputs]:
    """Run a note network over a recording that comes in chunk by chunk.

    After each chunk it gives the frames that no later sample can change: those that lie half the longest window and
    ``context_frames`` behind. Each time costs twice ``context_frames`` more, so that chunks of a second take less work
    than chunks of a tenth.

    Args:
        network: In evaluation mode.
        chunks: float32 [N] each, of any lengths, at the network's sample rate.
        block_frames: Frames in a block; None as in :func:`infer_notes`.

    Yields:
        The next frames, float32 [1 to block_frames, P] each; all together are what :func:`infer_notes` gives.
    """
    config = network.config
    # Blocks stay long beside their overlap.
    block_frames = block_frames or BLOCK_FRAMES * -(-config.context_frames // 100)
    held, length, done = np.empty(0, np.float32), 0, 0

    def counted() -> Iterator[np.ndarray]:
        nonlocal length
        for chunk in chunks:
            length += len(chunk)
            yield chunk

    samples: Iterable[np.ndarray] = counted()
    if config.level_dbfs is not None:
        samples = normalize_level(samples, config.sample_rate, config.level_dbfs)
    for chunk in _within_silence(samples, config):
        held = np.concatenate([held, chunk])
        while (frames := _ready(len(held), block_frames, config)) > 0:
            seen = (frames + 2 * config.context_frames) * config.hop_samples + config.windows[0]
            # The last may have been rounded up.
            block = NoteOutputs(
                *(part[: -(-length // config.hop_samples) - done] for part in _evidence(network, held[:seen]))
            )
            if len(block.frames):
                yield block
            held, done = held[frames * config.hop_samples :], done + frames


def _ready(samples: int, most: int, config: NoteConfig) -> int:
    """How many frames so many samples are enough for, a multiple of those answered for together."""
    frames = (samples - config.windows[0]) // config.hop_samples - 2 * config.context_frames
    step = config.time_stride
    return min(frames // step, max(most // step, 1)) * step


def _within_silence(chunks: Iterable[np.ndarray], config: NoteConfig) -> Iterator[np.ndarray]:
    """As much silence before the first chunk and behind the last as makes a frame of every hop begun."""
    hop, reach = config.hop_samples, config.context_frames * config.hop_samples
    yield np.zeros(reach + config.left_context_samples, np.float32)
    length = 0
    for chunk in chunks:
        length += len(chunk)
        yield chunk.astype(np.float32, copy=False)
    yield np.zeros(
        -length % (hop * config.time_stride) + reach + config.windows[0] - config.left_context_samples, np.float32
    )


@torch.inference_mode()
def _evidence(network: NoteNetwork, samples: np.ndarray) -> NoteOutputs:
    """Of all frames but the outer ``context_frames``, which see beyond the samples [N]."""
    reach = network.config.context_frames
    logits = network(torch.from_numpy(samples)[None].to(next(network.parameters()).device))
    onsets, frames, offsets, velocities = (part[0, reach : part.shape[1] - reach].float() for part in logits)
    parts = (onsets.sigmoid(), frames.sigmoid(), offsets.sigmoid(), velocities.clamp(0, 1))
    return NoteOutputs(*(part.cpu().numpy() for part in parts))

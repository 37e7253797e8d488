"""Inference of note networks over recordings or streams, in blocks of bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from weakref import WeakKeyDictionary

import numpy as np

from ..io.disk_array import in_blocks
from ..notes import NoteOutputs
from .configs import NoteConfig
from .level import normalize_level
from .runtime import RunnableNetwork

__all__ = ["BODY_FRAMES", "infer_notes", "infer_notes_stream", "probabilities_at"]

# Frames of a block of the first convolutions, which have a bin for each third of a semitone: few, to save memory.
STEM_FRAMES = 256
# Samples that are normalised and joined at a time, 24 s at 11025 Hz.
CHUNK_SAMPLES = 2**18
# Frames of a block of the later convolutions: many, for blocks overlap by 64 to 112 frames on either side, but not
# more, for memory.
BODY_FRAMES = 768
_SILENT_FEATURES: WeakKeyDictionary[RunnableNetwork, np.ndarray] = WeakKeyDictionary()


def infer_notes(
    network: RunnableNetwork,
    samples: np.ndarray,
    block_frames: int | None = None,
    report: Callable[[int], object] | None = None,
) -> NoteOutputs:
    """Run a note network over a recording; the outputs do not depend on the blocks.

    Args:
        network: A note network, such as :class:`audiocx.models.runtime.TorchNetwork`.
        samples: float32 [N], at the network's sample rate; padded with silence at both ends.
        block_frames: Frames of a block, about; blocks overlap by ``context_frames`` on either side. None for
            :data:`BODY_FRAMES`.
        report: Called with the number of frames done since the last call.

    Returns:
        Probabilities and velocities, float32 [ceil(N / hop_samples), P] each; frame t is centred at sample
        t * hop_samples.
    """
    shape = -(-len(samples) // network.config.hop_samples), network.config.outputs
    result = NoteOutputs(*(np.empty(shape, np.float32) for _ in NoteOutputs._fields))
    done = 0
    for block in infer_notes_stream(network, [samples], block_frames, live=False):
        stop = done + len(block.frames)
        for whole, part in zip(result, block, strict=True):
            whole[done:stop] = part
        if report:
            report(stop - done)
        done = stop
    return result


def probabilities_at(
    network: RunnableNetwork, samples: np.ndarray, centres: np.ndarray, report: Callable[[int], object] | None = None
) -> np.ndarray:
    """Run a note network on chosen frames of a recording, with its frame grid shifted to the first of them.

    Args:
        network: A note network, such as :class:`audiocx.models.runtime.TorchNetwork`.
        samples: float32 [N], at the network's sample rate.
        centres: Centres of the frames in samples, whole hops apart, int64 [T].
        report: Called with the number of frames when they are done.

    Returns:
        Frame probabilities, float32 [T, P].

    Raises:
        ValueError: The frames are not whole hops apart.
    """
    hop_samples = network.config.hop_samples
    padding = -centres[0] % hop_samples if len(centres) else 0
    frames, remainders = np.divmod(centres + padding, hop_samples)
    if remainders.any():
        raise ValueError(f"the frames must lie whole hops apart, multiples of {hop_samples} samples.")
    outputs = infer_notes(network, np.concatenate([np.zeros(padding, np.float32), samples]))
    if report:
        report(len(frames))
    return outputs.frames[frames]


def infer_notes_stream(
    network: RunnableNetwork,
    chunks: Iterable[np.ndarray],
    block_frames: int | None = None,
    live: bool = True,
) -> Iterator[NoteOutputs]:
    """Run a note network over a recording that arrives chunk by chunk.

    Live, it yields after each chunk the frames that no later sample can change: the latency is half the longest window
    and ``context_frames``. Each block computes ``context_frames`` more on either side, so that chunks of a second take
    less work than chunks of a tenth, and blocks that wait until they are full less still.

    Args:
        network: A note network, such as :class:`audiocx.models.runtime.TorchNetwork`.
        chunks: float32 [N] each, of any lengths, at the network's sample rate.
        block_frames: Most frames of a block; None as in :func:`infer_notes`.
        live: Yield what is ready after each chunk; False to wait for full blocks.

    Yields:
        The next frames, float32 [1 to block_frames, P] each; concatenated, they are the result of :func:`infer_notes`.
    """
    config = network.config
    block_frames = block_frames or BODY_FRAMES
    length = 0

    def counted() -> Iterator[np.ndarray]:
        nonlocal length
        for chunk in chunks:
            length += len(chunk)
            yield from in_blocks(chunk, CHUNK_SAMPLES)

    samples: Iterable[np.ndarray] = counted()
    if config.level_dbfs is not None:
        samples = normalize_level(samples, config.sample_rate, config.level_dbfs)
    stride, context, done = config.time_stride, config.body_context, 0
    positions = max(block_frames // stride, 1)
    silence = np.repeat(_silent_features(network), context - _reach(config), 2)
    parts, held = [silence], silence.shape[2]
    for features, is_last in _feature_stream(network, _padded(samples, config), min(block_frames, STEM_FRAMES), live):
        new = [features, silence] if is_last else [features]
        parts, held = parts + new, held + sum(part.shape[2] for part in new)
        least = 1 if live or is_last else positions
        while (count := min(held - 2 * context, positions)) >= least:
            buffer = np.concatenate(parts, 2)  # not before there are enough, for each copies all of them
            outputs = network.run("probabilities", buffer[:, :, : count + 2 * context])
            # The last block is rounded up to a multiple of time_stride.
            remaining = -(-length // config.hop_samples) - done
            block = NoteOutputs(*(part[0, :remaining] for part in outputs))
            if len(block.frames):
                yield block
            parts, held, done = [buffer[:, :, count:].copy()], held - count, done + count * stride


def _silent_features(network: RunnableNetwork) -> np.ndarray:
    """Return the feature maps of silence, [1, C, 1, P]: all positions are alike; computed once for each network."""
    if network not in _SILENT_FEATURES:
        config = network.config
        frames = config.time_stride + 2 * config.stem_context_frames
        zeros = np.zeros((1, frames * config.hop_samples + config.windows[0]), np.float32)
        _SILENT_FEATURES[network] = network.run("features", zeros)[0]
    return _SILENT_FEATURES[network]


def _reach(config: NoteConfig) -> int:
    """Return the number of positions before and after a recording whose features it may change, within the context."""
    farthest_samples = max(config.left_context_samples, config.windows[0] - config.left_context_samples)
    frames = config.stem_context_frames + -(-farthest_samples // config.hop_samples)
    return min(-(-frames // config.time_stride), config.body_context)


def _feature_stream(
    network: RunnableNetwork, chunks: Iterable[tuple[np.ndarray, bool]], block_frames: int, live: bool
) -> Iterator[tuple[np.ndarray, bool]]:
    """Yield feature maps [1, C, T, P] of consecutive positions, and whether they are the last."""
    config, stride = network.config, network.config.time_stride
    context = config.stem_context_frames
    most = max(block_frames // stride, 1) * stride
    buffer = np.empty(0, np.float32)
    for chunk, is_last in chunks:
        buffer = np.concatenate([buffer, chunk])
        least = 1 if live or is_last else most
        while (count := min(_complete_frames(len(buffer), config), most)) >= least:
            block_samples = (count + 2 * context) * config.hop_samples + config.windows[0]
            ends = is_last and count == _complete_frames(len(buffer), config)
            yield network.run("features", buffer[None, :block_samples])[0], ends
            buffer = buffer[count * config.hop_samples :]


def _complete_frames(samples: int, config: NoteConfig) -> int:
    """Return the number of frames whose features the samples determine, a multiple of ``time_stride``."""
    frames = (samples - config.windows[0]) // config.hop_samples - 2 * config.stem_context_frames
    return frames // config.time_stride * config.time_stride


def _padded(chunks: Iterable[np.ndarray], config: NoteConfig) -> Iterator[tuple[np.ndarray, bool]]:
    """Yield the chunks and whether they are the last, with silence before and after for the positions they reach."""
    hop = config.hop_samples
    context_samples = (config.stem_context_frames + _reach(config) * config.time_stride) * hop
    yield np.zeros(context_samples + config.left_context_samples, np.float32), False
    length = 0
    for chunk in chunks:
        length += len(chunk)
        yield chunk.astype(np.float32, copy=False), False
    right_context_samples = context_samples + config.windows[0] - config.left_context_samples
    yield np.zeros(-length % (hop * config.time_stride) + right_context_samples, np.float32), True

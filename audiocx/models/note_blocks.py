"""Inference of note networks over recordings or streams, in blocks of bounded memory."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator
from weakref import WeakKeyDictionary

import numpy as np

from ..io.disk_array import in_blocks
from ..notes import NoteOutputs
from .configs import NoteConfig
from .level import LevelNormalizer
from .runtime import RunnableNetwork

__all__ = ["BODY_FRAMES", "NoteStream", "infer_notes", "infer_notes_stream", "probabilities_at"]

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
    stream = NoteStream(network, block_frames, live)
    for chunk in chunks:
        for samples in in_blocks(chunk, CHUNK_SAMPLES):
            yield from stream.push(samples)
    yield from stream.finish()


class NoteStream:
    """A note network over samples that are pushed.

    Args:
        network: A note network, such as :class:`audiocx.models.runtime.TorchNetwork`.
        block_frames: Most frames of a block; None as in :func:`infer_notes`.
        live: Yield what is ready after each push; False to wait for full blocks.
    """

    def __init__(self, network: RunnableNetwork, block_frames: int | None = None, live: bool = True) -> None:
        config: NoteConfig = network.config
        self._network, self._config, self._live = network, config, live
        block_frames = block_frames or BODY_FRAMES
        self._stem_frames = max(min(block_frames, STEM_FRAMES) // config.time_stride, 1) * config.time_stride
        self._positions = max(block_frames // config.time_stride, 1)
        self._normalizer = None
        if config.level_dbfs is not None:
            self._normalizer = LevelNormalizer(config.sample_rate, config.level_dbfs)
        self._silence = np.repeat(_silent_features(network), config.body_context - _reach(config), 2)
        # Features of the positions that are needed, and how many they are; samples from the next position's on.
        self._parts, self._held = [self._silence], self._silence.shape[2]
        self._samples = np.zeros(_context_samples(config) + config.left_context_samples, np.float32)
        self._length = self._frames = 0

    def push(self, samples: np.ndarray) -> Iterator[NoteOutputs]:
        """Add samples, and yield the frames that no later sample can change.

        Args:
            samples: float32 [N], at the network's sample rate.

        Yields:
            The next frames, float32 [1 to block_frames, P] each; all are to be taken before the next push.
        """
        self._add(samples)
        for features in self._features(1 if self._live else self._stem_frames):
            self._append(features)
            yield from self._outputs(1 if self._live else self._positions)

    def finish(self) -> Iterator[NoteOutputs]:
        """Yield the frames that are left, at the end of the recording; there is nothing to push after it."""
        config = self._config
        rest = [] if self._normalizer is None else [self._normalizer.flush()]
        padding = -self._length % (config.hop_samples * config.time_stride)
        after = padding + _context_samples(config) + config.windows[0] - config.left_context_samples
        self._samples = np.concatenate([self._samples, *rest, np.zeros(after, np.float32)])
        for features in self._features(1):
            last = _complete_frames(len(self._samples), config) == 0
            for each in (features, self._silence) if last else (features,):
                self._append(each)
            yield from self._outputs(1)

    def push_with_preview(self, samples: np.ndarray) -> tuple[NoteOutputs, NoteOutputs]:
        """Add samples, and run the network as if the recording ended with them, too.

        Both take one run of the later convolutions, for their first outputs are the same.

        Args:
            samples: float32 [N], at the network's sample rate.

        Returns:
            The frames that no later sample can change, as of :meth:`push`; and the frames after them up to the last
            sample, which later samples may change, the more the newer the frame is.
        """
        self._add(samples)
        ready: list[NoteOutputs] = []
        for features in self._features(1):
            self._append(features)
            ready += self._outputs(self._positions)
        fork = copy.copy(self)  # its arrays are replaced, never written to
        fork._normalizer = copy.copy(self._normalizer)
        rest = self._joined(fork.finish())
        count = max(self._held - 2 * self._config.body_context, 0)
        frames = count * self._config.time_stride
        self._parts, self._held = [np.concatenate(self._parts, 2)[:, :, count:].copy()], self._held - count
        self._frames += frames
        final = self._joined([*ready, NoteOutputs(*(part[:frames] for part in rest))])
        return final, NoteOutputs(*(part[frames:] for part in rest))

    def _joined(self, blocks: Iterable[NoteOutputs]) -> NoteOutputs:
        empty = NoteOutputs(*[np.zeros((0, self._config.outputs), np.float32)] * len(NoteOutputs._fields))
        return NoteOutputs(*map(np.concatenate, zip(empty, *blocks, strict=True)))

    def _add(self, samples: np.ndarray) -> None:
        self._length += len(samples)
        samples = samples.astype(np.float32, copy=False)
        ready = samples if self._normalizer is None else self._normalizer.push(samples)
        self._samples = np.concatenate([self._samples, ready])

    def _append(self, features: np.ndarray) -> None:
        self._parts, self._held = [*self._parts, features], self._held + features.shape[2]

    def _features(self, least: int) -> Iterator[np.ndarray]:
        """Yield the feature maps [1, C, T, P] of consecutive positions, while there are at least so many frames."""
        config = self._config
        context = config.stem_context_frames
        while (count := min(_complete_frames(len(self._samples), config), self._stem_frames)) >= least:
            block_samples = (count + 2 * context) * config.hop_samples + config.windows[0]
            features = self._network.run("features", self._samples[None, :block_samples])[0]
            self._samples = self._samples[count * config.hop_samples :]
            yield features

    def _outputs(self, least: int) -> Iterator[NoteOutputs]:
        """Yield the outputs of consecutive positions, while there are at least so many."""
        context = self._config.body_context
        while (count := min(self._held - 2 * context, self._positions)) >= least:
            buffer = np.concatenate(self._parts, 2)  # not before there are enough, for each copies all of them
            outputs = self._network.run("probabilities", buffer[:, :, : count + 2 * context])
            # The last block is rounded up to a multiple of time_stride.
            remaining = -(-self._length // self._config.hop_samples) - self._frames
            self._parts, self._held = [buffer[:, :, count:].copy()], self._held - count
            block = NoteOutputs(*(part[0, :remaining] for part in outputs))
            self._frames += len(block.frames)
            if len(block.frames):
                yield block


def _context_samples(config: NoteConfig) -> int:
    """Return the length of the silence before and after a recording of which features are computed."""
    return (config.stem_context_frames + _reach(config) * config.time_stride) * config.hop_samples


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


def _complete_frames(samples: int, config: NoteConfig) -> int:
    """Return the number of frames whose features the samples determine, a multiple of ``time_stride``."""
    frames = (samples - config.windows[0]) // config.hop_samples - 2 * config.stem_context_frames
    return frames // config.time_stride * config.time_stride

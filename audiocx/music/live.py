"""Live transcription: the notes of sound while it is played."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import AudioError, ConfigError
from ..io.disk_array import DiskArray
from ..io.resampling import MAX_RATE, MIN_RATE, Resampler
from ..models.note_blocks import NoteStream
from ..notes import Note, NoteOutputs
from .note_stream import StreamDecoder
from .note_transcriber import NoteModelOutputs, NoteTranscriber
from .transcriber import Transcriber
from .tuning import check_cents

__all__ = ["LiveTranscriber", "LiveUpdate"]

# A note is shown when its onset is this old: what comes later hardly ever changes it (docs/live.md).
SHOWN_AFTER_S = 0.15
# A note whose end is not this old may well go on: the end of the sound so far looks like the end of its notes.
HELD_S = 0.25
# Shortest block, and the share of the time that runs of the network may take, from which longer ones follow.
LEAST_BLOCK_S = 0.1
MOST_LOAD = 0.5
# Blocks are no longer than this, however slow the machine.
LONGEST_BLOCK_S = 4.0
SMOOTHING = 0.3


class LiveUpdate(NamedTuple):
    """What is known after some more sound.

    Attributes:
        notes: Notes that have ended since the last update; they are final.
        sounding: All notes that have begun and are not final; a later update may change or drop them. Those that still
            sound have ``offset_s`` = ``time_s``.
        time_s: Length of the sound so far, in seconds.
    """

    notes: list[Note]
    sounding: list[Note]
    time_s: float


class LiveTranscriber:
    """A note network that transcribes sound as it arrives.

    The final notes are those that ``transcriber.transcribe`` finds in the same samples, with the same tuning, up to
    rounding, whatever the blocks. There is one exception: the level of a stream is not known before its end. Networks
    that normalise the level themselves, such as notes-complex, need none; for others a recording whose level is unusual
    (not from -50 to 1 dBFS) is scaled, and a stream is not.

    A note is final when it has ended and no later sample can change it, 2.5 s (notes-complex) or 1.3 s
    (notes-complex-small) after its end. Before that, the network runs as if the sound had ended, and notes are shown as
    sounding from 0.15 s after their onset. Each takes the block and its run longer; docs/live.md has the figures.

    Args:
        transcriber: By a note network.
        sample_rate: Rate of the samples, in Hz.
        tuning_cents: How many cents above 440 Hz the A4 of what is played is, within +-100, which is compensated.
        threshold: Least probability of a note's onset; None for the checkpoint's.
        min_note_s: Notes shorter than this are dropped, in seconds; None for the checkpoint's.
        block_s: Seconds of sound to collect before the network runs; None for as few as keep up with the sound in half
            the time, from 0.1 to 4.
        clock: Measures how long the network takes, in seconds.
        keep_outputs: Keep the outputs of the network in temporary files, 0.44 GB an hour, for :meth:`outputs`.

    Attributes:
        config: Configuration of the network.
        settings: Decoding settings.
        frame_rate: Frames a second of the outputs.
        runs: How often the network has run.

    Raises:
        ConfigError: The transcriber has no note network, or an option is out of range.
        OutputError: There is no room for temporary files.
    """

    def __init__(
        self,
        transcriber: Transcriber,
        sample_rate: float,
        tuning_cents: float = 0.0,
        *,
        threshold: float | None = None,
        min_note_s: float | None = None,
        block_s: float | None = None,
        keep_outputs: bool = True,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        if not isinstance(transcriber, NoteTranscriber):
            raise ConfigError(
                f"{transcriber.checkpoint.name} needs whole recordings; choose a note network, such as notes-complex."
            )
        if not MIN_RATE <= sample_rate <= MAX_RATE:
            raise ConfigError(f"The sample rate must be from {MIN_RATE} to {MAX_RATE} Hz, not {sample_rate:g}.")
        if block_s is not None and not block_s > 0:
            raise ConfigError(f"block_s must be positive, not {block_s}.")
        self.config: Any = transcriber.config
        self.settings = transcriber.checkpoint.decode.with_options(threshold, min_note_s)
        self.sample_rate, self.tuning_cents = sample_rate, check_cents(tuning_cents)
        # As audiocx.music.tuning.retuned does: a whole rate makes the ratio of durations exact.
        played_rate = round(self.config.sample_rate * 2 ** (tuning_cents / 1200))
        self._resamplers = [Resampler(sample_rate, self.config.sample_rate)]
        if played_rate != self.config.sample_rate:
            self._resamplers.append(Resampler(self.config.sample_rate, played_rate))
        self._network_rate = self.config.sample_rate * (played_rate / self.config.sample_rate)
        self.frame_rate = self._network_rate / self.config.hop_samples
        self._stream = NoteStream(transcriber.network)
        self._decoder = StreamDecoder(self.frame_rate, self.settings, self.config.lowest_note)
        self._block_s, self._clock = block_s, clock
        self._cost_s = 0.0  # of a run, lately
        self._pending: list[NDArray[np.float32]] = []
        self._pending_samples = self._samples = self._network_samples = 0
        # Notes that are not final; those that end after `held_s` may sound on.
        self._sounding: list[Note] = []
        self._held_s = 0.0
        self._finished, self.runs = False, 0
        names = NoteOutputs._fields if keep_outputs else ()
        self._kept = [DiskArray(np.float32, self.config.outputs) for _ in names]
        self._outputs: NoteModelOutputs | None = None

    @property
    def time_s(self) -> float:
        """Length of the sound so far, in seconds."""
        return self._samples / self.sample_rate

    @property
    def block_s(self) -> float:
        """Seconds of sound that are collected before the network runs next."""
        if self._block_s is not None:
            return self._block_s
        return min(max(self._cost_s / MOST_LOAD, LEAST_BLOCK_S), LONGEST_BLOCK_S)

    def push(self, samples: NDArray[np.floating], preview: bool = True) -> LiveUpdate:
        """Add samples.

        Args:
            samples: Mono, float [N], full scale at 1, of any length.
            preview: Find the notes that sound, too; without, there is less to compute.

        Returns:
            What is known then; most often only the time has changed, until a block is complete.

        Raises:
            AudioError: The samples are not of one dimension, or not finite.
            OutputError: There is no room for temporary files.
            ValueError: It is finished.
        """
        if self._finished:
            raise ValueError("the stream is finished; make another LiveTranscriber.")
        # A copy, for callers such as sound cards use their buffer again.
        block = np.array(samples, np.float32)
        if block.ndim != 1:
            raise AudioError(f"A live stream takes mono samples, [N], not of shape {block.shape}; mix them down first.")
        if not np.isfinite(block).all():
            raise AudioError("The samples hold NaN or infinity; check where they come from.")
        self._pending.append(block)
        self._pending_samples += len(block)
        self._samples += len(block)
        if self._pending_samples < self.block_s * self.sample_rate:
            return self._update([])
        self.runs += 1
        began_s = self._clock()
        notes = self._run(self._resampled(), preview)
        # Smoothed, for other programs run, too.
        self._cost_s += SMOOTHING * (self._clock() - began_s - self._cost_s)
        return self._update(notes)

    def finish(self) -> LiveUpdate:
        """End the stream.

        Returns:
            The notes that are left; none sounds.

        Raises:
            OutputError: There is no room for temporary files.
            ValueError: It is finished already.
        """
        if self._finished:
            raise ValueError("the stream is finished already.")
        samples = [self._resampled()]
        for index, resampler in enumerate(self._resamplers):
            rest = resampler.finish()
            for later in self._resamplers[index + 1 :]:
                rest = later.push(rest)
            samples.append(rest)
        notes = self._run(np.concatenate(samples), preview=False)
        for block in self._stream.finish():
            notes += self._decode(block)
        notes += self._decoder.finish()
        self._finished = True
        return self._update(sorted(notes))

    def outputs(self) -> NoteModelOutputs:
        """Return the outputs of the network for the whole stream, to decode them with other settings.

        Returns:
            The outputs, memory-mapped; ``decode(settings)`` finds the notes.

        Raises:
            ConfigError: They were not kept.
            OutputError: There is no room for temporary files.
            ValueError: The stream is not finished.
        """
        if not self._finished:
            raise ValueError("finish the stream first.")
        if self._outputs is None:
            if not self._kept:
                raise ConfigError("The outputs were not kept; make the LiveTranscriber with keep_outputs=True.")
            onsets, frames, offsets, velocities = (kept.array() for kept in self._kept)
            lowest_note = self.config.lowest_note
            self._outputs = NoteModelOutputs(frames, self.frame_rate, lowest_note, onsets, offsets, velocities)
        return self._outputs

    def _update(self, notes: list[Note]) -> LiveUpdate:
        now_s = self.time_s
        sounding = [replace(note, offset_s=now_s) if note.offset_s >= self._held_s else note for note in self._sounding]
        return LiveUpdate(notes, sounding, now_s)

    def _resampled(self) -> NDArray[np.float32]:
        """Take the samples that wait, at the rate of the network."""
        samples = np.concatenate([np.zeros(0, np.float32), *self._pending])
        self._pending, self._pending_samples = [], 0
        for resampler in self._resamplers:
            samples = resampler.push(samples)
        return samples

    def _run(self, samples: NDArray[np.float32], preview: bool) -> list[Note]:
        """Run the network on more samples, and return the notes that are final."""
        self._network_samples += len(samples)
        if not preview:
            notes = [note for block in self._stream.push(samples) for note in self._decode(block)]
            self._sounding = []
            return sorted(notes)
        final, provisional = self._stream.push_with_preview(samples)
        notes = self._decode(final)
        now_s = self._network_samples / self._network_rate
        self._held_s = now_s - HELD_S
        begun_s = now_s - SHOWN_AFTER_S
        self._sounding = [note for note in self._decoder.preview(provisional) if note.onset_s <= begun_s]
        return notes

    def _decode(self, block: NoteOutputs) -> list[Note]:
        for kept, part in zip(self._kept, block, strict=False):
            kept.append(part)
        return self._decoder.push(block)

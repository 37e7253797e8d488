"""Mixing of channels down to one.

The rule: channels are averaged, except that

- a channel is left out that holds NaN or infinite samples, that is silent or constant while another is not (60 dB below
  the loudest), or that is white noise at a high level while another is sound;
- where the channels cancel one another, as in anti-phase stereo, in passages with more than a twentieth of the energy,
  the loudest channel is taken alone;
- samples beyond 24 dB above full scale are scaled to a peak of 1, all channels alike.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import AudioError

__all__ = ["LOUDEST_PEAK", "MAX_COMPARED_CHANNELS", "ChannelSurvey", "LevelSurvey", "Mix"]

# Beyond this peak the samples are not of full scale 1.
LOUDEST_PEAK = 16.0
LEAST_FRAMES = 1024  # of shorter recordings channels are not compared
SEGMENT_FRAMES = 8192  # in which channels are compared; of many channels more, for memory
NEIGHBOURS = 2048  # of a block, for the correlation of neighbouring samples
SILENT_POWER = 1e-6  # relative to the loudest channel
# Of two channels without relation the mean has half of their mean power; of channels that cancel, less than 0.2 of that
MAX_COMPARED_CHANNELS = 32  # more are microphones of an array, say
CANCELLED = 0.2
CANCELLED_SHARE = 0.05
AS_LOUD = 0.99  # of channels whose energies differ by less the first is taken
# Correlation of neighbouring samples: of white noise 0, of music and speech above 0.5.
NOISE_CORRELATION, SOUND_CORRELATION = 0.1, 0.4
NOISE_POWER = 0.03  # -15 dBFS; hiss is lower


@dataclass(frozen=True)
class Mix:
    """How to bring channels to one, or to scale them.

    Attributes:
        channels: Channels to average; None for all.
        gain: Factor for all samples.
        remarks: What was done, for the user.
    """

    channels: tuple[int, ...] | None = None
    gain: float = 1.0
    remarks: tuple[str, ...] = ()

    def apply(self, block: NDArray[np.floating], mono: bool) -> NDArray[np.float32]:
        """Mix a block.

        Args:
            block: Float [N, C].
            mono: Average the channels; else only scale them.

        Returns:
            Float32 [N] if mono, else [N, C].
        """
        if mono and self.channels is not None:
            block = block[:, list(self.channels)]
        if self.gain != 1.0:
            block = block * self.gain
        if mono:
            channels = block.shape[1]  # a product takes a sixtieth of the time of mean()
            block = block[:, 0] if channels == 1 else block @ np.full(channels, 1 / channels, block.dtype)
        return block.astype(np.float32, copy=False)


class LevelSurvey:
    """Peaks of a recording, and its channels that hold NaN or infinite samples.

    Args:
        channels: Number of channels.

    Attributes:
        faulty: Whether a channel holds NaN or infinite samples, bool [C].
    """

    def __init__(self, channels: int) -> None:
        self.faulty = np.zeros(channels, bool)
        self._peak = 0.0

    def add(self, block: NDArray[np.floating]) -> None:
        """Add a block, float [N, C]."""
        finite = np.isfinite(block).all(axis=0)
        self.faulty |= ~finite
        self._peak = max(self._peak, float(np.abs(block[:, finite]).max(initial=0.0)))

    def gain(self, name: str, mono: bool) -> tuple[float, tuple[str, ...]]:
        """Return the factor for the samples, and what to say about it.

        Args:
            name: What to call the recording.
            mono: Whether faulty channels can be left out.

        Raises:
            AudioError: All channels are faulty, or one that is wanted.
        """
        if self.faulty.all() or (self.faulty.any() and not mono):
            raise AudioError(f"{name}: holds NaN or infinite samples; export it again as 16- or 24-bit PCM.")
        if self._peak <= LOUDEST_PEAK:
            return 1.0, ()
        return 1 / self._peak, (f"peak of {self._peak:.3g} scaled to 1",)


class ChannelSurvey:
    """Powers of the channels of a recording, and how they are related.

    Args:
        channels: Number of channels.
    """

    def __init__(self, channels: int) -> None:
        self._channels = channels
        self._segment_frames = SEGMENT_FRAMES * max(1, channels**2 // 16)
        self._products: list[NDArray[np.float64]] = []  # covariance of the channels, [C, C], times frames, by segment
        self._neighbours, self._neighbours_energy = np.zeros(channels), np.zeros(channels)  # of pairs of samples
        self._frames = 0
        self._start_segment()

    def _start_segment(self) -> None:
        self._sums, self._squares = np.zeros(self._channels), np.zeros((self._channels, self._channels))
        self._in_segment = 0

    def add(self, block: NDArray[np.floating]) -> None:
        """Add a block, float [N, C], finite."""
        while len(block):
            part, block = np.split(block, [self._segment_frames - self._in_segment])
            self._sums += np.ones(len(part), part.dtype) @ part
            self._squares += part.T @ part
            some = part[:NEIGHBOURS]
            self._neighbours += np.einsum("nc,nc->c", some[:-1], some[1:])
            self._neighbours_energy += np.einsum("nc,nc->c", some, some)
            self._frames += len(part)
            self._in_segment += len(part)
            if self._in_segment == self._segment_frames:
                self._end_segment()

    def _end_segment(self) -> None:
        means = self._sums / self._in_segment
        self._products.append(self._squares - self._in_segment * np.outer(means, means))
        self._start_segment()

    def mix(self, faulty: NDArray[np.bool_]) -> Mix:
        """Decide which channels to average; see the rule of this module.

        Args:
            faulty: Channels to leave out in any case, bool [C].
        """
        if self._in_segment:
            self._end_segment()
        if self._frames < LEAST_FRAMES and not faulty.any():
            return Mix()
        products = np.stack(self._products)
        energy = np.einsum("scc->c", products).clip(0)
        silent = ~faulty & (energy < SILENT_POWER * energy.max())
        correlation = self._neighbours / np.maximum(self._neighbours_energy, 1e-30)
        sound = ~(faulty | silent)
        noise = sound & (np.abs(correlation) < NOISE_CORRELATION) & (energy > NOISE_POWER * self._frames)
        noise &= bool((sound & (correlation > SOUND_CORRELATION)).any())
        used = np.flatnonzero(sound & ~noise)
        remarks = [
            f"{_listed(np.flatnonzero(which))} left out ({reason})"
            for which, reason in ((faulty, "NaN or infinite samples"), (silent, "silent or constant"), (noise, "noise"))
            if which.any()
        ]
        if len(used) > 1 and _cancel(products[:, used][:, :, used]):
            loudest = int(used[np.argmax(energy[used] > AS_LOUD * energy[used].max())])
            remarks.append(f"{_listed(used)} cancel each other: channel {loudest + 1} alone")
            used = np.array([loudest])
        return Mix(tuple(map(int, used)), 1.0, tuple(remarks)) if remarks else Mix()


def _cancel(products: NDArray[np.float64]) -> bool:
    """Return whether channels cancel in their mean, from their covariance [S, C, C] in each segment."""
    channels = products.shape[1]
    each = np.einsum("scc->s", products) / channels
    mean = products.sum(axis=(1, 2)) / channels**2
    cancelled = mean < CANCELLED * each / channels
    return bool(each[cancelled].sum() > CANCELLED_SHARE * each.sum())


def _listed(channels: NDArray[np.intp]) -> str:
    numbers = ", ".join(str(channel + 1) for channel in channels)
    return f"channel{'' if len(channels) == 1 else 's'} {numbers}"

"""Note networks: onset, frame, offset and velocity predictions for every frame of a recording.

A complex network over time and log frequency, or its real counterpart. Its input is complex spectra of two window
lengths with phase increments (:class:`audiocx.models.log_spectrum.LogSpectrum`), the harmonics of each pitch stacked
as channels. A few convolutions reduce three bins a semitone to one a note, one spans an octave, and residual blocks
with growing dilation span time. The receptive field is ``context_frames`` on either side, so that a recording can be
cut into blocks that overlap by as much, with the same outputs as uncut.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..config import check_fields
from ..notes import NoteOutputs
from .layer_factory import Activation, Layers, activation, conv, norm
from .log_spectrum import LogSpectrum, Phase

__all__ = ["NoteConfig", "NoteOutputs", "NoteNetwork"]

# Notes begin and end in few frames: starting there saves the network from learning it first.
_RARE, _USUAL, _MEDIUM = -5.0, -3.0, 0.5
_KERNEL = 3
# Blocks begin as a small change to what goes through: however many there are, the network learns without a norm of its
# activations, which takes half of a training step. Source: De & Smith, "Batch normalization biases residual blocks
# towards the identity function in deep networks", 2020, section 4 (SkipInit; zero there).
_SMALL = 0.1


@dataclass(frozen=True)
class NoteConfig:
    """Configuration of a note network.

    Attributes:
        complex: The complex network, or its real twin.
        stem_channels: Maps of the first convolutions, complex ones where they are.
        channels: Maps of those over notes.
        dilations: Dilation over time, in frames, of the convolution of each residual block.
        octave: Semitones that one convolution looks over, an odd number.
        harmonics: Ratios of the frequencies laid upon a pitch's own.
        outputs: Number of notes.
        lowest_note: MIDI number of output 0.
        sample_rate: Hz.
        hop_samples: Samples from frame to frame.
        windows: Lengths of the windows in samples, the longest first.
        bins_per_semitone: An odd number.
        phase: What the spectra tell beside magnitudes: "increment", "centred" or, of the real network, "none"; see
            :class:`audiocx.models.log_spectrum.LogSpectrum`.
        magnitude_bias: Share of the magnitude that is added to the real part; see there.
        time_stride: Frames that are looked at, and answered for, together: behind the first convolution all the others
            take as much less work.
        activation: Of the complex network: "crelu", "zrelu" or "modrelu". The real one has ReLU.
        norm: "standardized" (of weights; see :mod:`audiocx.nn.standardized`), "whitening", "naive" or "none". The real
            one has standardised weights, batch norm or "none".
        note_dilations: Dilation over notes, in semitones, of the convolution of each residual block; empty for 1 each.
        level_dbfs: Level to which recordings are normalised before inference, in dBFS; see
            :mod:`audiocx.models.level`. None leaves them unchanged.
    """

    kind: ClassVar[str] = "notes"

    complex: bool = True
    stem_channels: int = 16
    channels: int = 32
    dilations: list[int] = field(default_factory=lambda: [1, 2, 4, 8, 16])
    octave: int = 13
    harmonics: list[float] = field(default_factory=lambda: [0.5, 1.0, 2.0, 3.0, 4.0, 5.0])
    outputs: int = 88
    lowest_note: int = 21
    sample_rate: int = 11025
    hop_samples: int = 128
    windows: list[int] = field(default_factory=lambda: [4096, 1024])
    bins_per_semitone: int = 3
    phase: Phase = field(default="increment", metadata={"values_formerly": {"advance": "increment"}})
    magnitude_bias: float = field(default=0.0, metadata={"formerly": "lean"})
    time_stride: int = 2
    activation: Activation = "crelu"
    norm: Literal["standardized", "whitening", "naive", "none"] = "standardized"
    note_dilations: list[int] = field(default_factory=list)
    level_dbfs: float | None = None

    def __post_init__(self) -> None:
        """Check the ranges."""
        sizes = (
            *("stem_channels", "channels", "dilations", "note_dilations"),
            *("windows", "hop_samples", "time_stride", "sample_rate"),
        )
        check_fields(self, **dict.fromkeys(sizes, "[1, inf)"), harmonics="(0, inf)", magnitude_bias="[0, inf)")
        check_fields(self, level_dbfs="[-80, 0]")
        if self.note_dilations and len(self.note_dilations) != len(self.dilations):
            raise ValueError("note_dilations must be empty or as long as dilations")
        if self.octave % 2 == 0 or not self.harmonics:
            raise ValueError("octave must be odd and harmonics not empty")
        if self.complex and self.phase == "none":
            raise ValueError("the complex network needs phases; set complex = false, or another phase")
        if not 1 <= self.outputs <= 128 - self.lowest_note or self.lowest_note < 0:
            raise ValueError(f"notes {self.lowest_note} to {self.lowest_note + self.outputs - 1} leave MIDI's 0 to 127")

    @property
    def window_samples(self) -> int:
        """Length of the longest window."""
        return self.windows[0]

    @property
    def left_context_samples(self) -> int:
        """Samples from the centre of a frame that its spectrum needs, on either side, and the frame's before it."""
        return self.windows[0] // 2 + self.hop_samples

    @property
    def context_frames(self) -> int:
        """Frames that the network looks at on either side of one."""
        return self.time_stride * (4 + sum(self.dilations))


class NoteNetwork(nn.Module):
    """A front end over log frequency, convolutions, and a head for each question.

    Shape: input [B, N] float32 samples in +-1, N = T * hop_samples + windows[0], T a multiple of ``time_stride``;
    output [B, T, P] each. Frame t is centred at sample ``left_context_samples + t * hop_samples``.

    Args:
        config: What to build.
    """

    kind: ClassVar[str] = "notes"

    def __init__(self, config: NoteConfig) -> None:
        super().__init__()
        self.config = config
        self._shifts = [round(12 * math.log2(ratio) * config.bins_per_semitone) for ratio in config.harmonics]
        # As far up as there is a spectrum.
        highest = math.floor(69 + 12 * math.log2(config.sample_rate / 2 / 440))
        semitones = min(
            highest - config.lowest_note, config.outputs + math.ceil(max(self._shifts) / config.bins_per_semitone)
        )
        self.front_end = LogSpectrum(
            config.sample_rate,
            config.hop_samples,
            config.windows,
            config.lowest_note,
            semitones,
            config.bins_per_semitone,
            config.phase,
            config.magnitude_bias,
        )
        parts = 2 if config.complex else 1
        seen = self.front_end.channels * len(config.harmonics) // parts
        stem, maps = config.stem_channels, config.channels
        per_note = config.bins_per_semitone
        step, answers = config.time_stride, len(NoteOutputs._fields)
        note_dilations = config.note_dilations or [1] * len(config.dilations)
        heads = nn.Conv2d(parts * maps, answers * step, (_KERNEL, 1), padding=(1, 0))
        with torch.no_grad():
            heads.bias.copy_(torch.tensor([_RARE, _USUAL, _RARE, _MEDIUM]).repeat_interleave(step))  # type: ignore[union-attr]
        self.body = Layers(
            *_unit(config, seen, stem, (2 + step, 3), (step, 1), padding=(1, 1)),
            *_unit(config, stem, stem, (3, 3), padding=(1, 1)),
            # One bin a note: the kernel is as wide as it steps, for the middle bin to stay in the middle.
            *_unit(config, stem, maps, (3, per_note), (1, per_note), padding=(1, 0)),
            *_unit(config, maps, maps, (1, config.octave), padding=(0, config.octave // 2)),
            *(_Block(config, *pair) for pair in zip(config.dilations, note_dilations, strict=True)),
            heads,
        )

    def forward(self, samples: Tensor) -> NoteOutputs:
        """Predict; see the class for shapes."""
        return self.infer(self.front_end(samples))

    def infer(self, spectra: Tensor) -> NoteOutputs:
        """Run what comes behind the front end.

        Args:
            spectra: As the front end gives them, [B, 2W, T, F].

        Returns:
            Logits [B, T, P] each.
        """
        x = self._stacked(spectra).contiguous(memory_format=torch.channels_last)
        # Each position answers for time_stride frames.
        y = self.body(x).unflatten(1, (len(NoteOutputs._fields), -1)).movedim(2, 3)
        return NoteOutputs(*y.flatten(2, 3).unbind(1))

    def _stacked(self, spectra: Tensor) -> Tensor:
        """Lays the harmonics of each pitch upon it: [B, 2W, T, F] to [B, 2WH, T, P * bins_per_semitone]."""
        size = self.config.outputs * self.config.bins_per_semitone
        lowest = min(0, *self._shifts)
        padded = F.pad(spectra, (-lowest, max(self._shifts) + size - spectra.shape[3]))
        stack = [padded[..., shift - lowest : shift - lowest + size] for shift in self._shifts]
        # All the real parts first.
        return torch.stack(stack, 2).flatten(1, 2)


class _Block(nn.Module):
    """A convolution over time and one over neighbouring notes, beside what goes in."""

    def __init__(self, config: NoteConfig, dilation: int, note_dilation: int) -> None:
        super().__init__()
        maps = config.channels
        self.body = Layers(
            *_unit(config, maps, maps, (_KERNEL, 1), padding=(dilation, 0), dilation=(dilation, 1)),
            *_unit(config, maps, maps, (1, _KERNEL), padding=(0, note_dilation), dilation=(1, note_dilation)),
        )
        self.scale = nn.Parameter(torch.full((maps * (2 if config.complex else 1), 1, 1), _SMALL))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.scale * self.body(x)


def _unit(
    config: NoteConfig,
    channels: int,
    maps: int,
    kernel: tuple[int, int],
    stride: tuple[int, int] = (1, 1),
    padding: tuple[int, int] = (0, 0),
    dilation: tuple[int, int] = (1, 1),
) -> list[nn.Module]:
    """Convolution, norm, activation."""
    standardized = config.norm == "standardized"
    bias = standardized or config.norm == "none"
    return [
        conv(config.complex, channels, maps, kernel, stride, padding, dilation, bias, standardized=standardized),
        nn.Identity() if config.norm == "standardized" else norm(config.complex, maps, config.norm),
        activation(config.complex, maps, config.activation),
    ]

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

# Initial biases of the logits (onset and offset, frame) and of the velocity. Notes begin and end in few frames: with
# these the network need not learn it first.
_EVENT_BIAS, _FRAME_BIAS, _VELOCITY_BIAS = -5.0, -3.0, 0.5
_KERNEL = 3
# Initial scale of the residual branches. Near the identity, a network of any depth trains without normalising its
# activations, which would take half of a training step. Source: De & Smith, "Batch normalization biases residual blocks
# towards the identity function in deep networks", 2020, section 4 (SkipInit; zero there).
_RESIDUAL_SCALE = 0.1


@dataclass(frozen=True)
class NoteConfig:
    """Configuration of a note network.

    Attributes:
        complex: Whether the network is complex, or its real counterpart.
        stem_channels: Feature maps of the first convolutions; complex ones of the complex network.
        channels: Feature maps of the later convolutions, over notes; likewise.
        dilations: Dilation over time of each residual block, in steps of ``time_stride`` frames.
        octave: Kernel size of the convolution across notes, in semitones, an odd number.
        harmonics: Harmonics that are stacked as channels, as ratios to a pitch's frequency.
        outputs: Number of notes.
        lowest_note: MIDI number of output 0.
        sample_rate: Hz.
        hop_samples: Hop from frame to frame.
        windows: Lengths of the windows in samples, the longest first.
        bins_per_semitone: An odd number.
        phase: Phase of the spectra: "increment", "centred" or, for the real network only, "none"; see
            :class:`audiocx.models.log_spectrum.LogSpectrum`.
        magnitude_bias: Weight of the magnitude in the real part; see there.
        time_stride: Stride of the first convolution in time, in frames; each position of the last layer predicts as
            many frames. The other convolutions take less work by this factor.
        activation: Activation of the complex network: "crelu", "zrelu" or "modrelu". The real one has ReLU.
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
        """Samples before a frame's centre that its spectrum and that of the previous frame need."""
        return self.windows[0] // 2 + self.hop_samples

    @property
    def context_frames(self) -> int:
        """Receptive field on either side of a frame, in frames."""
        return self.time_stride * (4 + sum(self.dilations))


class NoteNetwork(nn.Module):
    """A front end over log frequency, convolutions, and heads for onsets, frames, offsets and velocities.

    Shape: input [B, N] float32 samples in +-1, N = T * hop_samples + windows[0], T a multiple of ``time_stride``;
    output [B, T, P] each. Frame t is centred at sample ``left_context_samples + t * hop_samples``.

    Args:
        config: Configuration.
    """

    kind: ClassVar[str] = "notes"

    def __init__(self, config: NoteConfig) -> None:
        super().__init__()
        self.config = config
        self._shifts = [round(12 * math.log2(ratio) * config.bins_per_semitone) for ratio in config.harmonics]
        # Up to the Nyquist frequency.
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
        inputs = self.front_end.channels * len(config.harmonics) // parts
        stem, maps = config.stem_channels, config.channels
        per_note = config.bins_per_semitone
        stride, outputs = config.time_stride, len(NoteOutputs._fields)
        note_dilations = config.note_dilations or [1] * len(config.dilations)
        heads = nn.Conv2d(parts * maps, outputs * stride, (_KERNEL, 1), padding=(1, 0))
        with torch.no_grad():
            biases = torch.tensor([_EVENT_BIAS, _FRAME_BIAS, _EVENT_BIAS, _VELOCITY_BIAS])
            heads.bias.copy_(biases.repeat_interleave(stride))  # type: ignore[union-attr]
        self.body = Layers(
            *_unit(config, inputs, stem, (2 + stride, 3), (stride, 1), padding=(1, 1)),
            *_unit(config, stem, stem, (3, 3), padding=(1, 1)),
            # To one bin a note: kernel and stride are equal, so that a semitone's bins stay centred on its note.
            *_unit(config, stem, maps, (3, per_note), (1, per_note), padding=(1, 0)),
            *_unit(config, maps, maps, (1, config.octave), padding=(0, config.octave // 2)),
            *(_Block(config, *pair) for pair in zip(config.dilations, note_dilations, strict=True)),
            heads,
        )

    def forward(self, samples: Tensor) -> NoteOutputs:
        """Return the logits; see the class for shapes."""
        return self.infer(self.front_end(samples))

    def infer(self, spectra: Tensor) -> NoteOutputs:
        """Run the layers after the front end.

        Args:
            spectra: Output of the front end, [B, 2W, T, F].

        Returns:
            Logits [B, T, P] each.
        """
        x = self._stack_harmonics(spectra).contiguous(memory_format=torch.channels_last)
        # Each position predicts time_stride frames.
        y = self.body(x).unflatten(1, (len(NoteOutputs._fields), -1)).movedim(2, 3)
        return NoteOutputs(*y.flatten(2, 3).unbind(1))

    def _stack_harmonics(self, spectra: Tensor) -> Tensor:
        """Stack the harmonics of each pitch as channels: [B, 2W, T, F] to [B, 2WH, T, P * bins_per_semitone]."""
        size = self.config.outputs * self.config.bins_per_semitone
        lowest = min(0, *self._shifts)
        padded = F.pad(spectra, (-lowest, max(self._shifts) + size - spectra.shape[3]))
        stack = [padded[..., shift - lowest : shift - lowest + size] for shift in self._shifts]
        # All the real parts first.
        return torch.stack(stack, 2).flatten(1, 2)


class _Block(nn.Module):
    """Residual block: a convolution over time and one over neighbouring notes."""

    def __init__(self, config: NoteConfig, dilation: int, note_dilation: int) -> None:
        super().__init__()
        maps = config.channels
        self.body = Layers(
            *_unit(config, maps, maps, (_KERNEL, 1), padding=(dilation, 0), dilation=(dilation, 1)),
            *_unit(config, maps, maps, (1, _KERNEL), padding=(0, note_dilation), dilation=(1, note_dilation)),
        )
        self.scale = nn.Parameter(torch.full((maps * (2 if config.complex else 1), 1, 1), _RESIDUAL_SCALE))

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
    """Make convolution, norm and activation."""
    standardized = config.norm == "standardized"
    bias = standardized or config.norm == "none"
    return [
        conv(config.complex, channels, maps, kernel, stride, padding, dilation, bias, standardized=standardized),
        nn.Identity() if config.norm == "standardized" else norm(config.complex, maps, config.norm),
        activation(config.complex, maps, config.activation),
    ]

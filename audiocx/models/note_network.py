"""Note networks: onset, frame, offset and velocity predictions for every frame of a recording.

A complex network over time and log frequency, or its real counterpart. Its input is complex spectra of two window
lengths with phase increments (:class:`audiocx.models.log_spectrum.LogSpectrum`), the harmonics of each pitch stacked
as channels. A few convolutions reduce three bins a semitone to one a note, one spans an octave, and residual blocks
with growing dilation span time. The receptive field is ``context_frames`` on either side, so that a recording can be
cut into blocks that overlap by as much, with the same outputs as uncut.
"""

from __future__ import annotations

import math
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..notes import NoteOutputs
from .configs import NoteConfig
from .layer_factory import Layers, activation, conv, norm
from .log_spectrum import LogSpectrum

__all__ = ["NoteNetwork"]

# Initial biases of the logits (onset and offset, frame) and of the velocity. Notes begin and end in few frames: with
# these the network need not learn it first.
_EVENT_BIAS, _FRAME_BIAS, _VELOCITY_BIAS = -5.0, -3.0, 0.5
_KERNEL = 3
# Initial scale of the residual branches. Near the identity, a network of any depth trains without normalising its
# activations, which would take half of a training step. Source: De & Smith, "Batch normalization biases residual blocks
# towards the identity function in deep networks", 2020, section 4 (SkipInit; zero there).
_RESIDUAL_SCALE = 0.1


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
        self.shifts = [round(12 * math.log2(ratio) * config.bins_per_semitone) for ratio in config.harmonics]
        # Up to the Nyquist frequency.
        highest = math.floor(69 + 12 * math.log2(config.sample_rate / 2 / 440))
        semitones = min(
            highest - config.lowest_note, config.outputs + math.ceil(max(self.shifts) / config.bins_per_semitone)
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
        return self._heads(self.body(self.stacked(spectra)))

    @property
    def feature_channels(self) -> int:
        """Number C of the channels of :meth:`features`."""
        return self.config.channels * (2 if self.config.complex else 1)

    def features(self, samples: Tensor) -> Tensor:
        """Run the front end and the first convolutions: what :meth:`probabilities` needs of the samples.

        Args:
            samples: As for the class, with ``stem_context_frames`` frames more at either end.

        Returns:
            Feature maps [B, C, T / time_stride, P] of the positions whose context is complete.
        """
        x, context = self.stacked(self.front_end(samples)), self.config.stem_context_frames // self.config.time_stride
        y: Tensor = self.body[: self._stem_layers](x)
        return y[:, :, context : y.shape[2] - context]

    def probabilities(self, features: Tensor) -> NoteOutputs:
        """Run the later convolutions.

        Args:
            features: Of :meth:`features`, with ``body_context`` positions more at either end.

        Returns:
            Probabilities, and velocities in 0 to 1, float32 [B, T, P] each.
        """
        context = self.config.body_context * self.config.time_stride
        logits = self._heads(self.body[self._stem_layers :](features))
        inner = (part[:, context : part.shape[1] - context].float() for part in logits)
        onsets, frames, offsets, velocities = inner
        return NoteOutputs(onsets.sigmoid(), frames.sigmoid(), offsets.sigmoid(), velocities.clamp(0, 1))

    @property
    def _stem_layers(self) -> int:
        """Index of the first residual block; folding changes the number of layers before it."""
        return -1 - len(self.config.dilations)

    def stacked(self, spectra: Tensor) -> Tensor:
        """Return the input of the first convolution for the front end's output."""
        return self._stack_harmonics(spectra).contiguous(memory_format=torch.channels_last)

    def _heads(self, y: Tensor) -> NoteOutputs:
        """Split the last layer's output, each position of which predicts ``time_stride`` frames."""
        y = y.unflatten(1, (len(NoteOutputs._fields), -1)).movedim(2, 3)
        return NoteOutputs(*y.flatten(2, 3).unbind(1))

    def _stack_harmonics(self, spectra: Tensor) -> Tensor:
        """Stack the harmonics of each pitch as channels: [B, 2W, T, F] to [B, 2WH, T, P * bins_per_semitone]."""
        size = self.config.outputs * self.config.bins_per_semitone
        lowest = min(0, *self.shifts)
        padded = F.pad(spectra, (-lowest, max(self.shifts) + size - spectra.shape[3]))
        stack = [padded[..., shift - lowest : shift - lowest + size] for shift in self.shifts]
        # All the real parts first.
        return torch.stack(stack, 2).flatten(1, 2)


class _Block(nn.Module):
    """Residual block: a convolution over time and one over neighbouring notes."""

    def __init__(self, config: NoteConfig, dilation: int, note_dilation: int) -> None:
        super().__init__()
        maps, inner = config.channels, config.block_channels or config.channels
        self.body = Layers(
            *_unit(config, maps, inner, (_KERNEL, 1), padding=(dilation, 0), dilation=(dilation, 1)),
            *_unit(config, inner, maps, (1, _KERNEL), padding=(0, note_dilation), dilation=(1, note_dilation)),
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

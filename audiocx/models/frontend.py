"""Front ends of the window networks: windows of samples to feature maps."""

from __future__ import annotations

from typing import get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..nn.functional import magnitude
from .configs import FrontEndName, Phase
from .dynamic_modes import mode_spectrum
from .log_spectrum import LogSpectrum

__all__ = ["BINS_PER_SEMITONE", "FrontEnd", "PitchFrontEnd"]

BINS_PER_SEMITONE = 3
# Of FrontEnd.
NAMES = tuple(name for name in get_args(FrontEndName) if name != "pitches")


class FrontEnd(nn.Module):
    """Transform of windows of samples into the feature map of the first layer.

    "raw": the samples; a complex network gets an imaginary part of zero.
    "analytic": the analytic signal, the samples with their Hilbert transform as the imaginary part.
    "spectrum": their FFT, with a rectangular window, as the paper has it.
    "compressed": the FFT under a Hann window, log1p of the magnitude, phase kept and referred to the window's
    centre, where a steady partial has the same phase in all bins of its main lobe. Networks learn several times
    faster from it than from the paper's front ends.
    "magnitudes": the magnitudes of "compressed"; a complex network learns an imaginary part from them.
    "modes": the dynamic modes, each in the bin of its frequency, compressed likewise; see
    :mod:`audiocx.models.dynamic_modes`.

    Shape: input [B, N] float; output [B, 2, bins], real parts first, for "analytic" [B, 2, N], for "raw"
    [B, 2 or 1, N], or for "magnitudes" [B, 1, bins].

    Args:
        name: Name of the front end.
        window_samples: N.
        bins: Number of frequency bins kept, from 0 Hz up, at most N; above N / 2 they mirror the lower ones.
        complex: Whether the network is complex; only "raw" depends on it.
        modes: Largest number of dynamic modes, for "modes".

    Raises:
        ValueError: Unknown name.

    Source: DCN, section 4.2; Marple, "Computing the discrete-time analytic signal via FFT", 1999.
    """

    hann: Tensor
    signs: Tensor

    def __init__(self, name: FrontEndName, window_samples: int, bins: int, complex: bool, modes: int = 32) -> None:
        super().__init__()
        if name not in NAMES:
            raise ValueError(f"The front end is one of {', '.join(map(repr, NAMES))}, not {name!r}.")
        self.name, self.window_samples, self.bins, self.complex, self.modes = name, window_samples, bins, complex, modes
        self.channels = 1 if name == "magnitudes" or (name == "raw" and not complex) else 2
        self.length = window_samples if name in ("raw", "analytic") else bins
        # On the CPU even if the network is built on "meta" to be loaded later: buffers are not in the checkpoint.
        hann = torch.hann_window(window_samples, dtype=torch.float32, device="cpu")
        self.register_buffer("hann", hann, persistent=False)
        self.register_buffer(
            "signs", 1.0 - 2.0 * (torch.arange(bins, dtype=torch.float32, device="cpu") % 2), persistent=False
        )

    @torch.autocast("cpu", enabled=False)
    @torch.autocast("cuda", enabled=False)
    def forward(self, windows: Tensor) -> Tensor:
        """Apply the front end; see the class for shapes."""
        windows = windows.float()
        if self.name == "raw":
            x = windows.unsqueeze(1)
            return torch.cat([x, torch.zeros_like(x)], 1) if self.complex else x
        if self.name == "analytic":
            return torch.stack([windows, self._hilbert(windows)], 1)
        if self.name == "modes":
            return _compress(torch.view_as_real(mode_spectrum(windows, self.modes, self.bins)).movedim(-1, 1).float())
        spectrum = torch.fft.rfft(windows if self.name == "spectrum" else windows * self.hann)
        if self.bins > self.window_samples // 2:
            spectrum = torch.cat([spectrum[:, :-1], spectrum[:, 1:].flip(1).conj()], 1)
        x = torch.view_as_real(spectrum[:, : self.bins]).movedim(-1, 1)
        if self.name == "spectrum":
            return x.contiguous()
        if self.name == "magnitudes":
            return torch.log1p(magnitude(x))
        return _compress(x) * self.signs

    def _hilbert(self, windows: Tensor) -> Tensor:
        """Return the Hilbert transform: a phase shift by 90 degrees, without 0 Hz and the Nyquist frequency."""
        spectrum = torch.view_as_real(torch.fft.rfft(windows))[:, 1:-1]
        # The imaginary part of a signal without negative frequencies is the Hilbert transform.
        positive = torch.view_as_complex(F.pad(spectrum, (0, 0, 1, self.window_samples // 2)))
        return 2 * torch.view_as_real(torch.fft.ifft(positive))[..., 1]

    def extra_repr(self) -> str:
        """Return the settings."""
        return f"{self.name!r}, window_samples={self.window_samples}, bins={self.bins}, complex={self.complex}"


def _compress(x: Tensor) -> Tensor:
    """Take log1p of the magnitudes of [B, 2, bins], with their phases."""
    length = magnitude(x).clamp_min(1e-6)
    return x * (torch.log1p(length) / length)


class PitchFrontEnd(nn.Module):
    """Log-spaced filterbank: spectra of windows in bins of a third of a semitone, compressed.

    A transposition moves all partials of a sound by the same number of bins, so that a convolution along them has the
    same weights for every pitch.

    Shape: input [B, N] float; output [B, 2, F], real parts first, or of a real network [B, 1, F], magnitudes;
    F = 3 * notes, the middle one of each three bins in tune.

    Args:
        window_samples: N, even.
        sample_rate: Hz.
        lowest_note: MIDI number of the first note.
        notes: Number of notes.
        complex: Whether the network is complex.

    Source: Thickstun, Harchaoui, Foster & Kakade, "Invariances and data augmentation for supervised music
    transcription", 2018.
    """

    def __init__(self, window_samples: int, sample_rate: int, lowest_note: int, notes: int, complex: bool) -> None:
        super().__init__()
        self.window_samples, self.channels, self.length = window_samples, 2 if complex else 1, BINS_PER_SEMITONE * notes
        phase: Phase = "centred" if complex else "none"
        pitches = (lowest_note, notes, BINS_PER_SEMITONE)
        self.spectrum = LogSpectrum(sample_rate, 1, [window_samples], *pitches, phase)

    def forward(self, windows: Tensor) -> Tensor:
        """Apply the filterbank; see the class for shapes."""
        # The sample in front is for the phase increments, which are not used.
        x: Tensor = self.spectrum(F.pad(windows.float(), (1, 0)))
        return x.squeeze(2)

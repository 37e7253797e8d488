"""Short-time Fourier transform of signals of any kind, and its inverse, as layers.

They give networks complex spectra, and run on any device and with gradients. (:mod:`audiocx.stft` is the one transform
of the speech networks, in NumPy, for programs that run without PyTorch.)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .functional import describe, to_channels, to_complex

__all__ = ["ISTFT", "PadMode", "STFT", "WindowName"]

WindowName = Literal["hann", "hamming", "blackman", "rectangular"]
PadMode = Literal["reflect", "constant", "replicate", "circular"]
_WINDOWS: dict[str, Callable[..., Tensor]] = {
    "hann": torch.hann_window,
    "hamming": torch.hamming_window,
    "blackman": torch.blackman_window,
    "rectangular": torch.ones,
}
_HALF = (torch.float16, torch.bfloat16)
# Where the squared windows add up to less, relative to the greatest sum, a sample is taken as not covered.
_LEAST_COVER = 1e-10


class _Frames(nn.Module):
    """What both directions share: sizes and window. The window is no part of the state: the arguments give it."""

    window: Tensor

    def __init__(
        self,
        n_fft: int,
        hop_length: int | None = None,
        win_length: int | None = None,
        window: WindowName | Tensor = "hann",
        center: bool = True,
        normalized: bool = False,
        onesided: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.n_fft, self.win_length = n_fft, n_fft if win_length is None else win_length
        self.hop_length = max(1, self.win_length // 4) if hop_length is None else hop_length
        self.center, self.normalized, self.onesided = center, normalized, onesided
        if not 1 <= self.win_length <= n_fft or self.hop_length < 1:
            raise ValueError(
                f"A window is of 1 to n_fft = {n_fft} samples and a hop of 1 or more, "
                f"not {self.win_length} and {self.hop_length}."
            )
        self._exact = self._padded(window)  # in float64 on the CPU, whatever the module is moved to
        dtype = torch.get_default_dtype() if dtype is None else dtype
        self.register_buffer("window", self._exact.to(device or torch.get_default_device(), dtype), persistent=False)

    def _padded(self, window: WindowName | Tensor) -> Tensor:
        """Return the window, periodic if it is given by name, with zeros on both sides up to n_fft."""
        if isinstance(window, Tensor):
            values = window.detach().to("cpu", torch.float64)
            if values.shape != (self.win_length,):
                raise ValueError(f"The window has {self.win_length} samples, not {[*values.shape]}.")
        elif window not in _WINDOWS:
            raise ValueError(f"The window must be one of {', '.join(get_args(WindowName))}, not {window!r}.")
        else:
            values = _WINDOWS[window](self.win_length, dtype=torch.float64, device="cpu")
        before = (self.n_fft - self.win_length) // 2
        return F.pad(values, (before, self.n_fft - self.win_length - before))

    def _apply(self, fn: Callable[..., Tensor], recurse: bool = True) -> _Frames:
        # As if constructed on that device in that dtype; half precision has no use, see forward.
        super()._apply(fn, recurse)
        dtype = torch.float32 if self.window.dtype in _HALF else self.window.dtype
        self.window = self._exact.to(self.window.device, dtype)
        return self

    def extra_repr(self) -> str:
        """Return the settings shown by ``repr``."""
        return (
            f"n_fft={self.n_fft}, hop_length={self.hop_length}, win_length={self.win_length}, center={self.center}, "
            f"normalized={self.normalized}, onesided={self.onesided}"
        )


class STFT(_Frames):
    """Short-time Fourier transform of signals: the spectra of overlapping, windowed frames, as ``torch.stft``.

    Args:
        n_fft: Samples of a frame.
        hop_length: Samples from frame to frame; a quarter of the window when None.
        win_length: Samples of the window; n_fft when None.
        window: "hann", "hamming", "blackman" (all periodic) or "rectangular", or its values, [win_length].
        center: Frame t has its middle at sample t * hop_length of the signal, which is padded; otherwise its start.
        normalized: Scale by 1 / sqrt(n_fft), so that a rectangular window keeps the energy of a frame.
        onesided: Return the frequencies from 0 to half the sampling rate only; for real signals.
        pad_mode: Padding of centred frames: "reflect", "constant" (zeros), "replicate" or "circular".
        real_channels: Return real channels, real parts first, instead of native complex tensors.
        device: Of the window.
        dtype: Of the window, real.

    Shape:
        - Input: signals [*, N], real, or complex if not onesided; with ``real_channels`` [*, C, N].
        - Output: complex [*, F, T]; with ``real_channels`` real [*, 2C, F, T]. F = n_fft // 2 + 1, or n_fft if not
          onesided; T = N // hop_length + 1, or (N - n_fft) // hop_length + 1 if not centred.

    The transform is computed in the signal's precision; that of signals of half precision in float32, and only real
    channels are returned in half precision.

    Raises:
        ValueError: Sizes or names that do not fit, or a signal that is too short or complex though onesided.

    Examples:
        >>> STFT(256)(torch.zeros(3, 8000)).shape
        torch.Size([3, 129, 126])
        >>> STFT(256, real_channels=True)(torch.zeros(8, 2, 8000)).shape
        torch.Size([8, 4, 129, 126])
    """

    def __init__(
        self,
        n_fft: int,
        hop_length: int | None = None,
        win_length: int | None = None,
        window: WindowName | Tensor = "hann",
        center: bool = True,
        normalized: bool = False,
        onesided: bool = True,
        pad_mode: PadMode = "reflect",
        real_channels: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(n_fft, hop_length, win_length, window, center, normalized, onesided, device, dtype)
        if pad_mode not in get_args(PadMode):
            raise ValueError(f"The padding must be one of {', '.join(get_args(PadMode))}, not {pad_mode!r}.")
        self.pad_mode, self.real_channels = pad_mode, real_channels

    def check_input(self, x: Tensor) -> None:
        """Raise ValueError unless the signals fit."""
        if x.is_complex() and self.onesided:
            raise ValueError(f"STFT takes complex signals with onesided=False only, not {describe(x)}.")
        edge = self.n_fft // 2
        least = {"reflect": edge + 1, "circular": max(1, edge)}.get(self.pad_mode, 1) if self.center else self.n_fft
        axes = 1 + self.real_channels
        if x.ndim < axes or x.shape[-1] < least:
            shape = "[*, C, N]" if self.real_channels else "[*, N]"
            raise ValueError(f"STFT takes signals {shape} of N = {least} samples or more, not {describe(x)}.")

    def forward(self, x: Tensor) -> Tensor:
        """Transform the signals."""
        self.check_input(x)
        dtype = x.dtype
        x = x.float() if dtype in _HALF else x
        if self.center:
            edge = self.n_fft // 2
            padded = F.pad(x.reshape(-1, 1, x.shape[-1]), (edge, edge), mode=self.pad_mode)
            x = padded.reshape(*x.shape[:-1], padded.shape[-1])
        frames = x.unfold(-1, self.n_fft, self.hop_length) * self.window.to(x.real.dtype)
        norm = "ortho" if self.normalized else "backward"
        spectra = torch.fft.rfft(frames, norm=norm) if self.onesided else torch.fft.fft(frames, norm=norm)
        spectra = spectra.mT
        if not self.real_channels:
            return spectra
        return to_channels(spectra, -3).to(dtype if dtype in _HALF else spectra.real.dtype)

    def extra_repr(self) -> str:
        """Return the settings shown by ``repr``."""
        return f"{super().extra_repr()}, pad_mode={self.pad_mode!r}, real_channels={self.real_channels}"


class ISTFT(_Frames):
    """Inverse short-time Fourier transform: the signal whose spectra are closest in the least-squares sense.

    It restores what :class:`STFT` of the same arguments was given, wherever a window covers it: all samples of centred
    frames whose hop is at most half a window; without centring not those after the last frame, and none where all
    windows are 0, as a Hann window is at its first sample.

    Args:
        n_fft: Samples of a frame.
        hop_length: Samples from frame to frame; a quarter of the window when None.
        win_length: Samples of the window; n_fft when None.
        window: "hann", "hamming", "blackman" (all periodic) or "rectangular", or its values, [win_length].
        center: Frame t has its middle at sample t * hop_length of the signal; otherwise its start.
        normalized: The spectra are scaled by 1 / sqrt(n_fft).
        onesided: The spectra have the frequencies from 0 to half the sampling rate only.
        device: Of the window.
        dtype: Of the window, real.

    Shape:
        - Input: complex [*, F, T], or real channels [*, 2C, F, T], real parts first.
        - Output: signals [*, N] or [*, C, N]; real, or complex if not onesided. N is (T - 1) hop_length, n_fft more
          if not centred, unless ``forward`` is told.

    The transform is computed in the precision of the spectra; that of half precision in float32, and rounded after it.

    Raises:
        ValueError: Sizes or names that do not fit, or spectra of other frequencies.

    Source: Griffin & Lim, "Signal estimation from modified short-time Fourier transform", 1984, equation 6.

    Examples:
        >>> x = torch.randn(2, 1000)
        >>> torch.allclose(ISTFT(64)(STFT(64)(x), 1000), x, atol=1e-5)
        True
    """

    def check_input(self, x: Tensor) -> None:
        """Raise ValueError unless the spectra fit."""
        bins = self.n_fft // 2 + 1 if self.onesided else self.n_fft
        axes = 2 if x.is_complex() else 3
        if x.ndim < axes or x.shape[-2] != bins or x.shape[-1] < 1 or (axes == 3 and x.shape[-3] % 2):
            raise ValueError(
                f"ISTFT takes complex spectra [*, {bins}, T] or real channels [*, 2C, {bins}, T], not {describe(x)}."
            )

    def forward(self, x: Tensor, length: int | None = None) -> Tensor:
        """Return the signals.

        Args:
            x: Spectra, complex [*, F, T] or real channels [*, 2C, F, T].
            length: N; later samples are left out, missing ones are 0.

        Returns:
            Signals [*, N] or [*, C, N].
        """
        self.check_input(x)
        dtype = x.dtype
        if not x.is_complex():
            x = to_complex(x.float() if x.dtype in _HALF else x, -3)
        window = self.window.to(x.real.dtype)
        norm = "ortho" if self.normalized else "backward"
        frames = torch.fft.irfft(x.mT, self.n_fft, norm=norm) if self.onesided else torch.fft.ifft(x.mT, norm=norm)
        y = self._overlap_add(frames * window)
        cover = self._overlap_add((window * window).expand(x.shape[-1], -1))
        cover = torch.where(cover > _LEAST_COVER * cover.amax(-1), cover, torch.inf)
        start = self.n_fft // 2 if self.center else 0
        end = y.shape[-1] - start if length is None else start + length
        y = y[..., start:end] / cover[start:end]
        if length is not None and y.shape[-1] < length:
            y = F.pad(y, (0, length - y.shape[-1]))
        return y.to(dtype) if dtype in _HALF and not y.is_complex() else y

    def _overlap_add(self, frames: Tensor) -> Tensor:
        """Add up frames [*, T, n_fft] at their places in a signal [*, (T - 1) hop_length + n_fft]."""
        if frames.is_complex():
            return torch.complex(self._overlap_add(frames.real), self._overlap_add(frames.imag))
        size = (frames.shape[-2] - 1) * self.hop_length + self.n_fft
        if torch.onnx.is_in_onnx_export():
            flat = frames.reshape(-1, *frames.shape[-2:]).mT
            y = F.fold(flat, (1, size), (1, self.n_fft), stride=(1, self.hop_length))
            return y.reshape(*frames.shape[:-2], size)
        # What the gradient of Tensor.unfold does, and torch.istft; twice as fast as fold, but not in ONNX.
        return torch.ops.aten.unfold_backward(frames, [*frames.shape[:-2], size], -1, self.n_fft, self.hop_length)

"""Packet loss concealment: the gaps in a recording of speech are filled with the forecast of a predictor.

At 8 kHz a gap is rounded outwards to whole hops of 128 samples, and every frame that overlaps it is replaced by the
forecast from the last intact frame. Frames beyond the network's horizon are forecast from its own forecasts.
Overlap-add of the replaced frames gives the sound; only the gap itself and a crossfade of 4 ms on either side are taken
from it.

No frame is louder than the last intact one: a network fed with its own forecasts may diverge, and a sound that begins
inside a gap cannot be predicted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..io.resampling import resample
from ..models.predictor_runtime import FRAMES_PER_CALL, RunnablePredictor
from ..stft import FLOOR_POWER, HOP_SAMPLES, SPEECH_RATE, frame_count, istft, log_power_db, stft_frames
from .gaps import crossfade, frame_ranges, sample_ranges

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Forecast", "fill", "fill_channels", "network_forecast", "damp_levels", "plot", "extrapolate_phase"]

Spectra = NDArray[np.complex64]
# Takes the frames since the last call, complex64 [C, T, F], T > 0, and the state returned by that call (None at first);
# returns the frames that follow, [C, A, F], A > 0 of its own choice, and the state.
Forecast = Callable[[Spectra, Any], tuple[Spectra, Any]]

# Longest time that a speech sound plausibly continues; then it fades out by 20 % every 10 ms, as in ITU-T G.711
# Appendix I (where the fade begins after 10 ms, because only pitch periods are repeated).
HELD_S, FADE_S = 0.1, 0.05
# Weight of the forecast level against the last one; 1/4 to 1/3 gave the best sound on training speakers.
LEVEL_SHARE = 0.3
# Frames whose levels are computed at a time for a plot: 4 MB of spectra.
PLOT_BLOCK_FRAMES = 4096


def network_forecast(network: RunnablePredictor) -> Forecast:
    """Return the forecast of a network.

    Args:
        network: The network. If it was trained on levels alone, it predicts no phases: they are extrapolated
            (:func:`extrapolate_phase`) and its levels are damped (:func:`damp_levels`).

    Returns:
        A forecast of as many frames at once as the network was built for.
    """

    def forecast(spectra: Spectra, state: Any) -> tuple[Spectra, Any]:
        ahead, state = network.forecast(spectra, state)
        return ahead[:, -1], state

    return forecast if network.config.front_end == "increment" else extrapolate_phase(damp_levels(forecast))


def damp_levels(forecast: Forecast, share: float = LEVEL_SHARE) -> Forecast:
    """Move levels, in dB, only part of the way from the last frame to the forecast.

    The forecast with the least error one frame ahead drifts when it is fed back. A weighted mean of it and the last
    level sounds better than either alone (recipes/librispeech/README.md).

    Args:
        forecast: Forecasts the magnitudes.
        share: Weight of the forecast, 0 to 1.

    Returns:
        A forecast of the weighted geometric mean of each magnitude and that of the last frame.
    """

    def damped(spectra: Spectra, state: Any) -> tuple[Spectra, Any]:
        ahead, state = forecast(spectra, state)
        return _polar(np.abs(ahead) ** share * np.abs(spectra[:, -1:]) ** (1 - share), np.angle(ahead)), state

    return damped


def extrapolate_phase(forecast: Forecast) -> Forecast:
    """Continue the phase of every bin by its increment between the last two frames; forecast phases are ignored.

    Args:
        forecast: Forecasts the magnitudes.

    Returns:
        A forecast of magnitudes and phases.
    """

    def extrapolated(spectra: Spectra, state: Any) -> tuple[Spectra, Any]:
        before, inner = state or (spectra[:, :0], None)
        last = np.concatenate([before, spectra], 1)[:, -2:]
        ahead, inner = forecast(spectra, inner)
        phase = np.angle(last)
        increment = phase[:, -1:] - phase[:, :1]
        steps = np.arange(1, ahead.shape[1] + 1, dtype=np.float32)[:, None]
        return _polar(np.abs(ahead), phase[:, -1:] + steps * increment), (last[:, -1:], inner)

    return extrapolated


def _polar(magnitudes: NDArray[np.floating], phases: NDArray[np.floating]) -> Spectra:
    return (magnitudes * np.exp(1j * phases)).astype(np.complex64, copy=False)


def fill(
    samples: NDArray[np.float32],
    sample_rate: int,
    gaps: Iterable[tuple[float, float]],
    forecast: Forecast,
    *,
    progress: bool = False,
) -> NDArray[np.float32]:
    """Fill gaps by any forecast of frames.

    Args:
        samples: Float32 [N] or [N, C]; those in the gaps are not used.
        sample_rate: Their rate, in Hz.
        gaps: As returned by :func:`audiocx.speech.gaps.merge_gaps`.
        forecast: Forecast of the frames in the gaps.
        progress: Show a progress bar on stderr, if that is a terminal.

    Returns:
        The samples, concealed, of the same shape.
    """
    gaps = list(gaps)
    lost = _silenced(samples, sample_rate, gaps)
    channels = np.stack([resample(channel, sample_rate, SPEECH_RATE) for channel in lost.T])
    channels = _concealed(channels, frame_ranges(gaps, sample_rate), forecast, progress)
    filled = np.stack([resample(channel, SPEECH_RATE, sample_rate)[: len(lost)] for channel in channels], axis=1)
    return crossfade(samples, filled.reshape(samples.shape), gaps, sample_rate)


def fill_channels(
    samples: NDArray[np.float32],
    sample_rate: int,
    gaps: Sequence[Sequence[tuple[float, float]]],
    forecast: Forecast,
    *,
    progress: bool = False,
) -> NDArray[np.float32]:
    """Fill the gaps of each channel, which may differ.

    Args:
        samples: Float32 [N] or [N, C].
        sample_rate: Their rate, in Hz.
        gaps: Of each of the C channels, or of the only one, as returned by :func:`audiocx.speech.gaps.find_gaps`.
        forecast: Forecast of the frames in the gaps.
        progress: Show a progress bar on stderr, if that is a terminal.

    Returns:
        The samples, concealed, of the same shape.
    """
    if all(own == gaps[0] for own in gaps):
        return fill(samples, sample_rate, gaps[0], forecast, progress=progress) if gaps[0] else samples
    filled = samples.copy()
    for channel, own in enumerate(gaps):
        if own:
            filled[:, channel] = fill(samples[:, channel], sample_rate, own, forecast, progress=progress)
    return filled


def _silenced(
    samples: NDArray[np.float32], sample_rate: int, gaps: Iterable[tuple[float, float]]
) -> NDArray[np.float32]:
    """Return a copy [N, C] with zeros in the gaps."""
    lost = samples.reshape(len(samples), -1).copy()
    for start, stop in sample_ranges(gaps, sample_rate):
        lost[start:stop] = 0
    return lost


def _concealed(
    channels: NDArray[np.float32], ranges: list[tuple[int, int]], forecast: Forecast, progress: bool
) -> NDArray[np.float32]:
    """Return samples at 8 kHz [C, N] with the frames of the ranges replaced; valid there and one hop on either side."""
    from tqdm import tqdm

    filled, position, state, ahead = channels.copy(), 0, None, np.empty(0, np.complex64)
    begun = np.zeros((len(channels), 1, 1), bool)
    # tqdm shows nothing where stderr is no terminal if disable is None
    with tqdm(total=ranges[-1][1], unit=" frames", leave=False, disable=None if progress else True) as bar:
        for first, after in ranges:
            for start in range(position, first, FRAMES_PER_CALL):
                intact = _frames(channels, start, min(start + FRAMES_PER_CALL, first))
                ahead, state = forecast(intact, state)
                begun |= (np.square(np.abs(intact)) > FLOOR_POWER).any(axis=(1, 2), keepdims=True)
                bar.update(intact.shape[1])
            # A channel stays silent until its first sound, whatever the network forecasts.
            loudest = _loudness(_frames(channels, first - 1, first)) * begun
            gains, replaced, position = _gains(after - first), [], first
            while position < first + len(gains):
                ahead = ahead[:, : first + len(gains) - position]
                replaced.append(ahead * np.minimum(loudest / np.maximum(_loudness(ahead), 1e-9), 1))
                ahead, state = forecast(replaced[-1], state)
                position += replaced[-1].shape[1]
            faded = np.concatenate(replaced, 1) * gains[:, None]
            _overlap_add(filled, channels, first, np.pad(faded, ((0, 0), (0, after - position), (0, 0))))
            bar.update(len(gains))
    return filled


def _loudness(spectra: Spectra) -> NDArray[np.float32]:
    """Return the root of the energy of each frame, [C, T, 1]."""
    loudness: NDArray[np.float32] = np.linalg.norm(spectra, axis=-1, keepdims=True)
    return loudness


def _gains(frames: int) -> NDArray[np.float32]:
    """Return the fade-out gains of a gap's frames, the first centred at its start; [<= frames], only those above 0."""
    time_s = np.arange(frames, dtype=np.float32) * (HOP_SAMPLES / SPEECH_RATE)
    gains = np.clip(1 - (time_s - HELD_S) / FADE_S, 0, 1)
    return gains[gains > 0]


def _overlap_add(filled: NDArray[np.float32], channels: NDArray[np.float32], first: int, replaced: Spectra) -> None:
    """Overlap-add replaced frames [C, T, F] and the intact one on either side, and write the sound to ``filled``."""
    count = replaced.shape[1]
    before, after = (_frames(channels, frame, frame + 1) for frame in (first - 1, first + count))
    # The padding is inaudible: the inverse makes no samples of the first frame, and none of the last alone.
    spectra = np.pad(np.concatenate([before, replaced, after], 1), ((0, 0), (1, 1), (0, 0)))
    sound = istft(spectra, (count + 1) * HOP_SAMPLES)
    start = (first - 2) * HOP_SAMPLES
    target = filled[:, max(0, start) : start + sound.shape[1]]
    target[:] = sound[:, max(0, -start) :][:, : target.shape[1]]


def _frames(channels: NDArray[np.float32], start: int, stop: int) -> Spectra:
    """Return the spectra of all channels, complex64 [C, stop - start, F]."""
    return np.stack([stft_frames(channel, start, stop) for channel in channels])


def plot(
    samples: NDArray[np.float32],
    concealed: NDArray[np.float32],
    sample_rate: int,
    gaps: Iterable[tuple[float, float]],
    title: str = "",
) -> Figure:
    """Plot the spectrogram of a recording with gaps above the concealed one, of the mean over channels.

    Args:
        samples: Float32 [N] or [N, C].
        concealed: The concealed samples, of the same shape.
        sample_rate: Rate in Hz.
        gaps: As returned by :func:`audiocx.speech.gaps.merge_gaps`.
        title: Title of the figure.

    Returns:
        A matplotlib figure.
    """
    from ..plots import spectrograms

    gaps = list(gaps)
    lost = samples.copy()
    for start, stop in sample_ranges(gaps, sample_rate):
        # A channel in which nothing was filled has no gap there.
        lost[start:stop] *= (samples[start:stop] == concealed[start:stop]).all(axis=0)
    lost_db, concealed_db = (_levels_db(each, sample_rate) for each in (lost, concealed))
    hop_s = HOP_SAMPLES / SPEECH_RATE
    # Frame t is centred at sample 128 (t - 1).
    return spectrograms.plot_concealment(
        lost_db, concealed_db, hop_s, SPEECH_RATE / 2, gaps, start_s=-hop_s, title=title
    )


def _levels_db(samples: NDArray[np.float32], sample_rate: int) -> NDArray[np.float32]:
    mono = resample(samples.reshape(len(samples), -1).mean(axis=1), sample_rate, SPEECH_RATE)
    frames = frame_count(len(mono))
    starts = range(0, frames, PLOT_BLOCK_FRAMES)
    blocks = [stft_frames(mono, start, min(start + PLOT_BLOCK_FRAMES, frames)) for start in starts]
    return np.concatenate([log_power_db(block) for block in blocks])

"""Lost packets concealed: what ``audiocx.conceal`` is.

Gaps in a recording of speech are filled with what a predictor says would have followed. At 8 kHz a gap is rounded
outwards to the hops of 128 samples, and every frame that touches it is replaced by the forecast from the last intact
one; what lies further ahead than the network sees is forecast from its own frames. The replaced frames, overlapped and
added, give the sound, of which the gap alone is taken, and 4 ms on either side to fade from the recording and back.

No frame is made louder than the last intact one: a network that lives on its own forecasts may run away, and what
begins in a gap nobody can know.

>>> import audiocx
>>> whole = audiocx.conceal("call.wav")  # doctest: +SKIP
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from ..io.resampling import resample
from ..models.running import read_channels
from ..stft import FLOOR_POWER, HOP_SAMPLES, SPEECH_RATE, frame_count, istft, log_power_db, stft_frames
from .gaps import find_gaps, join, merge_gaps, spans, touched_frames
from .predictor import Predictor, load_predictor

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ..models import PredictorNetwork

__all__ = ["Forecast", "conceal", "fill", "forecast_by", "partway", "plot", "turning"]

# Takes the frames that have come since the last call, complex64 [C, T, F], T > 0, and the state that it gave (None at
# first); gives those that follow, [C, A, F], A > 0 of its own choice, and the state.
Forecast = Callable[[Tensor, Any], tuple[Tensor, Any]]

# Speech goes on for so long at most before it is another sound, and is then faded out by 20 % every 10 ms, as in ITU-T
# G.711 Appendix I (which begins after 10 ms, for it only repeats pitch periods).
HELD_S, FADE_S = 0.1, 0.05
# How far levels follow the forecast: between a quarter of the way and a third gaps sounded best on training speakers.
LEVEL_SHARE = 0.3
# Frames that go through the network in one call; see predictor.py.
BLOCK_FRAMES = 64
# Frames whose levels are computed at a time for a picture: 4 MB of spectra.
DRAWN_FRAMES = 4096


def conceal(
    source: str | Path | NDArray[np.floating],
    gaps: Iterable[tuple[float, float]] | None = None,
    model: str | Path | Predictor | None = None,
    device: str = "auto",
    *,
    sample_rate: int | None = None,
    progress: bool = False,
) -> NDArray[np.float32]:
    """Fill gaps in a recording of speech with what would have followed; each channel by itself.

    A gap longer than 100 ms fades out, and is silent from 150 ms on; one before which there was no sound stays silent.

    Args:
        source: An audio file, or samples, float [N] or [N, C], full scale at 1 (then with ``sample_rate``).
        gaps: Start and end of each, in seconds; None to find them (:func:`audiocx.speech.gaps.find_gaps`).
        model: A name of ``audiocx.available()``, a checkpoint folder, or what ``audiocx.load`` gave of one, which for
            many recordings saves loading it anew; None for the default predictor.
        device: Where to run, as in :func:`audiocx.speech.predictor.load_predictor`.
        sample_rate: Rate of the samples, in Hz; only for samples.
        progress: Show a progress bar on stderr, if that is a terminal.

    Returns:
        The samples at their own rate, float32 [N] or, of more than one channel, [N, C]: as they were, outside of the
        gaps and 4 ms on either side.

    Raises:
        AudioError: The file cannot be used, or the samples are empty, of another shape or not finite.
        CheckpointError: There is no such checkpoint, it is damaged, or of a transcriber.
        ConfigError: A gap is none or lies outside of the recording, the device is not there, or samples came without
            their rate.
    """
    samples, rate, name = read_channels(source, sample_rate)
    found = find_gaps(samples, rate) if gaps is None else merge_gaps(gaps, len(samples) / rate, name)
    if not found:
        return samples
    predictor = model if isinstance(model, Predictor) else load_predictor(model, device)
    return fill(samples, rate, found, forecast_by(predictor.network), progress=progress)


def forecast_by(network: PredictorNetwork) -> Forecast:
    """Make a network forecast frames.

    Args:
        network: In evaluation mode. One that was trained on levels alone knows nothing of phases: every bin then goes
            on turning as it did (:func:`turning`), and its level part of the way to what is forecast (:func:`partway`).

    Returns:
        What forecasts as many frames at once as the network was built for.
    """
    device = next(network.parameters()).device

    def forecast(spectra: Tensor, state: Any) -> tuple[Tensor, Any]:
        ahead, state = network.forecast(spectra.to(device), state)
        return ahead[:, -1].cpu(), state

    return forecast if network.config.front_end == "advance" else turning(partway(forecast))


def partway(forecast: Forecast, share: float = LEVEL_SHARE) -> Forecast:
    """Have levels change, in dB, by a part of what is forecast.

    What errs least one frame ahead errs more with every frame that it is fed back; part of the way to it from the level
    before, gaps sound better than with either alone (recipes/librispeech/README.md).

    Args:
        forecast: Gives the magnitudes.
        share: Of the way, 0 to 1.

    Returns:
        What forecasts the geometric mean of each magnitude and the last one before, so weighted.
    """

    def held(spectra: Tensor, state: Any) -> tuple[Tensor, Any]:
        ahead, state = forecast(spectra, state)
        return torch.polar(ahead.abs() ** share * spectra[:, -1:].abs() ** (1 - share), ahead.angle()), state

    return held


def turning(forecast: Forecast) -> Forecast:
    """Have every bin go on turning by as much as between the last two frames, whatever phase is forecast.

    Args:
        forecast: Gives the magnitudes.

    Returns:
        What forecasts both.
    """

    def turned(spectra: Tensor, state: Any) -> tuple[Tensor, Any]:
        before, inner = state or (spectra[:, :0], None)
        last = torch.cat([before, spectra], 1)[:, -2:]
        ahead, inner = forecast(spectra, inner)
        phase = last.angle()
        turn = phase[:, -1:] - phase[:, :1]
        steps = torch.arange(1, ahead.shape[1] + 1).unsqueeze(-1)
        return torch.polar(ahead.abs(), phase[:, -1:] + steps * turn), (last[:, -1:], inner)

    return turned


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
        samples: Float32 [N] or [N, C]; what lies in the gaps does not matter.
        sample_rate: Their rate, in Hz.
        gaps: As :func:`audiocx.speech.gaps.merge_gaps` gives them.
        forecast: What goes on where samples are lost.
        progress: Show a progress bar on stderr, if that is a terminal.

    Returns:
        The samples, concealed, of the same shape.
    """
    gaps = list(gaps)
    lost = _silenced(samples, sample_rate, gaps)
    channels = np.stack([resample(channel, sample_rate, SPEECH_RATE) for channel in lost.T])
    channels = _concealed(channels, touched_frames(gaps, sample_rate), forecast, progress)
    filled = np.stack([resample(channel, SPEECH_RATE, sample_rate)[: len(lost)] for channel in channels], axis=1)
    return join(samples, filled.reshape(samples.shape), gaps, sample_rate)


def _silenced(
    samples: NDArray[np.float32], sample_rate: int, gaps: Iterable[tuple[float, float]]
) -> NDArray[np.float32]:
    """A copy [N, C] without what lies in the gaps."""
    lost = samples.reshape(len(samples), -1).copy()
    for start, stop in spans(gaps, sample_rate):
        lost[start:stop] = 0
    return lost


@torch.inference_mode()
def _concealed(
    channels: NDArray[np.float32], ranges: list[tuple[int, int]], forecast: Forecast, progress: bool
) -> NDArray[np.float32]:
    """Samples at 8 kHz [C, N] with the frames of the ranges replaced; of use there and in the hop on either side."""
    from tqdm import tqdm

    filled, position, state, ahead = channels.copy(), 0, None, torch.empty(0)
    sounded = torch.zeros(len(channels), 1, 1, dtype=torch.bool)
    # tqdm shows nothing where stderr is no terminal if disable is None
    with tqdm(total=ranges[-1][1], unit=" frames", leave=False, disable=None if progress else True) as bar:
        for first, after in ranges:
            for start in range(position, first, BLOCK_FRAMES):
                intact = _frames(channels, start, min(start + BLOCK_FRAMES, first))
                ahead, state = forecast(intact, state)
                sounded |= (intact.abs().square() > FLOOR_POWER).flatten(1).any(1)[:, None, None]
                bar.update(intact.shape[1])
            # Before any sound there is silence, whatever the network expects to begin.
            loudest = _loudness(_frames(channels, first - 1, first)) * sounded
            gains, made, position = _gains(after - first), [], first
            while position < first + len(gains):
                ahead = ahead[:, : first + len(gains) - position]
                made.append(ahead * (loudest / _loudness(ahead).clamp_min(1e-9)).clamp(max=1))
                ahead, state = forecast(made[-1], state)
                position += made[-1].shape[1]
            replaced = torch.cat(made, 1) * gains[:, None]
            _put(filled, channels, first, F.pad(replaced, (0, 0, 0, after - position)))
            bar.update(len(gains))
    return filled


def _loudness(spectra: Tensor) -> Tensor:
    """Root of the energy of each frame, [C, T, 1]."""
    return torch.linalg.vector_norm(spectra, dim=-1, keepdim=True)


def _gains(frames: int) -> Tensor:
    """What a gap's frames are faded by, the first one centred where the gap begins; [<= frames], as far as not zero."""
    time_s = torch.arange(frames) * (HOP_SAMPLES / SPEECH_RATE)
    gains = (1 - (time_s - HELD_S) / FADE_S).clamp(0, 1)
    return gains[gains > 0]


def _put(filled: NDArray[np.float32], channels: NDArray[np.float32], first: int, replaced: Tensor) -> None:
    """Overlap and add replaced frames [C, T, F], and the intact one on either side, and put the sound in its place."""
    count = replaced.shape[1]
    before, behind = (_frames(channels, frame, frame + 1) for frame in (first - 1, first + count))
    # Of the outermost frames nothing is heard: the inverse makes no samples of the first, and none of the last alone.
    spectra = F.pad(torch.cat([before, replaced, behind], 1), (0, 0, 1, 1))
    sound = istft(spectra, (count + 1) * HOP_SAMPLES).numpy()
    start = (first - 2) * HOP_SAMPLES
    place = filled[:, max(0, start) : start + sound.shape[1]]
    place[:] = sound[:, max(0, -start) :][:, : place.shape[1]]


def _frames(channels: NDArray[np.float32], start: int, stop: int) -> Tensor:
    """Spectra of all channels, complex64 [C, stop - start, F]."""
    return torch.stack([stft_frames(channel, start, stop) for channel in channels])


def plot(
    samples: NDArray[np.float32],
    concealed: NDArray[np.float32],
    sample_rate: int,
    gaps: Iterable[tuple[float, float]],
    title: str = "",
) -> Figure:
    """Draw the spectrogram of a recording with gaps above the one concealed, of the mean over channels.

    Args:
        samples: Float32 [N] or [N, C].
        concealed: The same, concealed.
        sample_rate: Rate in Hz.
        gaps: As :func:`audiocx.speech.gaps.merge_gaps` gives them.
        title: What to write above.

    Returns:
        A matplotlib figure.
    """
    from ..plots import spectrograms

    gaps = list(gaps)
    lost = _silenced(samples, sample_rate, gaps)
    lost_db, concealed_db = (_levels_db(own, sample_rate) for own in (lost, concealed))
    hop_s = HOP_SAMPLES / SPEECH_RATE
    # Frame t is centred at sample 128 (t - 1).
    return spectrograms.plot_concealment(
        lost_db, concealed_db, hop_s, SPEECH_RATE / 2, gaps, start_s=-hop_s, title=title
    )


def _levels_db(samples: NDArray[np.float32], sample_rate: int) -> NDArray[np.float32]:
    mono = resample(samples.reshape(len(samples), -1).mean(axis=1), sample_rate, SPEECH_RATE)
    frames = frame_count(len(mono))
    starts = range(0, frames, DRAWN_FRAMES)
    blocks = [stft_frames(mono, start, min(start + DRAWN_FRAMES, frames)) for start in starts]
    return np.concatenate([log_power_db(block).numpy() for block in blocks])

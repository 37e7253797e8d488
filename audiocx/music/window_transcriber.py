"""Transcribers by single windows: a network predicts the notes at a window's centre, for every frame of a recording."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from ..errors import ConfigError
from ..models.running import Progress, frames_bar
from ..notes import Note
from .onset_strength import loudness_db, onset_strength_db
from .transcriber import ModelOutputs, Transcriber
from .window_decoding import WindowDecodeSettings, decode_probabilities

__all__ = ["WindowOutputs", "WindowTranscriber"]


@dataclass(frozen=True, eq=False)
class WindowOutputs(ModelOutputs):
    """Outputs of a window network for a recording, beside the levels of each pitch's partials.

    Attributes:
        onset_strength_db: Rise of each pitch's partials in dB, float [T, P]; None to decode without.
        loudness_db: Level of each pitch in dB, float [T, P]; None to decode without.
    """

    onset_strength_db: NDArray[np.floating] | None = None
    loudness_db: NDArray[np.floating] | None = None

    def decode(self, settings: WindowDecodeSettings) -> list[Note]:
        """Decode the outputs into notes; see :meth:`ModelOutputs.decode`."""
        return decode_probabilities(
            self.probabilities,
            self.frame_rate,
            settings,
            self.lowest_note,
            onsets=self.onset_strength_db,
            loudness_db=self.loudness_db,
        )


class WindowTranscriber(Transcriber):
    """A window network over recordings; onsets and velocities come from the levels of each pitch's partials."""

    any_hop: ClassVar[bool] = True

    def infer(
        self,
        samples: NDArray[np.floating],
        hop_samples: int | None = None,
        progress: Progress = False,
        time_scale: float = 1.0,
    ) -> WindowOutputs:
        """Run the network over samples at its own rate; see :meth:`Transcriber.infer`."""
        hop, config = self._hop(hop_samples), self.config
        grid = (samples, config.sample_rate, hop, config.lowest_note, config.outputs)
        return WindowOutputs(
            self.probabilities(samples, hop, progress),
            time_scale * config.sample_rate / hop,
            config.lowest_note,
            onset_strength_db=onset_strength_db(*grid),
            loudness_db=loudness_db(*grid),
        )

    def probabilities(
        self, samples: NDArray[np.floating], hop_samples: int | None = None, progress: Progress = False
    ) -> NDArray[np.float32]:
        """Run the network over samples at its own rate, without the levels of partials.

        Args:
            samples: Mono samples, float [N], at ``config.sample_rate``.
            hop_samples: Samples from frame to frame; None for the checkpoint's.
            progress: As in :meth:`Transcriber.transcribe`.

        Returns:
            Float32 [T, P] with T = ceil(N / hop_samples); frame t is centred at sample t * hop_samples.

        Raises:
            ConfigError: The hop is not positive.
        """
        from ..models.window_blocks import frame_probabilities

        hop = self._hop(hop_samples)
        signal = np.require(samples, np.float32, ["C", "W"])
        with frames_bar(-(-len(signal) // hop), progress) as bar:
            return frame_probabilities(self.network, signal, hop, report=bar.update)

    def _hop(self, hop_samples: int | None) -> int:
        hop = self.hop_samples if hop_samples is None else hop_samples
        if hop < 1:
            raise ConfigError(f"The hop is at least one sample, not {hop}.")
        return hop

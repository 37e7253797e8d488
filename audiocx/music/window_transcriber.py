"""Transcribers of single windows, which tell what sounds at a window's centre, run over recordings."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from ..errors import ConfigError
from ..models.running import frames_bar
from .onset_strength import loudness_db, onset_strength_db
from .transcriber import ModelOutputs, Transcriber
from .window_decoding import decode_probabilities

if TYPE_CHECKING:
    from ..checkpoints import TranscriberCheckpoint
    from ..models import TranscriberConfig, TranscriberNetwork

__all__ = ["WindowTranscriber"]


class WindowTranscriber(Transcriber):
    """A transcriber of single windows; onsets and velocities come from the levels of each pitch's partials."""

    threshold: ClassVar[str] = "threshold"
    any_hop: ClassVar[bool] = True
    checkpoint: TranscriberCheckpoint
    network: TranscriberNetwork
    config: TranscriberConfig

    def infer(
        self,
        samples: NDArray[np.floating],
        hop_samples: int | None = None,
        progress: bool = False,
        stretch: float = 1.0,
    ) -> ModelOutputs:
        """Run the network over samples at its own rate; see :meth:`Transcriber.infer`."""
        hop = self.checkpoint.hop_samples if hop_samples is None else hop_samples
        probabilities, rate = self.probabilities(samples, hop, progress), stretch * self.config.sample_rate / hop
        grid = (samples, self.config.sample_rate, hop, self.config.lowest_note, self.config.outputs)
        notes = partial(
            decode_probabilities,
            probabilities,
            rate,
            lowest_note=self.config.lowest_note,
            onsets=onset_strength_db(*grid),
            loudness_db=loudness_db(*grid),
        )
        return ModelOutputs(probabilities, rate, self.config.lowest_note, notes)

    def probabilities(
        self, samples: NDArray[np.floating], hop_samples: int | None = None, progress: bool = False
    ) -> NDArray[np.float32]:
        """Run the network over samples at its own rate, and nothing besides.

        Args:
            samples: Mono samples, float [N], at ``config.sample_rate``.
            hop_samples: Samples from frame to frame; None for the checkpoint's.
            progress: Show a progress bar on stderr, if that is a terminal.

        Returns:
            Float32 [T, P] with T = ceil(N / hop_samples); frame t is centred at sample t * hop_samples.

        Raises:
            ConfigError: The hop is none.
        """
        from ..models.window_blocks import frame_probabilities

        hop = self.checkpoint.hop_samples if hop_samples is None else hop_samples
        if hop < 1:
            raise ConfigError(f"The hop is at least one sample, not {hop}.")
        signal = np.require(samples, np.float32, ["C", "W"])
        with frames_bar(-(-len(signal) // hop), progress) as bar:
            return frame_probabilities(self.network, signal, hop, report=bar.update)

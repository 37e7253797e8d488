"""Generated music is playable."""

from __future__ import annotations

import numpy as np
import pytest
from scenes.generated_music import generate_music


@pytest.mark.parametrize("sustained", [False, True])
def test_notes_of_one_pitch_do_not_overlap(sustained: bool) -> None:
    for seed in range(30):
        notes = generate_music(np.random.default_rng(seed), 4.0, 21, 108, sustained)
        assert notes.pitches.min(initial=21) >= 21 and notes.pitches.max(initial=108) <= 108
        for pitch in np.unique(notes.pitches):
            same = notes.pitches == pitch
            assert (notes.onsets_s[same][1:] >= notes.offsets_s[same][:-1] - 1e-9).all()

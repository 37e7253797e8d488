"""Room simulation: undelayed direct sound, energies and decays as documented, reverberation of earlier sounds."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from audiocx.data.augment import AugmentConfig, augment
from audiocx.data.random_streams import RandomStreams
from audiocx.data.rooms import apply_rooms, room_responses

RATE = 11025


def streams(rows: int, seed: int = 0) -> RandomStreams:
    return RandomStreams(torch.Generator().manual_seed(seed), rows)


def rooms(rows: int, seed: int = 0, longest_s: float = 1.0) -> Tensor:
    return room_responses(streams(rows, seed), RATE, RATE, longest_s)


def test_the_direct_sound_comes_first_and_alone_and_the_energy_is_one() -> None:
    responses = rooms(500)
    assert torch.allclose(responses.square().sum(1), torch.ones(500), atol=1e-4)
    assert (responses[:, 0] > 0).all()
    # Before the first reflection, at 2 ms, there is only the ringing of the crossover filter.
    early = responses[:, 1:15].square().sum(1)
    assert (early < 0.02).all()


def test_direct_to_reverberant_ratios_are_as_documented() -> None:
    direct = rooms(600)[:, 0].square()
    direct_db = 10 * torch.log10(direct / (1 - direct))
    assert -6.2 < direct_db.min() < -5 and 17 < direct_db.max() < 18.2
    assert direct_db.mean() == pytest.approx(6, abs=0.6)


def test_energy_decays_within_the_reverberation_time() -> None:
    decays = []
    for longest_s in (0.3, 0.9):
        energy = rooms(400, 1, longest_s)[:, 1:].square()
        # Schroeder integration of the mean over rooms, whose late part is that of the longest reverberation.
        decay_db = 10 * torch.log10(energy.flip(1).cumsum(1).flip(1).mean(0) / energy.sum(1).mean())
        decays.append(int((decay_db > -50).sum()) / RATE)
    assert 0.1 < decays[0] < 0.3 and 0.3 < decays[1] < 0.9


def test_high_frequencies_decay_faster() -> None:
    late = torch.fft.rfft(rooms(300)[:, 2000:4000]).abs().square().mean(0)
    early = torch.fft.rfft(rooms(300)[:, 200:2200]).abs().square().mean(0)
    low, high = slice(40, 180), slice(500, 900)
    assert late[high].mean() / late[low].mean() < 0.8 * early[high].mean() / early[low].mean()


def test_only_chosen_windows_are_convolved() -> None:
    windows = torch.zeros(2, 4 * RATE)
    windows[:, RATE] = 1
    wet = apply_rooms(windows, torch.tensor([True, False]), RATE, 1.0, streams(2))
    assert torch.equal(wet[1], windows[1])
    assert wet[0, :RATE].abs().max() < 1e-5 and wet[0].argmax() == RATE
    assert 0.01 < wet[0, RATE + 1 : 2 * RATE].square().sum() < 1
    assert wet[0, 2 * RATE + 1 :].abs().max() < 1e-5
    assert torch.allclose(wet[0, RATE : 2 * RATE], rooms(2)[0], atol=1e-5)


def test_earlier_sounds_reverberate_into_a_window() -> None:
    config = AugmentConfig(room_probability=1.0, room_s=0.5)
    echo = config.echo_samples(RATE)
    assert echo == round(0.5 * RATE) and AugmentConfig().echo_samples(RATE) == 0
    windows = torch.zeros(8, echo + 1000)
    windows[:, echo - 100] = 1
    wet = augment(windows, RATE, config, streams(8))
    assert wet.shape == (8, 1000) and (wet.square().sum(1) > 0).all()


def test_distributed_processes_draw_the_rooms_of_one_process() -> None:
    windows, chosen = torch.randn(4, 3000, generator=torch.Generator().manual_seed(3)), torch.ones(4, dtype=torch.bool)
    whole = apply_rooms(windows, chosen, RATE, 0.4, streams(4))
    own = RandomStreams(torch.Generator().manual_seed(0), 4, slice(1, None, 2))
    assert torch.allclose(apply_rooms(windows[1::2], chosen[1::2], RATE, 0.4, own), whole[1::2], atol=1e-6)


@pytest.mark.parametrize("settings", [{"room_probability": 1.5}, {"room_probability": 0.5, "room_s": 0.0}])
def test_settings_out_of_range_are_refused(settings: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="room_"):
        AugmentConfig(**settings)

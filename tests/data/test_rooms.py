"""Random rooms: the direct sound where it was, energies and decays as documented, echoes of what came before."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from audiocx.data.augment import AugmentConfig, augment
from audiocx.data.random_streams import RandomStreams
from audiocx.data.rooms import in_rooms, room_responses

RATE = 11025


def draws(rows: int, seed: int = 0) -> RandomStreams:
    return RandomStreams(torch.Generator().manual_seed(seed), rows)


def rooms(rows: int, seed: int = 0, longest_s: float = 1.0) -> Tensor:
    return room_responses(draws(rows, seed), RATE, RATE, longest_s)


def test_the_direct_sound_comes_first_and_alone_and_the_energy_is_one() -> None:
    responses = rooms(500)
    assert torch.allclose(responses.square().sum(1), torch.ones(500), atol=1e-4)
    assert (responses[:, 0] > 0).all()
    # Only the crossover's ringing reaches before the first reflection, 2 ms behind.
    early = responses[:, 1:15].square().sum(1)
    assert (early < 0.02).all()


def test_microphones_are_as_near_and_far_as_documented() -> None:
    direct = rooms(2000)[:, 0].square()
    direct_db = 10 * torch.log10(direct / (1 - direct))
    assert -6.2 < direct_db.min() < -5 and 17 < direct_db.max() < 18.2
    assert direct_db.mean() == pytest.approx(6, abs=0.6)


def test_a_room_dies_away_by_sixty_db_in_its_time() -> None:
    decays = []
    for longest_s in (0.3, 0.9):
        energy = rooms(400, 1, longest_s)[:, 1:].square()
        # What is left behind any moment, in the mean over rooms: nothing but the longest ring is left late.
        left_db = 10 * torch.log10(energy.flip(1).cumsum(1).flip(1).mean(0) / energy.sum(1).mean())
        decays.append(int((left_db > -50).sum()) / RATE)
    assert 0.1 < decays[0] < 0.3 and 0.3 < decays[1] < 0.9


def test_high_frequencies_die_away_sooner() -> None:
    late = torch.fft.rfft(rooms(300)[:, 2000:4000]).abs().square().mean(0)
    early = torch.fft.rfft(rooms(300)[:, 200:2200]).abs().square().mean(0)
    low, high = slice(40, 180), slice(500, 900)
    assert late[high].mean() / late[low].mean() < 0.8 * early[high].mean() / early[low].mean()


def test_chosen_windows_echo_and_the_others_stay() -> None:
    windows = torch.zeros(2, 4 * RATE)
    windows[:, RATE] = 1
    wet = in_rooms(windows, torch.tensor([True, False]), RATE, 1.0, draws(2))
    assert torch.equal(wet[1], windows[1])
    assert wet[0, :RATE].abs().max() < 1e-5 and wet[0].argmax() == RATE
    assert 0.01 < wet[0, RATE + 1 : 2 * RATE].square().sum() < 1
    assert wet[0, 2 * RATE + 1 :].abs().max() < 1e-5
    assert torch.allclose(wet[0, RATE : 2 * RATE], rooms(2)[0], atol=1e-5)


def test_windows_hear_the_echo_of_what_came_before_them() -> None:
    config = AugmentConfig(room_probability=1.0, room_s=0.5)
    echo = config.echo_samples(RATE)
    assert echo == round(0.5 * RATE) and AugmentConfig().echo_samples(RATE) == 0
    windows = torch.zeros(8, echo + 1000)
    windows[:, echo - 100] = 1
    heard = augment(windows, RATE, config, draws(8))
    assert heard.shape == (8, 1000) and (heard.square().sum(1) > 0).all()


def test_two_processes_hear_the_rooms_that_one_would() -> None:
    windows, chosen = torch.randn(4, 3000, generator=torch.Generator().manual_seed(3)), torch.ones(4, dtype=torch.bool)
    whole = in_rooms(windows, chosen, RATE, 0.4, draws(4))
    mine = RandomStreams(torch.Generator().manual_seed(0), 4, slice(1, None, 2))
    assert torch.allclose(in_rooms(windows[1::2], chosen[1::2], RATE, 0.4, mine), whole[1::2], atol=1e-6)


@pytest.mark.parametrize("settings", [{"room_probability": 1.5}, {"room_probability": 0.5, "room_s": 0.0}])
def test_what_makes_no_sense_is_refused(settings: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="room_"):
        AugmentConfig(**settings)

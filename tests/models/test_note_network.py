"""The note network: shapes, twins, what it looks at."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from audiocx.kinds import build
from audiocx.models import NoteConfig, NoteNetwork, folded
from audiocx.nn import ComplexBatchNorm, ComplexConv2d, StandardizedComplexConv2d, StandardizedConv2d

GRID = {"sample_rate": 8000, "hop_samples": 64, "windows": [512, 128], "outputs": 24, "lowest_note": 60}
SMALL = {**GRID, "stem_channels": 2, "channels": 3, "dilations": [1, 3], "octave": 5, "harmonics": [0.5, 1.0, 2.0]}


def network(**settings: object) -> NoteNetwork:
    torch.manual_seed(0)
    return build(NoteConfig(**{**SMALL, **settings}))  # type: ignore[arg-type]


def noise(frames: int, batch: int = 1) -> Tensor:
    return 0.1 * torch.randn(batch, frames * 64 + 512, generator=torch.Generator().manual_seed(1))


VARIANTS = [
    {},
    {"complex": False},
    {"time_stride": 1},
    {"phase": "centred"},
    {"complex": False, "phase": "none"},
    {"complex": False, "time_stride": 3},
    {"norm": "whitening", "activation": "modrelu"},
    {"norm": "naive", "activation": "zrelu"},
    {"norm": "none"},
]


@pytest.mark.parametrize("settings", VARIANTS)
def test_every_frame_and_note_gets_its_answers(settings: dict[str, object]) -> None:
    logits = network(**settings)(noise(12, batch=2))
    assert all(part.shape == (2, 12, 24) and part.isfinite().all() for part in logits)
    assert logits._fields == ("onsets", "frames", "offsets", "velocities")


@pytest.mark.parametrize("settings", VARIANTS)
def test_every_parameter_learns(settings: dict[str, object]) -> None:
    learning = network(**settings)
    sum(part.square().sum() for part in learning(noise(12, batch=2))).backward()  # type: ignore[union-attr]
    for name, parameter in learning.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().max() > 0, name


@pytest.mark.parametrize("settings", VARIANTS)
def test_folding_leaves_the_answers_and_takes_the_normalisation(settings: dict[str, object]) -> None:
    full, samples = network(**settings).double(), noise(12, batch=2).double()
    for _ in range(3):
        full(samples)  # moves the running statistics off their start
    for norm in full.modules():
        if isinstance(norm, (nn.BatchNorm2d, ComplexBatchNorm)):
            for parameter in norm.parameters():
                nn.init.normal_(parameter)
    for name, parameter in full.named_parameters():
        if name.endswith("gain"):
            nn.init.uniform_(parameter, 0.5, 2.0)
    full.eval()
    state = {name: value.clone() for name, value in full.state_dict().items()}
    light = folded(full)
    kinds = {type(layer) for layer in light.modules()}
    assert (
        nn.Conv2d in kinds
        and not {
            ComplexConv2d,
            StandardizedComplexConv2d,
            StandardizedConv2d,
            ComplexBatchNorm,
            nn.BatchNorm2d,
        }
        & kinds
    )
    with torch.inference_mode():
        torch.testing.assert_close(light(samples), full(samples), rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(dict(full.state_dict()), state, rtol=0, atol=0)


@pytest.mark.parametrize("settings", VARIANTS)
def test_nothing_beyond_its_reach_matters_and_all_within_does(settings: dict[str, object]) -> None:
    listening = network(**settings).eval()
    reach, frames = listening.config.context_frames, 60
    spectra = listening.front_end(noise(frames))
    with torch.no_grad():
        before = torch.stack(listening.infer(spectra))
        changed = spectra.clone()
        changed[:, :, 30] += 30.0
        differs = (torch.stack(listening.infer(changed)) - before).abs().amax((0, 1, 3)) > 1e-6
    seen = differs.nonzero().flatten()
    assert 30 - reach <= seen.min() and seen.max() <= 30 + reach
    assert seen.max() - seen.min() >= 2 * (reach - listening.config.time_stride) - listening.config.time_stride


def test_the_default_twins_are_of_one_size() -> None:
    """As conf/ has them: 32 complex maps, and as many real ones as have equally many weights."""
    complex, real = (
        sum(p.numel() for p in NoteNetwork(NoteConfig(complex=kind, stem_channels=stem, channels=maps)).parameters())
        for kind, stem, maps in ((True, 16, 32), (False, 23, 45))
    )
    assert abs(complex - real) < 0.02 * complex


def test_harmonics_lie_upon_their_note() -> None:
    """A change in an octave's bin alone reaches the note below through the stack, first convolution apart."""
    listening = network(bins_per_semitone=1, harmonics=[1.0, 2.0])
    spectra = torch.zeros(1, 4, 12, listening.front_end.steady.numel())
    spectra[:, :, :, 12 + 5] = 1.0
    stacked = listening._stacked(spectra)
    assert stacked.shape == (1, 8, 12, 24)
    # Real parts of both windows, each with its harmonics, and then the imaginary ones.
    sounding = stacked[0, :, 0].nonzero()
    assert sounding.tolist() == [[channel, 17 if channel % 2 == 0 else 5] for channel in range(8)]


def test_first_guesses_are_rare() -> None:
    quiet = network().eval()
    last = [layer for layer in quiet.modules() if isinstance(layer, nn.Conv2d)][-1]
    nn.init.zeros_(last.weight)
    logits = quiet(noise(12))
    assert logits.onsets.sigmoid().max() < 0.01 and logits.frames.sigmoid().max() < 0.1


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"channels": 0}, "channels must be a number in"),
        ({"dilations": [0]}, "dilations must be a number in"),
        ({"octave": 4}, "octave must be odd"),
        ({"harmonics": []}, "harmonics not empty"),
        ({"outputs": 100}, "leave MIDI's 0 to 127"),
        ({"windows": [511]}, "windows are even"),
        ({"phase": "none"}, "needs phases"),
        ({"phase": "wrapped"}, "phase is one of"),
    ],
)
def test_settings_that_make_no_network(settings: dict[str, object], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        network(**settings)

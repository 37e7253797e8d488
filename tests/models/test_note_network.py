"""Note networks: shapes, gradients, folding, receptive field, parameter counts."""

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
def test_output_shapes(settings: dict[str, object]) -> None:
    logits = network(**settings)(noise(12, batch=2))
    assert all(part.shape == (2, 12, 24) and part.isfinite().all() for part in logits)
    assert logits._fields == ("onsets", "frames", "offsets", "velocities")


@pytest.mark.parametrize("settings", VARIANTS)
def test_every_parameter_has_a_gradient(settings: dict[str, object]) -> None:
    tested = network(**settings)
    sum(part.square().sum() for part in tested(noise(12, batch=2))).backward()  # type: ignore[union-attr]
    for name, parameter in tested.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().max() > 0, name


@pytest.mark.parametrize("settings", VARIANTS)
def test_folding_keeps_the_logits_and_removes_the_normalisation(settings: dict[str, object]) -> None:
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
def test_the_receptive_field_is_context_frames(settings: dict[str, object]) -> None:
    tested = network(**settings).eval()
    context, frames = tested.config.context_frames, 60
    spectra = tested.front_end(noise(frames))
    with torch.no_grad():
        before = torch.stack(tested.infer(spectra))
        changed = spectra.clone()
        changed[:, :, 30] += 30.0
        differs = (torch.stack(tested.infer(changed)) - before).abs().amax((0, 1, 3)) > 1e-6
    changed_frames = differs.nonzero().flatten()
    assert 30 - context <= changed_frames.min() and changed_frames.max() <= 30 + context
    assert (
        changed_frames.max() - changed_frames.min()
        >= 2 * (context - tested.config.time_stride) - tested.config.time_stride
    )


def test_complex_and_real_networks_have_as_many_parameters() -> None:
    """As in conf/: 32 complex feature maps, and as many real ones as make equally many weights."""
    complex, real = (
        sum(p.numel() for p in NoteNetwork(NoteConfig(complex=kind, stem_channels=stem, channels=maps)).parameters())
        for kind, stem, maps in ((True, 16, 32), (False, 23, 45))
    )
    assert abs(complex - real) < 0.02 * complex


def test_harmonics_are_aligned_with_their_note() -> None:
    tested = network(bins_per_semitone=1, harmonics=[1.0, 2.0])
    spectra = torch.zeros(1, 4, 12, tested.front_end.steady.numel())
    spectra[:, :, :, 12 + 5] = 1.0
    inputs: list[Tensor] = []
    tested.body.register_forward_pre_hook(lambda _, args: inputs.append(args[0]))
    tested.infer(spectra)
    (stacked,) = inputs
    assert stacked.shape == (1, 8, 12, 24)
    # Real parts of both windows, each with its harmonics, and then the imaginary ones.
    sounding = stacked[0, :, 0].nonzero()
    assert sounding.tolist() == [[channel, 17 if channel % 2 == 0 else 5] for channel in range(8)]


def test_initial_probabilities_are_low() -> None:
    tested = network().eval()
    last = [layer for layer in tested.modules() if isinstance(layer, nn.Conv2d)][-1]
    nn.init.zeros_(last.weight)
    logits = tested(noise(12))
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
def test_invalid_settings_are_refused(settings: dict[str, object], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        network(**settings)

"""Folding of normalisation into convolutions."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from audiocx.nn import (
    ComplexBatchNorm,
    ComplexConv1d,
    ComplexConv2d,
    ComplexConv3d,
    ComplexConvTranspose1d,
    ComplexConvTranspose2d,
    ComplexConvTranspose3d,
    CReLU,
    StandardizedComplexConv2d,
    StandardizedConv2d,
    fold,
    fold_sequence,
)


@pytest.mark.parametrize("variant", ["whitening", "naive"])
def test_folding_keeps_the_output_in_evaluation(variant: str) -> None:
    torch.manual_seed(0)
    chain = [
        ComplexConv2d(2, 3, (1, 3), (1, 2), (0, 1)),
        ComplexBatchNorm(3, variant=variant),  # type: ignore[arg-type]
        CReLU(),
        ComplexConv2d(3, 2, (1, 3), bias=False),
    ]
    net = nn.Sequential(*chain).double()
    for _ in range(20):
        net(torch.randn(16, 4, 1, 20, dtype=torch.float64) * 3 + 1)
    net.eval()
    nn.init.normal_(chain[1].gamma)
    nn.init.normal_(chain[1].beta)
    folded = fold_sequence(list(net))
    assert [type(layer) for layer in folded] == [nn.Conv2d, CReLU, nn.Conv2d]
    x = torch.randn(5, 4, 1, 20, dtype=torch.float64)
    torch.testing.assert_close(nn.Sequential(*folded)(x), net(x), rtol=1e-10, atol=1e-12)


def test_whitening_does_not_fold_into_a_complex_weight() -> None:
    torch.manual_seed(0)
    norm = ComplexBatchNorm(1)
    norm(torch.randn(64, 2, 1, 4) * torch.tensor([3.0, 0.1]).view(1, 2, 1, 1))
    weight = fold(ComplexConv2d(1, 1, 1).eval(), norm.eval()).weight.flatten()
    assert not torch.isclose(weight[0], weight[3]) or not torch.isclose(weight[1], -weight[2])


def test_grouped_convolutions_are_left_alone() -> None:
    grouped, norm = ComplexConv2d(4, 4, 1, groups=2).eval(), ComplexBatchNorm(4).eval()
    assert fold_sequence([grouped, norm]) == [grouped, norm]
    with pytest.raises(ValueError, match="grouped"):
        fold(grouped, norm)


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")
def test_chains_over_one_axis_fold() -> None:
    torch.manual_seed(0)
    chain = [
        ComplexConv1d(2, 3, 4, padding="same"),
        ComplexBatchNorm(3),
        CReLU(),
        ComplexConv1d(3, 2, 3, 2, bias=False),
    ]
    chain += [nn.Conv1d(4, 3, 1), nn.BatchNorm1d(3)]
    net = nn.Sequential(*chain).double()
    for _ in range(5):
        net(torch.randn(16, 4, 20, dtype=torch.float64) * 3 + 1)
    folded = fold_sequence(list(net.eval()))
    assert [type(layer) for layer in folded] == [nn.Conv1d, CReLU, nn.Conv1d, nn.Conv1d]
    for shape in ((5, 4, 20), (5, 4, 21)):
        x = torch.randn(shape, dtype=torch.float64)
        torch.testing.assert_close(nn.Sequential(*folded)(x), net(x), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(
    "chain",
    [
        [ComplexConv2d(1, 2, 1), ComplexBatchNorm(2).eval()],
        [ComplexConv2d(1, 2, 1).eval(), ComplexBatchNorm(2)],
        [ComplexConv1d(1, 2, 1)],
        [nn.Conv2d(1, 2, 1).eval(), nn.BatchNorm2d(2)],
        [StandardizedConv2d(1, 2, 1)],
    ],
)
def test_layers_in_training_mode_are_refused(chain: list[nn.Module]) -> None:
    with pytest.raises(ValueError, match=r"is in training mode; call \.eval\(\)"):
        fold_sequence(chain)


def test_norms_of_other_channels_are_refused() -> None:
    with pytest.raises(ValueError, match="has 3 complex channels, its norm 2"):
        fold(ComplexConv1d(1, 3, 1).eval(), ComplexBatchNorm(2).eval())


def test_other_layers_behind_a_convolution_stay() -> None:
    chain: list[nn.Module] = [nn.Conv2d(1, 2, 1).eval(), nn.BatchNorm1d(2).eval(), CReLU()]
    assert fold_sequence(chain) == chain


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")
@pytest.mark.parametrize(
    ("conv", "shape", "plain"),
    [
        (ComplexConv1d(2, 3, 4, padding="same", padding_mode="reflect"), (2, 4, 9), nn.Conv1d),
        (ComplexConv2d(2, 3, 3, 2, 1, padding_mode="circular"), (2, 4, 6, 5), nn.Conv2d),
        (StandardizedComplexConv2d(2, 3, 3, padding=1, padding_mode="replicate"), (2, 4, 6, 5), nn.Conv2d),
        (ComplexConv3d(2, 3, (1, 2, 3), (1, 2, 1), (0, 1, 1)), (2, 4, 3, 4, 5), nn.Conv3d),
        (ComplexConvTranspose1d(2, 3, 4, 2, 1, 1, bias=False), (2, 4, 5), nn.ConvTranspose1d),
        (ComplexConvTranspose2d(2, 3, (3, 2), dilation=(2, 1)), (2, 4, 4, 5), nn.ConvTranspose2d),
        (ComplexConvTranspose3d(2, 3, 2, 2), (2, 4, 2, 3, 2), nn.ConvTranspose3d),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else None,
)
def test_every_convolution_folds(conv: nn.Module, shape: tuple[int, ...], plain: type) -> None:
    torch.manual_seed(0)
    net = nn.Sequential(conv, ComplexBatchNorm(3)).double()
    x = torch.randn(shape, dtype=torch.float64) * 3 + 1
    for _ in range(20):
        net(x)
    for parameter in (*net[1].parameters(), *([] if conv.bias is None else [conv.bias])):
        nn.init.normal_(parameter)
    folded = fold_sequence(list(net.eval()))
    assert [type(layer) for layer in folded] == [plain]
    torch.testing.assert_close(folded[0](x), net(x), rtol=1e-10, atol=1e-12)
    (alone,) = fold_sequence([conv])
    torch.testing.assert_close(alone(x), conv(x), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("kind", [ComplexConv3d, ComplexConvTranspose1d])
def test_grouped_convolutions_of_every_kind_are_left_alone(kind: type) -> None:
    grouped = kind(4, 4, 1, groups=2).eval()
    assert fold_sequence([grouped]) == [grouped]
    with pytest.raises(ValueError, match="grouped"):
        fold(grouped)


def test_standardised_real_convolutions_keep_their_padding_mode() -> None:
    layer = StandardizedConv2d(2, 3, 3, padding=1, padding_mode="circular").eval()
    x = torch.randn(2, 2, 4, 5)
    torch.testing.assert_close(fold_sequence([layer])[0](x), layer(x))


def test_norms_without_running_statistics_stay() -> None:
    conv, norm = ComplexConv1d(1, 2, 1).eval(), ComplexBatchNorm(2).eval()
    norm.running_mean = None
    light = fold_sequence([conv, norm])
    assert [type(layer) for layer in light] == [nn.Conv1d, ComplexBatchNorm]
    with pytest.raises(ValueError, match="without running statistics cannot be folded"):
        fold(conv, norm)


def test_real_chains_over_three_axes_fold() -> None:
    chain = nn.Sequential(nn.Conv3d(2, 3, 2), nn.BatchNorm3d(3)).eval()
    nn.init.normal_(chain[1].running_mean)
    x = torch.randn(2, 2, 3, 4, 5)
    (folded,) = fold_sequence(list(chain))
    torch.testing.assert_close(folded(x), chain(x), rtol=1e-4, atol=1e-5)

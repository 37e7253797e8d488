"""Folding of normalisation into convolutions."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from audiocx.nn import ComplexBatchNorm, ComplexConv2d, CReLU, fold, fold_sequence


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
    weight = fold(ComplexConv2d(1, 1, 1), norm.eval()).weight.flatten()
    assert not torch.isclose(weight[0], weight[3]) or not torch.isclose(weight[1], -weight[2])


def test_grouped_convolutions_are_left_alone() -> None:
    grouped, norm = ComplexConv2d(4, 4, 1, groups=2).eval(), ComplexBatchNorm(4).eval()
    assert fold_sequence([grouped, norm]) == [grouped, norm]
    with pytest.raises(ValueError, match="grouped"):
        fold(grouped, norm)

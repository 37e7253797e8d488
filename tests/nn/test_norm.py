"""Complex batch normalisation: invariances, conventions, and numerically hard inputs."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from audiocx.nn import ComplexBatchNorm
from audiocx.nn.functional import to_channels, to_complex
from audiocx.nn.whitening import inverse_sqrt_2x2, inverse_sqrt_2x2_backward, normalize

EPS = 1e-4  # the paper's
VARIANTS = ["whitening", "naive"]


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


def features(batch: int = 40, channels: int = 3, length: int = 5) -> Tensor:
    """Real channels [B, 2C, L] whose real and imaginary parts are shifted, scaled and correlated."""
    real, noise = torch.randn(2, batch, channels, length, dtype=torch.float64)
    scale = torch.tensor([0.3, 2.0, 50.0], dtype=torch.float64)[:channels, None]
    return torch.cat([1 + scale * real, scale * (0.6 * real + 0.5 * noise) - 2], 1)


def pairs(x: Tensor) -> Tensor:
    """Lays real channels [B, 2C, L] out as points of the plane, [C, B * L, 2]."""
    z = to_complex(x).transpose(0, 1).flatten(1)
    return torch.view_as_real(z)


def moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """Means [C, 2] and biased covariances [C, 2, 2]."""
    points = pairs(x)
    centred = points - points.mean(1, keepdim=True)
    return points.mean(1), centred.mT @ centred / points.shape[1]


def inverse_sqrt(matrix: np.ndarray) -> np.ndarray:
    values, vectors = np.linalg.eigh(matrix)
    return vectors / np.sqrt(values)[..., None, :] @ np.swapaxes(vectors, -1, -2)


# The inverse square root


@pytest.mark.parametrize("scale", [1e-8, 1e-3, 1.0, 1e3, 1e6])
@pytest.mark.parametrize("rank", [0, 1, 2])
def test_inverse_sqrt_matches_the_eigendecomposition(scale: float, rank: int) -> None:
    factor = torch.randn(200, 2, rank, dtype=torch.float64)
    cov = scale * factor @ factor.mT
    rr, ii, ri = inverse_sqrt_2x2(cov[:, 0, 0], cov[:, 1, 1], cov[:, 0, 1], EPS)
    expected = torch.from_numpy(inverse_sqrt((cov + EPS * torch.eye(2)).numpy()))
    assert_close(torch.stack([rr, ri, ri, ii], -1).view(-1, 2, 2), expected, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("variance", [0.0, 1e-12, 1e-4, 1.0, 1e6, 1e12])
@pytest.mark.parametrize("sign", [1, -1])
def test_the_clamp_is_exact_where_rounding_leaves_nothing(variance: float, sign: int) -> None:
    # re = +-im has the eigenvalues 2 v + eps and eps. Near v = 1, float32 rounds v + eps; from 1e4 on, to v itself.
    v = torch.tensor(variance, dtype=torch.float32)
    rr, ii, ri = inverse_sqrt_2x2(v, v, sign * v, EPS)
    along, across = 1 / math.sqrt(2 * variance + EPS), 1 / math.sqrt(EPS)
    expected = [(along + across) / 2, (along + across) / 2, sign * (along - across) / 2]
    assert [rr.item(), ii.item(), ri.item()] == pytest.approx(expected, rel=2e-4 if variance == 1 else 1e-6)


# Training


def test_whitening_gives_mean_zero_and_half_the_identity() -> None:
    y = ComplexBatchNorm(3, eps=1e-12).double()(features())
    mean, cov = moments(y)
    assert_close(mean, torch.zeros_like(mean))
    assert_close(cov, 0.5 * torch.eye(2, dtype=torch.float64).expand_as(cov))


def test_naive_gives_mean_zero_and_unit_power_and_keeps_the_shape() -> None:
    x = features()
    mean, cov = moments(ComplexBatchNorm(3, eps=1e-12, variant="naive").double()(x))
    assert_close(mean, torch.zeros_like(mean))
    _, before = moments(x)
    assert_close(cov, before / before.diagonal(dim1=1, dim2=2).sum(1)[:, None, None])


def test_eps_is_added_to_the_variances() -> None:
    x = features()
    mean, cov = moments(x)
    eps = 0.3
    root = torch.from_numpy(inverse_sqrt((cov + eps * torch.eye(2)).numpy()))
    expected = math.sqrt(0.5) * (pairs(x) - mean[:, None]) @ root
    assert_close(pairs(ComplexBatchNorm(3, eps=eps).double()(x)), expected)
    power = cov.diagonal(dim1=1, dim2=2).sum(1)[:, None, None]
    naive = ComplexBatchNorm(3, eps=eps, variant="naive").double()(x)
    assert_close(pairs(naive), (pairs(x) - mean[:, None]) / (power + eps).sqrt())


@pytest.mark.parametrize("variant", VARIANTS)
def test_scale_and_shift_of_a_channel_do_not_matter(variant: str) -> None:
    norm, x = ComplexBatchNorm(3, eps=1e-14, variant=variant).double(), features()  # type: ignore[arg-type]
    scale = torch.tensor([0.01, 3.0, 700.0], dtype=torch.float64).repeat(2)[:, None]
    shift = torch.randn(6, 1, dtype=torch.float64)
    assert_close(norm(scale * x + shift), norm(x), rtol=1e-6, atol=1e-8)


def test_whitening_undoes_any_widely_linear_map_up_to_a_rotation() -> None:
    # Inner products within a channel are all that a rotation or reflection of the plane leaves.
    norm, x = ComplexBatchNorm(3, eps=1e-14).double(), features()
    maps = torch.randn(3, 2, 2, dtype=torch.float64)
    assert (torch.linalg.det(maps).abs() > 0.1).all()
    moved = pairs(x) @ maps + torch.randn(3, 1, 2, dtype=torch.float64)
    moved_x = to_channels(torch.view_as_complex(moved.contiguous()).unflatten(1, (40, 5)).transpose(0, 1))
    before, after = pairs(norm(x)), pairs(norm(moved_x))
    assert_close(after @ after.mT, before @ before.mT, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("variant", VARIANTS)
def test_normalisation_commutes_with_rotation_and_conjugation(variant: str) -> None:
    norm, z = ComplexBatchNorm(3, variant=variant).double(), to_complex(features())  # type: ignore[arg-type]
    rotation = complex(math.cos(0.8), math.sin(0.8))
    assert_close(norm(rotation * z), rotation * norm(z))
    assert_close(norm(z.conj()), norm(z).conj())


@pytest.mark.parametrize("variant", VARIANTS)
def test_gamma_and_beta_act_on_the_normalised_values(variant: str) -> None:
    plain, norm, x = ComplexBatchNorm(3, variant=variant), ComplexBatchNorm(3, variant=variant), features()  # type: ignore[arg-type]
    with torch.no_grad():
        plain.gamma.copy_(torch.tensor([[1.0], [1.0], [0.0]]))
        norm.gamma.normal_()
        norm.beta.normal_()
    rr, ii, ri = norm.double().gamma
    matrix = torch.stack([rr, ri, ri, ii], -1).view(3, 2, 2)
    shift = torch.view_as_real(to_complex(norm.beta, 0))[:, None]
    assert_close(pairs(norm(x)), pairs(plain.double()(x)) @ matrix.mT + shift)


@pytest.mark.parametrize(("variant", "start"), [("whitening", math.sqrt(0.5)), ("naive", 1.0)])
def test_initial_parameters_and_statistics(variant: str, start: float) -> None:
    norm = ComplexBatchNorm(2, variant=variant)  # type: ignore[arg-type]
    assert_close(norm.gamma.data, torch.tensor([[start] * 2, [start] * 2, [0.0] * 2]))
    assert torch.equal(norm.beta.data, torch.zeros(4)) and torch.equal(norm.running_mean, torch.zeros(4))
    assert_close(norm.running_cov, torch.tensor([[math.sqrt(0.5)] * 2, [math.sqrt(0.5)] * 2, [0.0] * 2]))


def test_unknown_variants_are_refused() -> None:
    with pytest.raises(ValueError, match="must be 'whitening' or 'naive', not 'layer'"):
        ComplexBatchNorm(2, variant="layer")  # type: ignore[arg-type]


# Running statistics and evaluation


@pytest.mark.parametrize("variant", VARIANTS)
def test_running_statistics_keep_nine_tenths_of_the_old(variant: str) -> None:
    norm = ComplexBatchNorm(3, variant=variant).double()  # type: ignore[arg-type]
    mean, cov = norm.running_mean.clone(), norm.running_cov.clone()
    for x in (features(), 3 * features() - 1):
        norm(x)
        batch_mean, batch_cov = moments(x)
        mean = 0.9 * mean + 0.1 * batch_mean.T.flatten()
        entries = torch.stack([batch_cov[:, 0, 0], batch_cov[:, 1, 1], batch_cov[:, 0, 1]])
        cov = 0.9 * cov + 0.1 * entries
        assert_close(norm.running_mean, mean)
        assert_close(norm.running_cov, cov)


def test_without_momentum_the_running_statistics_are_the_average() -> None:
    norm = ComplexBatchNorm(3, momentum=None).double()
    batches = [features(), 3 * features() - 1, features() + 2]
    for x in batches:
        norm(x)
    norm(batches[0][:0])
    means, covs = zip(*map(moments, batches), strict=True)
    cov = torch.stack(covs).mean(0)
    assert_close(norm.running_mean, torch.stack(means).mean(0).T.flatten())
    assert_close(norm.running_cov, torch.stack([cov[:, 0, 0], cov[:, 1, 1], cov[:, 0, 1]]))
    assert norm.num_batches_tracked == 3
    other = ComplexBatchNorm(3, momentum=None)
    other.load_state_dict(ComplexBatchNorm(3).state_dict())
    assert other.num_batches_tracked == 0


@pytest.mark.parametrize("variant", VARIANTS)
def test_without_affine_gamma_and_beta_keep_their_first_values(variant: str) -> None:
    x, options = features(), {"variant": variant, "dtype": torch.float64}
    plain, learnt = ComplexBatchNorm(3, affine=False, **options), ComplexBatchNorm(3, **options)  # type: ignore[arg-type]
    assert not list(plain.parameters()) and plain.gamma is None and plain.beta is None
    for training in (True, False):
        assert_close(plain.train(training)(x), learnt.train(training)(x))
    assert_close(plain.affine(), learnt.affine())
    assert_close(plain.state_dict(), {name: value for name, value in learnt.state_dict().items() if "running" in name})


@pytest.mark.parametrize("momentum", [0.1, None])
def test_without_running_statistics_evaluation_uses_those_of_the_batch(momentum: float | None) -> None:
    norm, x = ComplexBatchNorm(3, momentum=momentum, track_running_stats=False, dtype=torch.float64), features()
    expected = norm(x)
    assert [*norm.state_dict()] == ["gamma", "beta"]
    assert_close(norm.eval()(x), expected)
    assert norm(x[:0]).shape == (0, 6, 5)
    with pytest.raises(ValueError, match="use track_running_stats=True"):
        norm.affine()


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16])
def test_device_and_dtype_are_those_asked_for(dtype: torch.dtype) -> None:
    norm = ComplexBatchNorm(3, momentum=None, device="meta", dtype=dtype)
    assert norm(torch.zeros(2, 6, device="meta", dtype=dtype)).shape == (2, 6)
    for name, value in norm.state_dict().items():
        assert value.is_meta and value.dtype == (torch.int64 if name == "num_batches_tracked" else dtype)
    made = ComplexBatchNorm(3, dtype=torch.float64)
    assert made.gamma is not None
    assert made.gamma[0, 0].item() == made.running_cov[0, 0].item() == math.sqrt(0.5)


@pytest.mark.parametrize("variant", VARIANTS)
def test_evaluation_is_the_explicit_formula_and_tracks_nothing(variant: str) -> None:
    norm, x = ComplexBatchNorm(3, variant=variant).double(), features()  # type: ignore[arg-type]
    norm(x)
    with torch.no_grad():
        norm.gamma.normal_()
        norm.beta.normal_()
    before = {name: value.clone() for name, value in norm.state_dict().items()}
    y = norm.eval()(x)
    assert_close(norm.state_dict(), before, rtol=0, atol=0)

    rr, ii, ri = norm.running_cov.numpy()
    cov = np.stack([rr + EPS, ri, ri, ii + EPS], -1).reshape(3, 2, 2)
    root = inverse_sqrt(cov) if variant == "whitening" else np.eye(2) / np.sqrt(rr + ii + EPS)[:, None, None]
    g_rr, g_ii, g_ri = norm.gamma.detach().numpy()
    matrix = np.stack([g_rr, g_ri, g_ri, g_ii], -1).reshape(3, 2, 2) @ root
    centred = pairs(x).numpy() - norm.running_mean.numpy().reshape(2, 3).T[:, None]
    expected = centred @ np.swapaxes(matrix, 1, 2) + norm.beta.detach().numpy().reshape(2, 3).T[:, None]
    assert_close(pairs(y), torch.from_numpy(expected))


@pytest.mark.parametrize("variant", VARIANTS)
def test_affine_is_what_evaluation_applies(variant: str) -> None:
    norm, x = ComplexBatchNorm(3, variant=variant).double(), features()  # type: ignore[arg-type]
    norm(x)
    torch.nn.init.normal_(norm.gamma)
    torch.nn.init.normal_(norm.beta)
    entries, shift = norm.eval().affine()
    rr, ri, ir, ii = (entry[:, None] for entry in entries)
    real, imag = x.chunk(2, 1)
    expected = torch.cat([rr * real + ri * imag, ir * real + ii * imag], 1) + shift[:, None]
    assert_close(norm(x), expected)


@pytest.mark.parametrize("variant", VARIANTS)
def test_statistics_are_over_batch_and_trailing_axes(variant: str) -> None:
    x = features()
    as_rows = x.transpose(1, 2).flatten(0, 1)
    as_plane = x.unflatten(2, (5, 1))
    norms = [ComplexBatchNorm(3, variant=variant).double() for _ in range(3)]  # type: ignore[arg-type]
    expected = norms[0](x)
    assert_close(norms[1](as_rows).unflatten(0, (40, 5)).transpose(1, 2), expected)
    assert_close(norms[2](as_plane).squeeze(-1), expected)


# Hard cases


def values_and_gradient(x: Tensor, direction: Tensor, variant: str = "whitening") -> tuple[Tensor, Tensor]:
    x = x.detach().requires_grad_()
    y = ComplexBatchNorm(x.shape[1] // 2, variant=variant).to(x.dtype)(x)  # type: ignore[arg-type]
    (grad,) = torch.autograd.grad(y, x, direction.to(x.dtype))
    return y.detach(), grad


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("scale", [1.0, 1e3, 1e5])
def test_equal_parts_stay_finite_and_near_the_float64_answer(scale: float, sign: int) -> None:
    part = scale * torch.randn(64, 2, 9)
    x, direction = torch.cat([part, sign * part], 1), torch.randn(64, 4, 9)
    y, grad = values_and_gradient(x, direction)
    exact_y, exact_grad = values_and_gradient(x.double(), direction)
    assert y.isfinite().all() and grad.isfinite().all()
    # Two products of about scale / sqrt(4 eps) cancel to about 1; each is rounded to 24 bits.
    rounding = 8 * scale / math.sqrt(4 * EPS) * 2**-24
    assert_close(y.double(), exact_y, rtol=1e-4, atol=max(rounding, 1e-4))
    assert_close(grad.double(), exact_grad, rtol=1e-3, atol=1e-4 * exact_grad.abs().max().item())


@pytest.mark.parametrize("noise", [1e-4, 1e-2, 1.0])
def test_nearly_equal_parts_stay_finite_and_bounded(noise: float) -> None:
    part = 1e3 * torch.randn(64, 2, 9)
    x = torch.cat([part, part + noise * torch.randn_like(part)], 1)
    y, grad = values_and_gradient(x, torch.randn_like(x))
    assert y.isfinite().all() and grad.isfinite().all()
    # Whitened values have unit power; the smaller axis, lost to rounding, may not pass its share by much.
    assert y.square().mean() < 2


@pytest.mark.parametrize("slope", [1.0, -1.0, 0.3, 50.0])
def test_nearly_proportional_parts_match_float64(slope: float) -> None:
    # Float32 cannot hold the determinant of their covariance: it is 2.5e-9 of the product of the variances.
    part, direction = torch.randn(64, 2, 9), torch.randn(64, 4, 9)
    x = 1e5 * torch.cat([part + 1, slope * (part + 1) + 1e-4 * max(1, abs(slope)) * torch.randn_like(part)], 1)
    norm = ComplexBatchNorm(2)
    exact = copy.deepcopy(norm).double()
    single, double = x.clone().requires_grad_(), x.double().requires_grad_()
    for _ in range(3):
        y, expected = norm(single), exact(double)
    assert_close(y.double(), expected, rtol=1e-4, atol=1e-4)
    (grad,), (exact_grad,) = (
        torch.autograd.grad(a, b, direction.to(a.dtype)) for a, b in ((y, single), (expected, double))
    )
    assert_close(grad.double(), exact_grad, rtol=1e-4, atol=1e-4 * exact_grad.abs().max().item())
    assert y.dtype == grad.dtype == norm.running_cov.dtype == torch.float32
    # In evaluation, too: the running covariance keeps what rounding would take.
    again = ComplexBatchNorm(2)
    again.load_state_dict(norm.state_dict())
    assert_close(again.eval()(x).double(), exact.eval()(x.double()), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("scale", [1e10, 1e18])
def test_huge_values_are_normalised_as_small_ones(variant: str, scale: float) -> None:
    x = torch.randn(64, 4, 9)
    norm, small = (ComplexBatchNorm(2, eps=0, variant=variant) for _ in range(2))  # type: ignore[arg-type]
    assert_close(norm(scale * x), small(x), rtol=1e-4, atol=1e-5)
    assert norm.eval()(scale * x).isfinite().all()


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("shape", [(0, 4), (0, 4, 7), (3, 4, 0)])
def test_an_empty_batch_changes_nothing(variant: str, shape: tuple[int, ...]) -> None:
    norm = ComplexBatchNorm(2, variant=variant)  # type: ignore[arg-type]
    norm(torch.randn(8, 4, 16))
    before = {name: value.clone() for name, value in norm.state_dict().items()}
    x = torch.zeros(shape, requires_grad=True)
    y = norm(x)
    y.sum().backward()
    assert y.shape == shape and x.grad is not None
    assert_close(norm.state_dict(), before, rtol=0, atol=0)


def test_checkpoints_without_the_rest_of_the_covariance_load() -> None:
    norm = ComplexBatchNorm(2)
    norm(torch.randn(8, 4, 16))
    state = norm.state_dict()
    norm.running_cov_rest.fill_(1.0)
    del state["running_cov_rest"]
    norm.load_state_dict(state)
    assert norm.running_cov_rest.eq(0).all()


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_constant_channel_becomes_beta(variant: str) -> None:
    x = torch.tensor([0.5, -3.0, 7.0, 0.0]).view(1, 4, 1).expand(6, 4, 5)
    y, grad = values_and_gradient(x, torch.randn(6, 4, 5), variant)
    assert_close(y, torch.zeros(6, 4, 5))
    assert grad.isfinite().all()


@pytest.mark.parametrize("variant", VARIANTS)
def test_under_eps_values_are_only_scaled(variant: str) -> None:
    # The squares of 1e-20 are below the normal float32 numbers: nothing is left of the covariance but eps.
    x = 1e-20 * torch.randn(64, 4, 5)
    y, grad = values_and_gradient(x, torch.ones(64, 4, 5), variant)
    gain = (math.sqrt(0.5) if variant == "whitening" else 1.0) / math.sqrt(EPS)
    assert_close(y, gain * (x - x.mean((0, 2), keepdim=True)), rtol=1e-4, atol=1e-24)
    assert grad.isfinite().all()


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_batch_of_one_becomes_beta(variant: str) -> None:
    norm = ComplexBatchNorm(2, variant=variant)  # type: ignore[arg-type]
    torch.nn.init.normal_(norm.beta)
    x = torch.randn(1, 4, requires_grad=True)
    y = norm(x)
    assert_close(y, norm.beta[None])
    (grad,) = torch.autograd.grad(y.square().sum(), x)
    # Nothing but rounding: what is multiplied by 1 / sqrt(eps) = 100 is taken from itself.
    assert_close(grad, torch.zeros_like(grad), rtol=0, atol=1e-4)
    assert_close(norm.running_mean, 0.1 * x.detach()[0])


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_computed_in_float32(variant: str, training: bool, dtype: torch.dtype) -> None:
    # The squares of 3e3 leave the range of float16; ones added up stall at 256 in bfloat16.
    x = (3e3 * (1 + torch.randn(400, 4, 5))).to(dtype)
    half, full = (ComplexBatchNorm(2, variant=variant).train(training) for _ in range(2))  # type: ignore[arg-type]
    y, expected = half(x), full(x.float()).to(dtype)
    assert y.dtype == dtype
    assert torch.equal(y, expected)
    assert_close(half.state_dict(), full.state_dict(), rtol=0, atol=0)
    assert half.running_cov.dtype == torch.float32 and y.isfinite().all()


# The explicit backward pass


def reference(x: Tensor, gamma: Tensor, beta: Tensor, eps: float, naive: bool) -> tuple[Tensor, Tensor, Tensor]:
    """The same in plain matrix operations, differentiated by autograd."""
    points = pairs(x)
    mean = points.mean(1)
    centred = points - mean[:, None]
    cov = centred.mT @ centred / points.shape[1]
    regular = cov + eps * torch.eye(2, dtype=x.dtype)
    if naive:
        root = torch.eye(2, dtype=x.dtype) * (cov.diagonal(dim1=1, dim2=2).sum(1) + eps).rsqrt()[:, None, None]
    else:
        values, vectors = torch.linalg.eigh(regular)
        root = vectors @ torch.diag_embed(values.rsqrt()) @ vectors.mT
    learnt = torch.stack([gamma[0], gamma[2], gamma[2], gamma[1]], -1).view(-1, 2, 2)
    y = centred @ (learnt @ root).mT + torch.view_as_real(to_complex(beta, 0))[:, None]
    whole = torch.view_as_complex(y.contiguous()).view(y.shape[0], x.shape[0], -1).transpose(0, 1)
    return (
        to_channels(whole),
        torch.cat([mean[:, 0], mean[:, 1]]),
        torch.stack([cov[:, 0, 0], cov[:, 1, 1], cov[:, 0, 1]]),
    )


@pytest.mark.parametrize("naive", [False, True])
def test_gradients_match_autograd_of_the_equations(naive: bool) -> None:
    leaves = [part.requires_grad_() for part in (features(), torch.randn(3, 3).double(), torch.randn(6).double())]
    ours, theirs = normalize(*leaves, EPS, naive), reference(*leaves, EPS, naive)
    weights = [torch.randn_like(part) for part in theirs]
    for one, other in zip(ours, theirs, strict=True):
        assert_close(one, other)
    for outputs in ([0], [1], [2], [0, 1, 2]):
        sums = [sum((parts[k] * weights[k]).sum() for k in outputs) for parts in (ours, theirs)]
        actual, expected = (
            torch.autograd.grad(one, leaves, retain_graph=True, allow_unused=True, materialize_grads=True)
            for one in sums
        )
        for one, other in zip(actual, expected, strict=True):
            assert_close(one, other, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("naive", [False, True])
def test_gradients_can_be_differentiated(naive: bool) -> None:
    leaves = (features(6, 2, 3), torch.randn(3, 2).double(), torch.randn(4).double())
    for part in leaves:
        part.requires_grad_()

    def run(*parts: Tensor) -> tuple[Tensor, ...]:
        return normalize(*parts, 0.1, naive)

    assert torch.autograd.gradcheck(run, leaves, fast_mode=True)
    assert torch.autograd.gradgradcheck(run, leaves, fast_mode=True)


def test_gradients_where_the_determinant_is_clamped() -> None:
    # re == im in float64: the determinant is what rounding leaves, and the clamp decides.
    part = torch.randn(3, 1, dtype=torch.float64)
    cov = (part.square() + 1).squeeze(1)
    leaves = [one.clone().requires_grad_() for one in (cov, cov, cov)]
    weights = torch.randn(3, 3, dtype=torch.float64)
    eps = 1e-18  # so small that rounding takes all of it
    outputs = inverse_sqrt_2x2(*leaves, eps)
    expected = torch.autograd.grad(sum((one * w).sum() for one, w in zip(outputs, weights, strict=True)), leaves)
    actual = inverse_sqrt_2x2_backward((cov, cov, cov), eps, tuple(weights))  # type: ignore[arg-type]
    for one, other in zip(actual, expected, strict=True):
        assert_close(one, other)


@pytest.mark.filterwarnings("ignore:There is a performance drop")
def test_grad_and_vmap_of_torch_func() -> None:
    # Running statistics, which are changed in place, stop them at the layer, as they do at PyTorch's own.
    leaves = (features(), torch.randn(3, 3).double(), torch.randn(6).double())

    def loss(*parts: Tensor) -> Tensor:
        return normalize(*parts, EPS, False)[0].pow(3).sum()

    actual = torch.func.grad(loss, argnums=(0, 1, 2))(*leaves)
    for part in leaves:
        part.requires_grad_()
    for one, other in zip(actual, torch.autograd.grad(loss(*leaves), leaves), strict=True):
        assert_close(one, other)
    batched = torch.func.vmap(lambda x: normalize(x, *leaves[1:], EPS, False)[0])(leaves[0].unflatten(0, (4, 10)))
    for one, part in zip(batched, leaves[0].chunk(4), strict=True):
        assert_close(one, normalize(part, *leaves[1:], EPS, False)[0])

"""Attention and the transformer layer against formulas in native complex arithmetic and torch's real attention."""

from __future__ import annotations

import copy
import math
import warnings
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from audiocx.nn import ComplexLinear, ComplexMultiheadAttention, ComplexTransformerEncoderLayer
from audiocx.nn.functional import complex_weight, to_channels, to_complex

B, T, S, E, H = 2, 5, 7, 6, 3
SCORES = pytest.mark.parametrize("score", ["real", "magnitude"])


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


def noise(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.complex128)


def attention(score: Any, **options: Any) -> ComplexMultiheadAttention:
    """An attention whose biases are not 0."""
    layer = ComplexMultiheadAttention(E, H, score=score, dtype=torch.float64, **options)
    for name, parameter in layer.named_parameters():
        if name.endswith("bias"):
            nn.init.normal_(parameter)
    return layer


def native(
    layer: ComplexMultiheadAttention, query: Tensor, key: Tensor, value: Tensor, bias: Tensor | float = 0.0
) -> tuple[Tensor, Tensor]:
    """The formula, for complex inputs with batch."""

    def project(linear: ComplexLinear, z: Tensor) -> Tensor:
        y = z @ torch.complex(linear.weight_real, linear.weight_imag).T
        return y if linear.bias is None else y + to_complex(linear.bias, 0)

    def heads(linear: ComplexLinear, z: Tensor) -> Tensor:
        return project(linear, z).unflatten(-1, (H, -1)).transpose(1, 2)

    q, k, v = heads(layer.q_proj, query), heads(layer.k_proj, key), heads(layer.v_proj, value)
    scores = torch.einsum("bhtd,bhsd->bhts", q, k.conj())
    scores = scores.real if layer.score == "real" else scores.abs()
    weights = (scores / math.sqrt(2 * E / H) + bias).softmax(-1)
    y = (weights.to(v.dtype) @ v).transpose(1, 2).flatten(2)
    return project(layer.out_proj, y), weights


def assert_attends(layer: ComplexMultiheadAttention, inputs: tuple[Tensor, ...], bias: Tensor, **masks: Any) -> None:
    query, key, value = inputs
    expected, weights = native(layer, query, key, value, bias)
    direct, none = layer(*inputs, **masks)
    around, shown = layer(*(to_channels(z, -1) for z in inputs), need_weights=True, average_attn_weights=False, **masks)
    assert none is None
    assert_close(direct, expected)
    assert_close(to_complex(around, -1), expected)
    assert_close(shown, weights)
    assert_close(layer(*inputs, need_weights=True, **masks)[1], weights.mean(1))


@SCORES
@pytest.mark.parametrize("bias", [True, False])
def test_cross_attention_equals_the_formula(score: str, bias: bool) -> None:
    layer = attention(score, kdim=4, vdim=5, bias=bias)
    assert_attends(layer, (noise(B, T, E), noise(B, S, 4), noise(B, S, 5)), torch.zeros(()))


@SCORES
def test_masks_equal_terms_of_the_scores(score: str) -> None:
    layer = attention(score)
    z, keys = noise(B, T, E), noise(B, S, E)
    padding, mask = torch.rand(B, S) < 0.3, torch.rand(T, S) < 0.3
    padding[:, 0], mask[:, 0] = False, False
    extra = torch.randn(T, S, dtype=torch.float64)
    minus = torch.zeros(B, 1, T, S, dtype=torch.float64).masked_fill(padding[:, None, None], -math.inf)
    assert_attends(layer, (z, keys, keys), minus, key_padding_mask=padding)
    blocked = minus.masked_fill(mask, -math.inf)
    assert_attends(layer, (z, keys, keys), blocked, key_padding_mask=padding, attn_mask=mask)
    assert_attends(layer, (z, keys, keys), minus + extra, key_padding_mask=padding, attn_mask=extra)
    each = torch.randn(B * H, T, S, dtype=torch.float64)
    assert_attends(layer, (z, keys, keys), each.view(B, H, T, S), attn_mask=each)
    later = torch.ones(T, S, dtype=torch.bool).triu(1)
    assert_attends(layer, (z, keys, keys), torch.zeros(T, S).double().masked_fill(later, -math.inf), is_causal=True)
    both = blocked.masked_fill(later, -math.inf)
    assert_attends(layer, (z, keys, keys), both, key_padding_mask=padding, attn_mask=mask, is_causal=True)


@SCORES
def test_a_query_without_keys_has_weights_0_and_finite_gradients(score: str) -> None:
    layer = attention(score)
    z = noise(B, T, E).requires_grad_()
    padding = torch.zeros(B, T, dtype=torch.bool)
    padding[0] = True
    for need_weights in (False, True):
        y, weights = layer(z, key_padding_mask=padding, need_weights=need_weights)
        assert_close(y[0], to_complex(layer.out_proj.bias, 0).expand(T, E))
        (grad,) = torch.autograd.grad(y.abs().sum(), z)
        assert grad.isfinite().all() and grad[1].abs().sum() > 0
        assert weights is None or (not weights[0].any() and weights[1].sum().item() == pytest.approx(T))


def test_scores_of_the_real_part_are_those_of_a_real_attention_of_twice_the_width() -> None:
    """Of one whose weights are the real matrices of the complex ones, its channels ordered by head."""
    ours, real = attention("real"), nn.MultiheadAttention(2 * E, H, batch_first=True, dtype=torch.float64)
    order = torch.arange(2 * E).view(2, H, -1).transpose(0, 1).flatten()
    with torch.no_grad():
        rows = [ours.q_proj, ours.k_proj, ours.v_proj]
        real.in_proj_weight.copy_(torch.cat([complex_weight(p.weight_real, p.weight_imag)[order] for p in rows]))
        real.in_proj_bias.copy_(
            torch.cat([p.bias.view(2, H, -1).transpose(0, 1).flatten() for p in rows if p.bias is not None])
        )
        out = ours.out_proj
        real.out_proj.weight.copy_(complex_weight(out.weight_real, out.weight_imag)[:, order])
        if out.bias is not None:
            real.out_proj.bias.copy_(out.bias)
    x, mask = torch.randn(B, T, 2 * E, dtype=torch.float64), torch.rand(T, T) < 0.3
    mask.fill_diagonal_(False)
    expected, weights = real(x, x, x, attn_mask=mask)
    y, shown = ours(x, attn_mask=mask, need_weights=True)
    assert_close(y, expected)
    assert_close(shown, weights)


def test_magnitudes_do_not_see_the_phases_of_queries_and_keys() -> None:
    layer, z = attention("magnitude", bias=False), noise(B, T, E)
    phases = torch.polar(torch.ones(B, T, 1), torch.rand(B, T, 1) * 6).to(z.dtype)
    assert_close(layer(z * phases, z, z)[0], layer(z, z, z)[0])
    assert_close(layer(z, z * phases, z)[0], layer(z, z, z)[0])
    assert_close(layer(z * 1j)[0], layer(z)[0] * 1j)  # equivariant, as with the real part
    assert_close(attention("real", bias=False)(z * 1j)[0].shape, z.shape)


@SCORES
def test_an_input_without_batch_is_a_batch_of_one(score: str) -> None:
    layer, z, padding = attention(score), noise(1, T, E), torch.tensor([[False, True, False, False, True]])
    y, weights = layer(z, key_padding_mask=padding, need_weights=True)
    alone, shown = layer(z[0], key_padding_mask=padding[0], need_weights=True)
    assert_close(alone, y[0])
    assert_close(shown, weights[0])


@SCORES
@pytest.mark.parametrize("need_weights", [True, False])
def test_dropout_acts_in_training_only(score: str, need_weights: bool) -> None:
    layer, z = attention(score, dropout=0.5), noise(B, T, E)
    exact, _ = native(layer, z, z, z)
    assert not torch.allclose(layer(z, need_weights=need_weights)[0], exact)
    assert_close(layer.eval()(z, need_weights=need_weights)[0], exact)


@SCORES
def test_gradients_match_finite_differences(score: str) -> None:
    layer, x = attention(score), torch.randn(1, 3, 2 * E, dtype=torch.float64, requires_grad=True)
    leaves = (x, *layer.parameters())
    assert torch.autograd.gradcheck(lambda *_: layer(x, is_causal=True)[0], leaves, fast_mode=True)
    assert torch.autograd.gradgradcheck(lambda x: layer(x, need_weights=True), x, fast_mode=True)


@SCORES
def test_queries_and_keys_of_0_have_gradients(score: str) -> None:
    x = torch.zeros(B, T, 2 * E, dtype=torch.float64, requires_grad=True)
    y, _ = attention(score, bias=False)(x)
    y.sum().backward()
    assert x.grad is not None and x.grad.isfinite().all()


def test_large_scores_of_magnitude_in_half_precision() -> None:
    """The squares of such products would overflow."""
    layer = ComplexMultiheadAttention(E, H, score="magnitude")
    z = torch.randn(B, T, 2 * E) * 20
    exact = layer(z)[0]
    y = copy.deepcopy(layer).half()(z.half())[0]
    assert y.dtype == torch.float16
    assert_close(y.float(), exact, rtol=0.05, atol=0.02 * exact.abs().max().item())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_heads": 4}, "must divide the 6 features, which 4 does not"),
        ({"num_heads": 0}, "must divide"),
        ({"dropout": 1.5}, r"\[0, 1\], not 1.5"),
        ({"score": "phase"}, "'real' or 'magnitude', not 'phase'"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ComplexMultiheadAttention(**{"embed_dim": 6, "num_heads": 3, **arguments})


def test_inputs_that_do_not_fit_are_refused_by_their_shapes() -> None:
    layer, z = ComplexMultiheadAttention(E, H), torch.randn(B, T, E, dtype=torch.complex64)
    with pytest.raises(ValueError, match=r"\[\*, 6\] or real channels \[\*, 12\], not complex \[2, 5, 5\]"):
        layer(z[..., 1:])
    with pytest.raises(ValueError, match=r"all real or all complex.*query complex \[2, 5, 6\], key real \[2, 5, 12\]"):
        layer(z, to_channels(z, -1))
    for key, value in ((z[:1], z[:1]), (z, z[:, 1:]), (z[0], z[0])):
        with pytest.raises(ValueError, match="takes a query"):
            layer(z, key, value)
    with pytest.raises(ValueError, match="takes a query"):
        layer(z[None])
    with pytest.raises(ValueError, match=r"key padding mask is \[B, S\] = \[2, 5\], not \[5\]"):
        layer(z, key_padding_mask=torch.zeros(T, dtype=torch.bool))
    with pytest.raises(ValueError, match=r"attention mask is \[T, S\] = \[5, 5\] or .*\[6, 5, 5\], not \[2, 5, 5\]"):
        layer(z, attn_mask=torch.zeros(B, T, T))
    with pytest.raises(ValueError, match=r"boolean or real, not torch.uint8; call .bool\(\)"):
        layer(z, attn_mask=torch.zeros(T, T, dtype=torch.uint8))


# The encoder layer


def encoder(**options: Any) -> ComplexTransformerEncoderLayer:
    layer = ComplexTransformerEncoderLayer(E, H, 8, dropout=0.0, dtype=torch.float64, **options)
    for name, parameter in layer.named_parameters():
        if name.endswith(("bias", "beta")):
            nn.init.normal_(parameter)
    return layer


@SCORES
@pytest.mark.parametrize("norm_first", [False, True])
def test_the_encoder_layer_is_the_sum_of_its_parts(score: str, norm_first: bool) -> None:
    layer, z = encoder(score=score, norm_first=norm_first, activation="cgelu"), noise(B, T, E)

    def norm(norm: nn.Module, z: Tensor) -> Tensor:
        return to_complex(norm(to_channels(z, -1)), -1)

    def attend(z: Tensor) -> Tensor:
        later = torch.zeros(T, T, dtype=torch.float64).masked_fill(torch.ones(T, T).triu(1) > 0, -math.inf)
        return native(layer.self_attn, z, z, z, later)[0]

    def feed_forward(z: Tensor) -> Tensor:
        hidden = layer.linear1(z)
        gelu = nn.functional.gelu
        return layer.linear2(torch.complex(gelu(hidden.real), gelu(hidden.imag)))

    if norm_first:
        half = z + attend(norm(layer.norm1, z))
        expected = half + feed_forward(norm(layer.norm2, half))
    else:
        half = norm(layer.norm1, z + attend(z))
        expected = norm(layer.norm2, half + feed_forward(half))
    assert_close(layer(z, is_causal=True), expected)
    assert_close(to_complex(layer(to_channels(z, -1), is_causal=True), -1), expected)


def test_the_norm_of_the_encoder_layer_gives_unit_power() -> None:
    y = ComplexTransformerEncoderLayer(64, 4, 8, dropout=0.0)(3 + 5 * torch.randn(2, 4, 64, dtype=torch.complex64))
    assert_close(y.abs().square().mean(-1), torch.ones(2, 4), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("activation", ["crelu", "modrelu", "cardioid", "modtanh"])
def test_gradients_of_the_encoder_layer(activation: str) -> None:
    layer, x = encoder(activation=activation), torch.randn(1, 3, 2 * E, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda *_: layer(x), (x, *layer.parameters()), fast_mode=True)


def test_padding_does_not_reach_the_rest() -> None:
    layer, z = encoder(), noise(B, T, E)
    padding = torch.zeros(B, T, dtype=torch.bool)
    padding[:, 3:] = True
    assert_close(layer(z, src_key_padding_mask=padding)[:, :3], layer(z[:, :3]))


def test_torch_stacks_encoder_layers() -> None:
    layer: Any = encoder(norm_first=True)
    stack = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
    z, mask = noise(B, T, E), nn.Transformer.generate_square_subsequent_mask(T, dtype=torch.float64)
    expected = stack.layers[1](stack.layers[0](z, is_causal=True), is_causal=True)
    assert_close(stack(z, mask), expected)


def test_torch_stacks_take_padding_masks_of_complex_input() -> None:
    layer: Any = encoder()
    stack, z, padding = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False), noise(B, T, E), torch.arange(T) > 2
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # of imaginary parts that are discarded
        assert_close(stack(z, src_key_padding_mask=padding.expand(B, T))[:, :3], stack(z[:, :3]))


def test_encoder_layers_refuse_what_they_do_not_take() -> None:
    with pytest.raises(ValueError, match="one of cardioid, cgelu.*not 'relu'"):
        ComplexTransformerEncoderLayer(E, H, activation="relu")
    with pytest.raises(ValueError, match=r"not real \[2, 5, 6\]"):
        ComplexTransformerEncoderLayer(E, H)(torch.zeros(B, T, E))

"""Encodings of positions, and the transformer decoder layer, against formulas in native complex arithmetic."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from audiocx.nn import (
    ComplexMultiheadAttention,
    ComplexPositionalEncoding,
    ComplexRotaryEncoding,
    ComplexTransformerDecoderLayer,
    ComplexTransformerEncoderLayer,
)
from audiocx.nn.functional import to_channels, to_complex

B, T, S, E, H = 2, 5, 7, 6, 3


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


def noise(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.complex128)


def phasors(positions: Tensor, features: int, base: float = 10000.0) -> Tensor:
    speeds = torch.tensor([base ** (-k / features) for k in range(features)], dtype=torch.float64)
    return torch.exp(1j * positions.double()[:, None] * speeds)


@pytest.mark.parametrize("shape", [(T, E), (B, T, E), (B, H, T, E)])
def test_encodings_equal_the_formula(shape: tuple[int, ...]) -> None:
    z, turns = noise(*shape), phasors(torch.arange(T) + 3, E, 100.0)
    for kind, expected in ((ComplexPositionalEncoding, z + turns), (ComplexRotaryEncoding, z * turns)):
        layer = kind(E, base=100.0)
        assert_close(layer(z, start=3), expected)
        assert_close(to_complex(layer(to_channels(z, -1), start=3), -1), expected)
        assert torch.autograd.gradcheck(layer, to_channels(z, -1).requires_grad_(), fast_mode=True)


def test_angles_are_exact_far_from_the_start() -> None:
    z, far = torch.ones(2, E, dtype=torch.complex64), 1_000_000
    expected = phasors(torch.arange(2) + far, E).to(torch.complex64)
    assert_close(ComplexRotaryEncoding(E)(z, far), expected, rtol=0, atol=1e-6)


def test_encodings_say_which_shapes_they_take() -> None:
    with pytest.raises(ValueError, match=r"complex tensor \[\*, 6\] or real channels \[\*, 12\], not complex \[2, 5\]"):
        ComplexRotaryEncoding(6)(noise(2, 5))
    with pytest.raises(ValueError, match=r"sequences \[\*, T, features\], not complex \[6\]"):
        ComplexPositionalEncoding(6)(noise(6))
    with pytest.raises(ValueError, match="positive"):
        ComplexPositionalEncoding(0)
    assert repr(ComplexRotaryEncoding(6)) == "ComplexRotaryEncoding(6, base=10000)"


@pytest.mark.parametrize("score", ["real", "magnitude"])
def test_rotary_attention_equals_the_formula(score: Any) -> None:
    layer = ComplexMultiheadAttention(E, H, score=score, rotary=True, dtype=torch.float64)
    query, key = noise(B, T, E), noise(B, S, E)
    heads = {}
    for name, z in (("q", query), ("k", key), ("v", key)):
        linear = layer.get_submodule(f"{name}_proj")
        heads[name] = linear(z).unflatten(-1, (H, -1)).transpose(1, 2)
    q, k = heads["q"] * phasors(torch.arange(T), E // H), heads["k"] * phasors(torch.arange(S), E // H)
    scores = torch.einsum("bhtd,bhsd->bhts", q, k.conj())
    scores = (scores.real if score == "real" else scores.abs()) / (2 * E / H) ** 0.5
    expected = layer.out_proj((scores.softmax(-1).to(key.dtype) @ heads["v"]).transpose(1, 2).flatten(2))
    assert_close(layer(query, key, key)[0], expected)
    assert_close(to_complex(layer(*(to_channels(z, -1) for z in (query, key, key)))[0], -1), expected)


def test_rotary_scores_depend_on_distances_alone() -> None:
    layer = ComplexMultiheadAttention(E, H, rotary=True, dtype=torch.float64)
    z = noise(1, 1, E).expand(1, 4, E)  # the same at all positions
    _, weights = layer(z, need_weights=True, average_attn_weights=False)
    logarithms = weights.log()
    to_the_next = logarithms.diagonal(1, -2, -1) - logarithms.diagonal(0, -2, -1)[..., :-1]
    assert_close(to_the_next, to_the_next[..., :1].expand(1, H, 3))
    assert (to_the_next.abs() > 1e-6).all()
    assert "rotary" in repr(layer)
    assert layer.state_dict().keys() == ComplexMultiheadAttention(E, H).state_dict().keys()


def decoder(**options: Any) -> ComplexTransformerDecoderLayer:
    layer = ComplexTransformerDecoderLayer(E, H, 8, 0.0, "modrelu", dtype=torch.float64, **options)
    for name, parameter in layer.named_parameters():
        if name.endswith(("bias", "beta")):
            nn.init.normal_(parameter, std=0.3)
    return layer


@pytest.mark.parametrize("norm_first", [False, True])
def test_decoder_equals_its_parts(norm_first: bool) -> None:
    layer = decoder(norm_first=norm_first)
    z, memory = noise(B, T, E), noise(B, S, E)
    padding = torch.rand(B, S) < 0.3
    padding[:, 0] = False
    later = torch.ones(T, T, dtype=torch.bool).triu(1)

    def feed(z: Tensor) -> Tensor:
        weights = [torch.complex(part.weight_real, part.weight_imag) for part in (layer.linear1, layer.linear2)]
        biases = [to_complex(part.bias, 0) for part in (layer.linear1, layer.linear2) if part.bias is not None]
        hidden = z @ weights[0].T + biases[0]
        hidden = torch.relu(hidden.abs() + layer.get_parameter("activation.bias")) * torch.sgn(hidden)
        return hidden @ weights[1].T + biases[1]

    parts = [
        lambda z: layer.self_attn(z, attn_mask=later)[0],
        lambda z: layer.multihead_attn(z, memory, memory, key_padding_mask=padding)[0],
        feed,
    ]
    expected = z
    for part, norm in zip(parts, (layer.norm1, layer.norm2, layer.norm3), strict=True):
        expected = expected + part(norm(expected)) if norm_first else norm(expected + part(expected))
    masks = {"tgt_is_causal": True, "memory_key_padding_mask": padding}
    assert_close(layer(z, memory, **masks), expected)
    assert_close(layer(z, memory, tgt_mask=later, memory_key_padding_mask=padding), expected)
    around = layer(to_channels(z, -1), to_channels(memory, -1), **masks)
    assert_close(to_complex(around, -1), expected)
    assert_close(layer(z[0], memory[0], tgt_is_causal=True), layer(z, memory, tgt_is_causal=True)[0])


def test_decoder_has_right_gradients() -> None:
    layer = decoder()
    inputs = tuple(to_channels(noise(1, size, E), -1).requires_grad_() for size in (2, 3))
    assert torch.autograd.gradcheck(layer, inputs, fast_mode=True)


def test_stacks_of_torch_take_both_layers() -> None:
    encoder = ComplexTransformerEncoderLayer(E, H, 8, 0.0, rotary=True, dtype=torch.float64)
    both = nn.Transformer(
        E,
        H,
        custom_encoder=nn.TransformerEncoder(encoder, 2, enable_nested_tensor=False),
        custom_decoder=nn.TransformerDecoder(decoder(rotary=True), 2),
        batch_first=True,
    )
    source, target = noise(B, S, E), noise(B, T, E)
    mask = nn.Transformer.generate_square_subsequent_mask(T, dtype=torch.float64)
    y = both(source, target, tgt_mask=mask, tgt_is_causal=True)
    memory = source
    for layer in both.encoder.layers:
        memory = layer(memory)
    expected = target
    for layer in both.decoder.layers:
        expected = layer(expected, memory, tgt_is_causal=True)
    assert_close(y, expected)
    changed = target.clone()
    changed[:, -1] += 1
    assert_close(both(source, changed, tgt_mask=mask)[:, :-1], y[:, :-1])  # nothing is seen before it comes


def test_decoder_says_which_shapes_it_takes() -> None:
    with pytest.raises(ValueError, match=r"query complex \[2, 5, 6\], key complex \[3, 7, 6\]"):
        decoder()(noise(B, T, E), noise(3, S, E))
    with pytest.raises(ValueError, match="heads must divide"):
        ComplexTransformerDecoderLayer(6, 4)

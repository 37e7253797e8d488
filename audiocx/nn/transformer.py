"""Complex-valued layers of transformer encoders and decoders."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from .activation import ActivationName, activation_layer
from .attention import ComplexMultiheadAttention, Score
from .dropout import ComplexDropout
from .functional import to_channels, to_complex
from .layer_norm import ComplexLayerNorm
from .linear import ComplexLinear
from .norm import NormVariant

__all__ = ["ComplexTransformerDecoderLayer", "ComplexTransformerEncoderLayer"]


class _TransformerLayer(nn.Module):
    """Parts of both layers, and what is done with them.

    Attributes:
        attends_to_memory: Whether it attends to the output of an encoder, too.
    """

    attends_to_memory = False

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: ActivationName = "crelu",
        layer_norm_eps: float = 1e-5,
        norm_first: bool = False,
        bias: bool = True,
        score: Score = "real",
        norm_variant: NormVariant = "whitening",
        rotary: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.norm_first = norm_first
        self.self_attn = ComplexMultiheadAttention(
            d_model, nhead, dropout, bias, score=score, rotary=rotary, device=device, dtype=dtype
        )
        self.linear1 = ComplexLinear(d_model, dim_feedforward, bias, device=device, dtype=dtype)
        self.linear2 = ComplexLinear(dim_feedforward, d_model, bias, criterion="glorot", device=device, dtype=dtype)
        self.norm1, self.norm2, norm3 = (
            ComplexLayerNorm(d_model, layer_norm_eps, norm_variant, bias=bias, device=device, dtype=dtype)
            for _ in range(3)
        )
        self.activation = activation_layer(activation, dim_feedforward, -1, device, dtype)
        self.dropout = ComplexDropout(dropout, -1)
        if self.attends_to_memory:
            self.norm3 = norm3
            self.multihead_attn = ComplexMultiheadAttention(
                d_model, nhead, dropout, bias, score=score, device=device, dtype=dtype
            )

    def _residual(self, x: Tensor, norm: nn.Module, part: Callable[[Tensor], Tensor]) -> Tensor:
        return x + part(norm(x)) if self.norm_first else norm(x + part(x))

    def _feed_forward(self, x: Tensor) -> Tensor:
        return self.dropout(self.linear2(self.dropout(self.activation(self.linear1(x)))))


class ComplexTransformerEncoderLayer(_TransformerLayer):
    """Self-attention and a feed-forward network, each with a residual connection, dropout and layer normalisation.

    ``torch.nn.TransformerEncoder`` stacks it: ``TransformerEncoder(layer, 6, enable_nested_tensor=False)``.

    Args:
        d_model: E, complex features.
        nhead: Heads of the attention.
        dim_feedforward: Complex features between both layers of the feed-forward network.
        dropout: Probability of complex numbers, and of attention weights, to be zeroed in training.
        activation: Name of the activation; see :func:`audiocx.nn.activation.activation_layer`.
        layer_norm_eps: Added to the variances.
        norm_first: Normalise the inputs of both parts, not the sums of input and output.
        bias: Add learnable complex biases in all linear layers and normalisations.
        score: Attention by the "real" part or the "magnitude" of the products of queries and keys.
        norm_variant: "whitening" or "naive" layer normalisation; see :class:`ComplexLayerNorm`.
        rotary: Turn queries and keys with their positions.
        device: Of the parameters.
        dtype: Of the parameters, real.

    Shape:
        - Input: real [B, T, 2E], real parts first, or complex [B, T, E]; with or without B.
        - Output: same shape and kind as the input.

    Raises:
        ValueError: As :class:`ComplexMultiheadAttention`, or an unknown activation.

    Source: Yang et al., "Complex transformer: a framework for modeling complex-valued sequence", 2020; Eilers &
    Jiang, "Building blocks for a complex-valued transformer architecture", 2023.

    Examples:
        >>> layer = ComplexTransformerEncoderLayer(8, 2, 16, activation="modrelu")
        >>> layer(torch.randn(3, 10, 8, dtype=torch.complex64), is_causal=True).shape
        torch.Size([3, 10, 8])
    """

    def forward(
        self,
        src: Tensor,
        src_mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        is_causal: bool = False,
    ) -> Tensor:
        """Apply the layer.

        Args:
            src: Real [B, T, 2E] or complex [B, T, E].
            src_mask: ``attn_mask`` of :meth:`ComplexMultiheadAttention.forward`.
            src_key_padding_mask: Shape [B, T]; True, or -inf, for elements of the sequence to be left out.
            is_causal: Leave out what is later.

        Returns:
            Same shape and kind as the input.
        """
        self.self_attn.check_inputs(src, src, src)
        if src.is_complex():
            y = self._encode(to_channels(src, -1), src_mask, src_key_padding_mask, is_causal)
            return to_complex(y.to(src.real.dtype), -1)
        return self._encode(src, src_mask, src_key_padding_mask, is_causal)

    def _encode(self, x: Tensor, mask: Tensor | None, padding: Tensor | None, is_causal: bool) -> Tensor:
        def attend(x: Tensor) -> Tensor:
            y, _ = self.self_attn(x, key_padding_mask=padding, attn_mask=mask, is_causal=is_causal)
            return self.dropout(y)

        return self._residual(self._residual(x, self.norm1, attend), self.norm2, self._feed_forward)


class ComplexTransformerDecoderLayer(_TransformerLayer):
    """Self-attention, attention to an encoder's output and a feed-forward network.

    Each has a residual connection, dropout and layer normalisation. ``torch.nn.TransformerDecoder`` stacks it:
    ``TransformerDecoder(layer, 6)``.

    Args:
        d_model: E, complex features.
        nhead: Heads of both attentions.
        dim_feedforward: Complex features between both layers of the feed-forward network.
        dropout: Probability of complex numbers, and of attention weights, to be zeroed in training.
        activation: Name of the activation; see :func:`audiocx.nn.activation.activation_layer`.
        layer_norm_eps: Added to the variances.
        norm_first: Normalise the inputs of the three parts, not the sums of input and output.
        bias: Add learnable complex biases in all linear layers and normalisations.
        score: Attention by the "real" part or the "magnitude" of the products of queries and keys.
        norm_variant: "whitening" or "naive" layer normalisation; see :class:`ComplexLayerNorm`.
        rotary: Turn queries and keys of the self-attention with their positions.
        device: Of the parameters.
        dtype: Of the parameters, real.

    Shape:
        - Input: real [B, T, 2E], real parts first, or complex [B, T, E]; with or without B.
        - Memory: real [B, S, 2E] or complex [B, S, E].
        - Output: same shape and kind as the input.

    Raises:
        ValueError: As :class:`ComplexMultiheadAttention`, or an unknown activation.

    Source: Yang et al., "Complex transformer: a framework for modeling complex-valued sequence", 2020; Eilers &
    Jiang, "Building blocks for a complex-valued transformer architecture", 2023.

    Examples:
        >>> layer = ComplexTransformerDecoderLayer(8, 2, 16, activation="modrelu")
        >>> z, memory = (torch.randn(3, length, 8, dtype=torch.complex64) for length in (10, 12))
        >>> layer(z, memory, tgt_is_causal=True).shape
        torch.Size([3, 10, 8])
    """

    attends_to_memory = True

    def forward(
        self,
        tgt: Tensor,
        memory: Tensor,
        tgt_mask: Tensor | None = None,
        memory_mask: Tensor | None = None,
        tgt_key_padding_mask: Tensor | None = None,
        memory_key_padding_mask: Tensor | None = None,
        tgt_is_causal: bool = False,
        memory_is_causal: bool = False,
    ) -> Tensor:
        """Apply the layer.

        Args:
            tgt: Real [B, T, 2E] or complex [B, T, E].
            memory: Real [B, S, 2E] or complex [B, S, E]: the output of an encoder.
            tgt_mask: ``attn_mask`` of :meth:`ComplexMultiheadAttention.forward` for the self-attention.
            memory_mask: The same for the attention to ``memory``, [T, S] or [B H, T, S].
            tgt_key_padding_mask: Shape [B, T]; True, or -inf, for elements of ``tgt`` to be left out.
            memory_key_padding_mask: Shape [B, S]; True, or -inf, for elements of ``memory`` to be left out.
            tgt_is_causal: Leave out what is later in ``tgt``.
            memory_is_causal: Leave out what is later in ``memory``.

        Returns:
            Same shape and kind as the input.
        """
        self.multihead_attn.check_inputs(tgt, memory, memory)

        def attend(x: Tensor) -> Tensor:
            y, _ = self.self_attn(x, None, None, tgt_key_padding_mask, False, tgt_mask, is_causal=tgt_is_causal)
            return self.dropout(y)

        def decode(x: Tensor, memory: Tensor) -> Tensor:
            def look(x: Tensor) -> Tensor:
                masks = memory_key_padding_mask, False, memory_mask
                return self.dropout(self.multihead_attn(x, memory, memory, *masks, is_causal=memory_is_causal)[0])

            x = self._residual(x, self.norm1, attend)
            x = self._residual(x, self.norm2, look)
            return self._residual(x, self.norm3, self._feed_forward)

        if tgt.is_complex():
            y = decode(to_channels(tgt, -1), to_channels(memory, -1))
            return to_complex(y.to(tgt.real.dtype), -1)
        return decode(tgt, memory)

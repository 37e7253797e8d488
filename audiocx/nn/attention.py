"""Complex-valued multi-head attention."""

from __future__ import annotations

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .functional import check_channels, describe, magnitude, to_channels, to_complex
from .init import Criterion, Scheme
from .linear import ComplexLinear
from .position import ComplexRotaryEncoding

__all__ = ["ComplexMultiheadAttention", "Score"]

Score = Literal["real", "magnitude"]
_HALF = (torch.float16, torch.bfloat16)


class ComplexMultiheadAttention(nn.Module):
    """Multi-head attention of complex features: softmax(s(Q K^H) / sqrt(2d)) V, with real weights.

    s is the real part or the magnitude of the complex inner product of a query and a key. Weights from the real part
    depend on the phase between both and equal those of a real attention with heads of 2d features; weights from the
    magnitude do not change if any query or key is multiplied by a unit complex number.

    Args:
        embed_dim: E, complex features of queries and outputs; all heads together.
        num_heads: H, heads of d = E / H complex features.
        dropout: Probability of a weight to be zeroed in training.
        bias: Add learnable complex biases, initially 0, in the four projections.
        kdim: Complex features of the keys; E when None.
        vdim: Complex features of the values; E when None.
        score: "real" or "magnitude".
        scheme: Initialisation of the projections, "unitary" or "rayleigh"; see :mod:`audiocx.nn.init`.
        criterion: Variance of their weights, "he" or "glorot".
        rotary: Turn queries and keys with their positions, by :class:`ComplexRotaryEncoding` of d features, so that
            scores depend on their distance.
        device: Of the parameters.
        dtype: Of the parameters, real.

    Shape:
        - Query: real [B, T, 2E], real parts first, or complex [B, T, E]; with or without B.
        - Key: real [B, S, 2 kdim] or complex [B, S, kdim]. Value: the same with vdim.
        - Output: [B, T, 2E] or [B, T, E], same kind as the inputs.

    Attributes:
        q_proj: Projection of the queries, :class:`ComplexLinear`; k_proj, v_proj and out_proj likewise.

    Raises:
        ValueError: Heads that do not divide E, a probability out of range, or inputs or masks that do not fit.

    Source: Eilers & Jiang, "Building blocks for a complex-valued transformer architecture", 2023; Yang et al.,
    "Complex transformer: a framework for modeling complex-valued sequence", 2020.

    Examples:
        >>> layer = ComplexMultiheadAttention(8, 2)
        >>> z = torch.randn(3, 10, 8, dtype=torch.complex64)
        >>> y, weights = layer(z, need_weights=True)
        >>> y.shape, weights.shape
        (torch.Size([3, 10, 8]), torch.Size([3, 10, 10]))
    """

    batch_first = True  # read by torch.nn.TransformerEncoder

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        kdim: int | None = None,
        vdim: int | None = None,
        score: Score = "real",
        scheme: Scheme = "unitary",
        criterion: Criterion = "glorot",
        rotary: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        if num_heads < 1 or embed_dim % num_heads:
            raise ValueError(f"The number of heads must divide the {embed_dim} features, which {num_heads} does not.")
        if not 0 <= dropout <= 1:
            raise ValueError(f"The dropout probability must lie in [0, 1], not {dropout}.")
        if score not in ("real", "magnitude"):
            raise ValueError(f"The score must be 'real' or 'magnitude', not {score!r}.")
        self.embed_dim, self.num_heads, self.dropout, self.score = embed_dim, num_heads, dropout, score
        self.kdim = embed_dim if kdim is None else kdim
        self.vdim = embed_dim if vdim is None else vdim
        self.rotary = ComplexRotaryEncoding(embed_dim // num_heads) if rotary else None
        self.q_proj = ComplexLinear(embed_dim, embed_dim, bias, scheme, criterion, device, dtype)
        self.k_proj = ComplexLinear(self.kdim, embed_dim, bias, scheme, criterion, device, dtype)
        self.v_proj = ComplexLinear(self.vdim, embed_dim, bias, scheme, criterion, device, dtype)
        self.out_proj = ComplexLinear(embed_dim, embed_dim, bias, scheme, criterion, device, dtype)

    def check_inputs(self, query: Tensor, key: Tensor, value: Tensor) -> None:
        """Raise ValueError unless the inputs fit, real or complex."""
        inputs = {"query": (query, self.embed_dim), "key": (key, self.kdim), "value": (value, self.vdim)}
        for x, features in inputs.values():
            check_channels(self, x, features, -1)
        kinds = {x.is_complex() for x, _ in inputs.values()}
        one_batch = query.shape[:-2] == key.shape[:-2] == value.shape[:-2]
        if len(kinds) > 1 or not one_batch or query.ndim not in (2, 3) or key.shape[-2] != value.shape[-2]:
            shown = ", ".join(f"{name} {describe(x)}" for name, (x, _) in inputs.items())
            raise ValueError(
                f"{type(self).__name__} takes a query [B, T, features], a key and a value [B, S, features], all real "
                f"or all complex, with or without B; not {shown}."
            )

    def forward(
        self,
        query: Tensor,
        key: Tensor | None = None,
        value: Tensor | None = None,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = False,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """Attend to the values. Arguments are in torch's order; weights are returned on request only.

        Args:
            query: Real [B, T, 2E] or complex [B, T, E].
            key: Keys, S of them; the query when None (self-attention).
            value: Values, S of them; the key when None.
            key_padding_mask: Shape [B, S]; boolean, True for keys to be left out, or real, added to the scores.
            need_weights: Return the weights, too, which costs memory and time.
            attn_mask: Shape [T, S] or [B H, T, S]; boolean or real as above.
            average_attn_weights: Return weights averaged over the heads.
            is_causal: Leave out keys later than the query, on top of the masks.

        Returns:
            The output, and the weights before dropout, real [B, T, S] or of each head [B, H, T, S]; or None. A query
            with all keys left out has weights 0.
        """
        key = query if key is None else key
        value = key if value is None else value
        self.check_inputs(query, key, value)
        if query.is_complex():
            dtype = query.real.dtype
            q = to_channels(query, -1)
            k = q if key is query else to_channels(key, -1)
            v = k if value is key else to_channels(value, -1)
            y, weights = self._attend(q, k, v, key_padding_mask, need_weights, attn_mask, is_causal)
            # Under autocast y may be of half precision, which has hardly any complex arithmetic.
            y = to_complex(y.to(dtype) if y.dtype in _HALF else y, -1)
        else:
            y, weights = self._attend(query, key, value, key_padding_mask, need_weights, attn_mask, is_causal)
        return y, weights.mean(-3) if weights is not None and average_attn_weights else weights

    def _attend(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None,
        need_weights: bool,
        attn_mask: Tensor | None,
        is_causal: bool,
    ) -> tuple[Tensor, Tensor | None]:
        """Return the output and the weights of each head, if needed, of real channels."""
        if query.ndim == 2:
            padding = None if key_padding_mask is None else key_padding_mask[None]
            y, weights = self._attend(query[None], key[None], value[None], padding, need_weights, attn_mask, is_causal)
            return y[0], None if weights is None else weights[0]
        q = self._to_heads(query, self.q_proj)
        k, v = self._to_heads(key, self.k_proj), self._to_heads(value, self.v_proj)
        if self.rotary is not None:
            q, k = self.rotary(q), self.rotary(k)
        fused = self.score == "real" and not need_weights
        alone = fused and is_causal and attn_mask is None and key_padding_mask is None
        bias = self._bias(q, k, key_padding_mask, attn_mask, is_causal and not alone)
        blocked = None if bias is None else (bias == -math.inf).all(-1, keepdim=True)
        if bias is not None and blocked is not None:
            bias = bias.masked_fill(blocked, 0.0)  # else such a query's weights would be NaN
        p = self.dropout if self.training else 0.0
        weights = None
        if fused:
            y = F.scaled_dot_product_attention(q, k, v, bias, p, alone)
        else:
            weights = _softmax_scores(q, k, bias, self.score)
            weights = weights if blocked is None else weights.masked_fill(blocked, 0.0)
            y = F.dropout(weights, p).to(v.dtype) @ v
        y = y if blocked is None else y.masked_fill(blocked, 0.0)
        return self._from_heads(y), weights if need_weights else None

    def _to_heads(self, x: Tensor, layer: ComplexLinear) -> Tensor:
        """Return projected features by head, [B, H, T, 2d]: ordered by the rows of the weight, not afterwards."""
        real, imag = (part.unflatten(0, (self.num_heads, -1)) for part in (layer.weight_real, layer.weight_imag))
        weight = torch.cat([torch.cat([real, -imag], 2), torch.cat([imag, real], 2)], 1).flatten(0, 1)
        bias = None if layer.bias is None else layer.bias.view(2, self.num_heads, -1).transpose(0, 1).flatten()
        return F.linear(x, weight, bias).unflatten(-1, (self.num_heads, -1)).transpose(1, 2)

    def _from_heads(self, y: Tensor) -> Tensor:
        """Project the values of the heads, [B, H, T, 2d], to features [B, T, 2E]."""
        layer = self.out_proj
        real, imag = (part.unflatten(1, (self.num_heads, -1)) for part in (layer.weight_real, layer.weight_imag))
        weight = torch.cat([torch.cat([real, -imag], 2), torch.cat([imag, real], 2)]).flatten(1)
        return F.linear(y.transpose(1, 2).flatten(2), weight, layer.bias)

    def _bias(
        self,
        q: Tensor,
        k: Tensor,
        key_padding_mask: Tensor | None,
        attn_mask: Tensor | None,
        is_causal: bool,
    ) -> Tensor | None:
        """Return what the masks add to the scores, [1 or B, 1 or H, 1 or T, S]; None without masks."""
        batch, heads, queries, keys = *q.shape[:3], k.shape[2]
        biases = []
        if key_padding_mask is not None:
            if key_padding_mask.shape != (batch, keys):
                raise ValueError(f"The key padding mask is [B, S] = {[batch, keys]}, not {[*key_padding_mask.shape]}.")
            biases.append(_additive(key_padding_mask, q)[:, None, None])
        if attn_mask is not None:
            if attn_mask.shape not in ((queries, keys), (batch * heads, queries, keys)):
                raise ValueError(
                    f"The attention mask is [T, S] = {[queries, keys]} or [B H, T, S] = "
                    f"{[batch * heads, queries, keys]}, not {[*attn_mask.shape]}."
                )
            bias = _additive(attn_mask, q)
            biases.append(bias if bias.ndim == 2 else bias.unflatten(0, (batch, heads)))
        if is_causal:
            later = torch.ones(queries, keys, dtype=torch.bool, device=q.device).triu(1)
            biases.append(_additive(later, q))
        return sum(biases[1:], biases[0]) if biases else None

    def extra_repr(self) -> str:
        """Return the settings shown by ``repr``."""
        return f"{self.embed_dim}, {self.num_heads}, dropout={self.dropout}, score={self.score!r}"


def _additive(mask: Tensor, like: Tensor) -> Tensor:
    """Return a mask as a term of the scores: -inf where a boolean one is True."""
    if mask.dtype == torch.bool:
        return torch.zeros_like(mask, dtype=like.dtype).masked_fill(mask, -math.inf)
    if mask.is_complex():  # torch.nn.TransformerEncoder makes additive masks of the input's dtype
        mask = mask.real
    if not mask.is_floating_point():
        raise ValueError(f"A mask is boolean or real, not {mask.dtype}; call .bool() if what is not 0 is left out.")
    return mask.to(like.dtype)


def _softmax_scores(q: Tensor, k: Tensor, bias: Tensor | None, score: Score) -> Tensor:
    """Return the attention weights [B, H, T, S], at least float32, of queries and keys [B, H, *, 2d]."""
    q = q / math.sqrt(q.shape[-1])
    if score == "magnitude":
        # Im(q k^H) is Re(q (ik)^H). One product gives both parts, of all keys each.
        real, imag = k.chunk(2, -1)
        scores = q @ torch.cat([k, torch.cat([-imag, real], -1)], -2).mT
        scores = magnitude(scores.float() if scores.dtype in _HALF else scores, -1)
    else:
        scores = q @ k.mT
        scores = scores.float() if scores.dtype in _HALF else scores
    return (scores if bias is None else scores + bias).softmax(-1)

"""Training steps of the music networks on made-up data, and how fast they are."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

Step = Callable[[], None]
# "float32" is nothing but float32, "TF32" lets products and convolutions round what they multiply to 10 bits, and
# "bfloat16" is automatic mixed precision, with TF32 for what that leaves in float32.
PRECISIONS = ("float32", "TF32", "bfloat16")


@contextmanager
def rounding(precision: str) -> Iterator[None]:
    """Sets whether CUDA computes float32 in TF32, and puts it back. PyTorch itself does so in convolutions alone."""
    parts: tuple[Any, ...] = (torch.backends.cuda.matmul, torch.backends.cudnn)
    before = [part.allow_tf32 for part in parts]
    for part in parts:
        part.allow_tf32 = precision != "float32"
    try:
        yield
    finally:
        for part, was in zip(parts, before, strict=True):
            part.allow_tf32 = was


def half(precision: str, device: torch.device) -> Any:
    """Gives the context of a forward pass."""
    return torch.autocast(device.type, torch.bfloat16) if precision == "bfloat16" else nullcontext()


def windows_step(network: nn.Module, batch: int, precision: str = "float32") -> Step:
    """Return a training step of a window network, on noise with 5 % of the notes sounding."""
    device, config = next(network.parameters()).device, cast(Any, network.config)
    optimizer = torch.optim.AdamW(network.parameters(), fused=True, capturable=device.type == "cuda")
    windows = torch.randn(batch, config.window_samples, device=device)
    labels = (torch.rand(batch, config.outputs, device=device) < 0.05).float()

    def step() -> None:
        with half(precision, device):
            logits = network(windows)
        F.binary_cross_entropy_with_logits(logits.float(), labels).backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def notes_step(network: nn.Module, batch: int, frames: int, precision: str = "float32") -> Step:
    """Return a training step of a note network on noise: losses and gradient clipping as audiocx trains it."""
    device, config = next(network.parameters()).device, cast(Any, network.config)
    optimizer = torch.optim.AdamW(network.parameters(), 1e-4, capturable=device.type == "cuda")
    samples = 0.1 * torch.randn(batch, frames * config.hop_samples + config.window_samples, device=device)
    onsets, sounding, offsets, velocities = torch.rand(4, batch, frames, config.outputs, device=device)
    onsets, sounding, offsets = ((part < 0.02).float() for part in (onsets, sounding, offsets))

    def error(logits: Tensor, targets: Tensor) -> Tensor:
        return F.binary_cross_entropy_with_logits(logits.float(), targets)

    def step() -> None:
        with half(precision, device):
            heard = network(samples)
        off = ((heard.velocities.float() - velocities).square() * onsets).sum() / onsets.sum().clamp_min(1)
        loss = 3 * error(heard.onsets, onsets) + error(heard.frames, sounding) + error(heard.offsets, offsets) + off
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()

    return step


def seconds_a_call(call: Callable[[], Any], device: torch.device, lasting_s: float = 1.0, warm_up: int = 3) -> float:
    """Times a call: the better of two runs of so many calls as last so long together, by CUDA's own clock there."""
    for _ in range(warm_up):
        call()
    one_s = _run_s(call, 1, device)
    calls = max(1, min(500, round(lasting_s / 2 / one_s)))
    return min(_run_s(call, calls, device) for _ in range(2)) / calls if calls > 1 or lasting_s else one_s


def _run_s(call: Callable[[], Any], calls: int, device: torch.device) -> float:
    if device.type != "cuda":
        began_s = time.perf_counter()
        for _ in range(calls):
            call()
        return time.perf_counter() - began_s
    first, last = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda.synchronize(device)
    first.record()
    for _ in range(calls):
        call()
    last.record()
    torch.cuda.synchronize(device)
    return first.elapsed_time(last) / 1000


def captured(step: Step) -> Step:
    """Records a whole step as a CUDA graph: what runs it then starts all its kernels at once."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):  # elsewhere than what it was warmed up on nothing may be captured
        for _ in range(3):
            step()
    torch.cuda.current_stream().wait_stream(side)
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    return graph.replay


def flops(call: Callable[[], Any]) -> int:
    """Counts the multiplications and additions of products and convolutions, forward and backward."""
    with FlopCounterMode(display=False) as counter:
        call()
    return counter.get_total_flops()


def product_flops_s(size: int, precision: str, device: torch.device, lasting_s: float = 0.5) -> float:
    """Measures a product of large square matrices: multiplications and additions a second."""
    dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
    a, b = torch.randn(2, size, size, device=device).to(dtype)
    with rounding(precision):
        return 2 * size**3 / seconds_a_call(lambda: a @ b, device, lasting_s)

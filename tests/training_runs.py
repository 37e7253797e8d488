"""What a training run left behind, for the tests of training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch


def checkpoint(path: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = torch.load(path, weights_only=True)
    return loaded


def assert_same(a: Any, b: Any) -> None:
    """Bit for bit, through dictionaries and lists."""
    assert type(a) is type(b)
    if isinstance(a, dict):
        assert a.keys() == b.keys()
        for key in a:
            assert_same(a[key], b[key])
    elif isinstance(a, (list, tuple)):
        assert len(a) == len(b)
        for left, right in zip(a, b, strict=True):
            assert_same(left, right)
    elif isinstance(a, torch.Tensor):
        assert torch.equal(a, b)
    else:
        assert a == b


def assert_same_training(a: Path, b: Path) -> None:
    parts = ("state_dict", "current_model_state", "averaging_state", "optimizer_states", "lr_schedulers", "global_step")
    for name in ("last.ckpt", "best.ckpt"):
        left, right = checkpoint(a / name), checkpoint(b / name)
        for part in parts:
            assert_same(left[part], right[part])


def logged(folder: Path, tag: str) -> list[float]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder / "log"))
    events.Reload()
    return [event.value for event in events.Scalars(tag)]

"""Machine settings for training: compiler check, memory allocation, denormal numbers."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from ..errors import ConfigError

__all__ = ["check_compiler", "denormals_as_zero", "keep_memory"]


def check_compiler() -> None:
    """Check that networks can be compiled for the processor.

    Raises:
        ConfigError: There is no C++ compiler.
    """
    if not any(shutil.which(name) for name in (os.environ.get("CXX", "c++"), "c++", "g++", "clang++", "cl")):
        raise ConfigError("Compiling the network needs a C++ compiler; install g++, or pass --no-compile.")


def keep_memory() -> None:
    """Tell glibc to keep freed memory instead of returning it to the system after every step.

    A training step allocates and frees some hundred megabytes; the page faults of fetching them again take a good part
    of its time (benchmarks/training_step.py measures how much). Without glibc nothing happens.
    """
    import ctypes

    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return
    m_trim_threshold, m_mmap_max = -1, -4
    mallopt(m_mmap_max, 0)
    mallopt(m_trim_threshold, 2**31 - 1)


@contextmanager
def denormals_as_zero() -> Iterator[None]:
    """Flush numbers below 1.2e-38 to zero within the context, on processors that support it.

    Gradients that vanish over hundreds of steps become denormal, and their products several times slower
    (benchmarks/README.md has the figures).
    """
    before = not (torch.tensor(1e-38) * 0.01).item()
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(before)

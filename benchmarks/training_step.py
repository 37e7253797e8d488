"""The training step of the deep networks, windows a second: eager and compiled, and the sampler beside it.

python benchmarks/training_step.py

Each variant runs in a process of its own, in turns; the figure is the best of three.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

BATCH = 256
STEPS, WARM_UP = 8, 3


def step(complex: bool, compiled: bool, keep: bool) -> float:
    """Measures training: windows a second."""
    import torch
    import torch.nn.functional as F

    from audiocx.models import TranscriberConfig, build
    from audiocx.train.machine import keep_memory

    if keep:
        keep_memory()
    network = build(TranscriberConfig(complex=complex))
    if compiled:
        network.body.compile(fullgraph=True, dynamic=False)
    optimizer = torch.optim.AdamW(network.parameters(), fused=True)
    windows, labels = torch.randn(BATCH, 4096), (torch.rand(BATCH, 88) < 0.05).float()

    def once(_: int) -> None:
        F.binary_cross_entropy_with_logits(network(windows), labels).backward()
        optimizer.step()
        optimizer.zero_grad()

    return _rate(once)


def sampler(augmented: bool, pieces: int = 1) -> float:
    """Measures sampling from ten minutes of noise, or a window from each of many pieces: windows a second."""
    import numpy as np
    import soundfile

    from audiocx.data.augment import AugmentConfig
    from audiocx.data.corpus import Piece
    from audiocx.data.store import prepare
    from audiocx.data.windows import WindowSampler

    with tempfile.TemporaryDirectory() as draft:
        audio, labels = Path(draft) / "noise.wav", Path(draft) / "noise.tsv"
        soundfile.write(audio, np.random.default_rng(0).normal(0, 0.1, 600 * 11025 // pieces), 11025)
        labels.write_text("".join(f"{t / 4}\t{t / 4 + 0.3}\t{21 + t % 88}\t80\n" for t in range(2400)))
        store = prepare([Piece("noise", audio, labels, "", "")] * pieces, draft, progress=False)
        varied = AugmentConfig(
            gain_db=12, shift_semitones=3, detune_cents=20, shift_probability=0.5, equalizer_db=3, noise_db=-40
        )
        variation = varied if augmented else None
        if pieces > 1:
            return _rate(WindowSampler(store, batch_size=1, order="pieces", augmentation=variation), pieces)
        return _rate(WindowSampler(store, batch_size=BATCH, augmentation=variation))


def _rate(once: object, batch: int = BATCH) -> float:
    for index in range(WARM_UP):
        once(index)  # type: ignore[operator]
    rounds = []
    for _ in range(3):
        began_s = time.perf_counter()
        for index in range(STEPS):
            once(index)  # type: ignore[operator]
        rounds.append(batch * STEPS / (time.perf_counter() - began_s))
    return max(rounds)


VARIANTS = {
    "deep complex, eager": ("step", True, False, False),
    "deep complex, eager, memory kept": ("step", True, False, True),
    "deep complex, compiled": ("step", True, True, False),
    "deep complex, compiled, memory kept": ("step", True, True, True),
    "deep real, compiled, memory kept": ("step", False, True, True),
    "sampler": ("sampler", False),
    "sampler with variations": ("sampler", True),
    "sampler, a window of each of 321 pieces": ("sampler", False, 321),
}

if __name__ == "__main__":
    if len(sys.argv) > 1:
        name, *flags = json.loads(sys.argv[1])
        print(step(*flags) if name == "step" else sampler(*flags))
    else:
        print("| variant | windows/s |\n|---|---:|")
        for variant, what in VARIANTS.items():
            done = subprocess.run(
                [sys.executable, __file__, json.dumps(what)], capture_output=True, text=True, check=True
            )
            print(f"| {variant} | {float(done.stdout.split()[-1]):.0f} |", flush=True)

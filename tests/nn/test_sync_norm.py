"""Batch normalisation over several processes: as one process with the whole batch."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import norm_ranks_worker as worker
import pytest
import torch
from torch import nn
from torch.testing import assert_close

from audiocx.nn import ComplexBatchNorm, ComplexConv1d, ComplexSyncBatchNorm


@pytest.fixture(scope="module")
def ranks(tmp_path_factory: pytest.TempPathFactory) -> list[dict[object, dict[str, torch.Tensor]]]:
    """Return what came out of two processes."""
    folder = tmp_path_factory.mktemp("ranks")
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, worker.__file__, str(folder)]
    started = [
        subprocess.Popen([*command, str(rank)], env=environment, stderr=subprocess.PIPE, text=True) for rank in (0, 1)
    ]
    for process in started:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors[-4000:]
    return [torch.load(folder / f"{rank}.pt") for rank in (0, 1)]


def test_two_processes_normalise_as_one(ranks: list[dict[object, dict[str, torch.Tensor]]]) -> None:
    alone = worker.run_all(ComplexBatchNorm, lambda split: slice(None))
    assert len(alone) == 8
    for case, expected in alone.items():
        first, second = (rank[case] for rank in ranks)
        for name, value in expected.items():
            if name in ("y", "x.grad"):
                actual = torch.cat([first[name], second[name]])
            elif name.endswith(".grad"):
                actual = first[name] + second[name]
            else:
                actual = first[name]
                assert torch.equal(actual, second[name]), (case, name)
            tolerance = {"rtol": 1e-9, "atol": 1e-9} if value.dtype == torch.float64 else {"rtol": 1e-4, "atol": 1e-3}
            if name == "running_cov_rest":  # what rounding leaves is the processes' own
                continue
            assert_close(actual, value, **tolerance, msg=lambda text, case=case, name=name: f"{case} {name}: {text}")


def test_without_processes_it_is_batch_norm() -> None:
    x = worker.batches()["usual"]
    for rows in (slice(None), slice(0)):
        one, other = (worker.step(kind(3).double(), x, rows) for kind in (ComplexSyncBatchNorm, ComplexBatchNorm))
        assert_close(one, other, rtol=0, atol=0)


def test_conversion_keeps_parameters_statistics_and_everything_else() -> None:
    norm = ComplexBatchNorm(4, eps=0.1, momentum=None, variant="naive", dtype=torch.float64).eval()
    network = nn.Sequential(ComplexConv1d(2, 4, 3), nn.Sequential(norm, nn.BatchNorm1d(8)), ComplexBatchNorm(4))
    state = network.state_dict()
    converted = ComplexSyncBatchNorm.convert_sync_batchnorm(network)
    assert converted is network and isinstance(network[1][0], ComplexSyncBatchNorm)
    assert type(network[1][1]) is nn.BatchNorm1d and isinstance(network[2], ComplexSyncBatchNorm)
    assert network[1][0].gamma is norm.gamma and not network[1][0].training and network[2].training
    assert repr(network[1][0]) == repr(norm).replace("BatchNorm", "SyncBatchNorm")
    assert_close(network.state_dict(), state, rtol=0, atol=0)
    alone = ComplexSyncBatchNorm.convert_sync_batchnorm(norm)
    assert isinstance(alone, ComplexSyncBatchNorm)
    assert ComplexSyncBatchNorm.convert_sync_batchnorm(alone) is alone

"""Synthetic problems: inputs and targets, losses of the baselines, reproducible batches."""

from __future__ import annotations

import math

import pytest
import torch
from problems import PROBLEMS, AddingProblem, MemoryProblem, Problem, ProblemSampler, validation_sampler

EVERY = pytest.mark.parametrize("problem", [MemoryProblem(7), AddingProblem(9)])


def drawn(problem: Problem, count: int = 2000) -> tuple[torch.Tensor, torch.Tensor]:
    return problem.draw(count, torch.Generator().manual_seed(0))


@pytest.mark.parametrize("length", [1, 7])
def test_memory_is_a_copy_after_the_delimiter(length: int) -> None:
    inputs, targets = drawn(MemoryProblem(length))
    assert inputs.shape == (2000, length + 20, 10) and targets.shape == (2000, length + 20)
    assert inputs.sum(2).eq(1).all()
    shown = inputs.argmax(2)
    assert torch.equal(targets[:, -10:], shown[:, :10]) and targets[:, :-10].eq(8).all()
    assert torch.bincount(shown[:, :10].flatten(), minlength=8) == pytest.approx(torch.full((8,), 2500.0), rel=0.1)
    # T - 1 blanks lie between the symbols and the delimiter: from the first symbol to its copy it is T + 10 steps.
    assert shown[:, 10 : length + 9].eq(8).all() and shown[:, length + 9].eq(9).all() and shown[:, -10:].eq(8).all()


def test_uniform_guesses_have_the_baseline_loss() -> None:
    problem = MemoryProblem(7)
    _, targets = drawn(problem)
    outputs = torch.full((*targets.shape, 9), -1e4)
    outputs[:, :-10, 8] = outputs[:, -10:, :8] = 0.0
    assert float(problem.loss(outputs, targets)) == pytest.approx(problem.baseline, rel=1e-5)
    assert problem.baseline == pytest.approx(10 * math.log(8) / 27)
    outputs = torch.nn.functional.one_hot(targets, 9) * 1e4
    assert float(problem.loss(outputs, targets)) == 0


@pytest.mark.parametrize("length", [2, 9])
def test_one_number_in_either_half_is_marked(length: int) -> None:
    inputs, targets = drawn(AddingProblem(length))
    numbers, marks = inputs.unbind(2)
    assert inputs.shape == (2000, length, 2) and targets.shape == (2000,)
    assert numbers.min() >= 0 and numbers.max() <= 1 and set(marks.unique().tolist()) <= {0.0, 1.0}
    half = length // 2
    assert marks[:, :half].sum(1).eq(1).all() and marks[:, half:].sum(1).eq(1).all()
    for counts in (marks[:, :half].mean(0), marks[:, half:].mean(0)):
        assert counts == pytest.approx(torch.full_like(counts, 1 / len(counts)), rel=0.2)
    torch.testing.assert_close(
        targets, torch.stack([row[on > 0].sum() for row, on in zip(numbers, marks, strict=True)])
    )


def test_a_constant_output_of_one_has_the_baseline_loss() -> None:
    problem = AddingProblem(9)
    _, targets = drawn(problem, 100_000)
    outputs = torch.ones(100_000, 9, 1)
    assert problem.baseline == pytest.approx(0.167, abs=5e-4)
    assert float(problem.loss(outputs, targets)) == pytest.approx(problem.baseline, rel=0.02)
    outputs[:, :-1] = 7.0  # only the last output counts
    outputs[:, -1, 0] = targets
    assert float(problem.loss(outputs, targets)) == 0


@EVERY
def test_batches_are_reproducible_and_differ(problem: Problem) -> None:
    sampler, again = (ProblemSampler(problem, 4, seed=3) for _ in range(2))
    for batch in (5, 0):
        for one, other in zip(sampler(batch), again(batch), strict=True):
            assert torch.equal(one, other)
    others = [sampler(1), ProblemSampler(problem, 4, seed=4)(0), validation_sampler(problem)(0)]
    assert all(not torch.equal(sampler(0)[0], other[0][:4]) for other in others)


@EVERY
def test_ranks_share_the_batch_of_one_process(problem: Problem) -> None:
    whole = ProblemSampler(problem, 6, seed=1)(2)
    for rank in range(3):
        for part, full in zip(ProblemSampler(problem, 2, 1, rank, 3)(2), whole, strict=True):
            assert torch.equal(part, full[rank::3])


def test_sequences_too_short_are_refused() -> None:
    for name, least in (("memory", 1), ("adding", 2)):
        PROBLEMS[name](least)
        with pytest.raises(ValueError, match=f"length must be {least} or more"):
            PROBLEMS[name](least - 1)

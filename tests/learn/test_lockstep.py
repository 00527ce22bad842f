"""Jobs in lockstep learn what each of them learns by itself."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from tests.learn.fine_tunings import GD, LCGD, MakeModel, MakeSequences, make_jobs
from torch import Tensor

from demograd.learn import (
    FineTuned,
    FineTuningJob,
    GradientDescent,
    LayerCausalGradientDescent,
    Method,
    ParameterSubset,
    fine_tuned,
    fine_tuned_together,
)
from demograd.learn.lockstep_fit import why_not_in_lockstep
from demograd.models import ARCHITECTURES, Model

POSITIONS_OF_THEIR_OWN = ("bart", "mbart")
KINDS = sorted({*ARCHITECTURES, "falcon grouped", "falcon alibi"} - {*POSITIONS_OF_THEIR_OWN})
LENGTHS = ((8, 5, 9), (6, 11, 7), (9, 9, 10))

# Weights of 0.2 are rounded to 7e-9, and the two ways sum in different orders: that is some 4e-6 of these updates. One
# token of another job would be some 1e-1.
UPDATE = 2e-4


def changes(model: Model, before: dict[str, Tensor]) -> Tensor:
    """The change of all parameters, end to end."""
    return torch.cat([(p - before[name]).flatten() for name, p in model.network.named_parameters()])


def weights(model: Model) -> dict[str, Tensor]:
    return {name: parameter.clone() for name, parameter in model.network.named_parameters()}


def assert_each_is_its_own(model: Model, jobs: Sequence[FineTuningJob], tolerance: float = UPDATE) -> None:
    """Updates, losses and gradient norms of jobs in lockstep are those of `fine_tuned`, at the last step and before."""
    before = weights(model)
    assert why_not_in_lockstep(model.anatomy, jobs[0].method) is None
    with fine_tuned_together(model, jobs, stops=[2]) as results:
        for job, result in zip(jobs, results, strict=True):
            assert_is_its_own(model, job, result, before, tolerance)


def assert_is_its_own(
    model: Model, job: FineTuningJob, result: FineTuned, before: dict[str, Tensor], tolerance: float
) -> None:
    assert result.notes == () and result.diverged is None
    with fine_tuned(model, job.sequences, job.method) as tuned:
        expected = changes(model, before)
    with result.loaded() as together:
        assert (changes(model, before) - expected).norm() < tolerance * expected.norm()
        torch.testing.assert_close(together.losses, tuned.losses, rtol=max(tolerance, 1e-6), atol=0)
        torch.testing.assert_close(
            together.gradient_norms, tuned.gradient_norms, rtol=max(10 * tolerance, 1e-6), atol=0, equal_nan=True
        )
    assert result.steps == tuple(sorted({min(2, len(tuned.losses)), len(tuned.losses)}))
    if job.method.epochs == 1 and getattr(job.method, "step", "") == "demonstration":
        with fine_tuned(model, job.sequences[:2], job.method) as tuned:
            expected = changes(model, before)
        with result.loaded(2) as together:
            assert (changes(model, before) - expected).norm() < tolerance * expected.norm()
            assert together.losses.shape == (2,) and together.gradient_norms.shape == tuned.gradient_norms.shape


@pytest.mark.parametrize("method", [GD, LCGD], ids=["GD", "LCGD"])
@pytest.mark.parametrize("kind", KINDS)
def test_every_architecture_learns_in_lockstep_what_it_learns_by_itself(
    kind: str, method: Method, random_model: MakeModel, random_sequences: MakeSequences
) -> None:
    jobs = make_jobs(random_sequences, method, LENGTHS)
    assert_each_is_its_own(random_model(kind), jobs)


OPTIONS = {
    "momentum and epochs": replace(GD, momentum=0.9, epochs=2),
    "full batch": replace(GD, step="batch", epochs=2),
    "clip": replace(GD, clip=1.0),
    "value only": replace(GD, parameters=ParameterSubset(which="value")),
    "one layer": replace(GD, parameters=ParameterSubset(layers=1)),
    "some entries": replace(GD, parameters=ParameterSubset(fraction=0.3)),
    "LCGD, clip": replace(LCGD, clip=0.5),
    "LCGD, epochs": replace(LCGD, epochs=2),
    "LCGD, attention": replace(LCGD, readout="attention"),
    "LCGD, stream": replace(LCGD, readout="attention_residual"),
    "LCGD, no softmax": replace(LCGD, softmax_gradient=False),
    "LCGD, deep, some entries": replace(LCGD, parameters=ParameterSubset(layers="deep", fraction=0.3)),
}


@pytest.mark.parametrize("method", OPTIONS.values(), ids=OPTIONS.keys())
@pytest.mark.parametrize("kind", ["llama", "gpt2", "gpt_neox", "falcon grouped"])
def test_every_option_is_each_jobs_own(
    kind: str, method: Method, random_model: MakeModel, random_sequences: MakeSequences
) -> None:
    """Clipping by each job's own norm, momentum of its own, learning rates of its own; rows of fused matrices."""
    jobs = [
        FineTuningJob(random_sequences(*lengths, seed=n), replace(method, learning_rate=rate))
        for n, (lengths, rate) in enumerate(zip(LENGTHS, (0.01, 0.03, 0.003), strict=True))
    ]
    assert_each_is_its_own(random_model(kind), jobs)


@pytest.mark.parametrize("method", [GD, LCGD], ids=["GD", "LCGD"])
@pytest.mark.parametrize("kind", ["llama", "gpt2", "gpt_neox"])
def test_adam_keeps_moments_for_each_job(
    kind: str, method: Method, random_model: MakeModel, random_sequences: MakeSequences
) -> None:
    """Adam divides rounding by its own size, so the tolerance is wide; key biases that nothing notices stay."""
    adam = replace(method, optimizer="adam", learning_rate=0.001, epochs=2)
    model = random_model(kind)
    jobs = make_jobs(random_sequences, adam, LENGTHS)
    assert_each_is_its_own(model, jobs, tolerance=2e-2)


def test_in_double_precision_the_two_ways_are_the_same(
    random_model: MakeModel, random_sequences: MakeSequences
) -> None:
    """To 1e-9 of the update: what differs in float32 is rounding."""
    for method in (GD, LCGD, replace(GD, momentum=0.5, clip=2.0)):
        jobs = make_jobs(random_sequences, method, LENGTHS)
        for kind in ("gpt2", "gpt_neox", "opt"):
            assert_each_is_its_own(random_model(kind, dtype=torch.float64), jobs, tolerance=1e-9)


def test_jobs_need_not_have_equally_many_demonstrations(
    random_model: MakeModel, random_sequences: MakeSequences
) -> None:
    """A job that is done is not stepped any more, nor does its momentum carry it on."""
    for method in (replace(GD, momentum=0.9, epochs=2), replace(GD, step="batch", epochs=3), LCGD):
        jobs = make_jobs(random_sequences, method, ((8, 5, 9), (6, 7), (9, 7, 11, 5)))
        assert_each_is_its_own(random_model("llama"), jobs)


def test_losses_on_all_tokens_and_on_the_label_go_together(
    random_model: MakeModel, random_sequences: MakeSequences
) -> None:
    sequences = [replace(s, answer_start=len(s.tokens) - 2) for s in random_sequences(9, 7, 8)]
    for method in (GD, LCGD):
        jobs = [FineTuningJob(sequences, replace(method, loss_on=part)) for part in ("all", "label")]
        assert_each_is_its_own(random_model("llama"), jobs)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_networks_of_16_bit_keep_float32_masters(
    kind: str, dtype: torch.dtype, random_model: MakeModel, random_sequences: MakeSequences
) -> None:
    """Steps too small for 16 bit add up, as one by one; what differs is rounding of 16 bit."""
    model = random_model(kind, dtype=dtype)
    (sequence,) = random_sequences(12)
    before = weights(model)
    for method in (GradientDescent(learning_rate=2e-5), LayerCausalGradientDescent(learning_rate=2e-5)):
        jobs = [FineTuningJob([sequence] * 100, method), FineTuningJob([sequence] * 100, method)]
        with fine_tuned(model, jobs[0].sequences, method):
            expected = changes(model, before).float()
        with fine_tuned_together(model, jobs) as results:
            for result in results:
                with result.loaded():
                    moved = changes(model, before).float()
                    assert torch.cosine_similarity(moved, expected, dim=0) > 0.8
                    assert 0.8 < moved.norm() / expected.norm() < 1.25


def test_linearised_jobs_carry_their_change(random_model: MakeModel, random_sequences: MakeSequences) -> None:
    model = random_model("llama")
    method = replace(GD, linearised=True)
    jobs = make_jobs(random_sequences, method, LENGTHS)
    before = weights(model)
    with fine_tuned_together(model, jobs, stops=[1]) as results:
        for job, result in zip(jobs, results, strict=True):
            assert result.notes == ()
            with fine_tuned(model, job.sequences, method) as tuned:
                expected = tuned.change
            with result.loaded() as together:
                assert not changes(model, before).any()
                assert expected is not None and together.change is not None
                assert together.change.keys() == expected.keys()
                for name, change in together.change.items():
                    assert (change - expected[name]).norm() < UPDATE * expected[name].norm() + 1e-7


def reasons(model: Model) -> list[tuple[Method, str]]:
    return [
        (replace(GD, step="token"), "a step per token"),
        (replace(LCGD, step="token"), "a step per token"),
        (replace(GD, parameters=ParameterSubset(which="all")), "every parameter is trained"),
    ]


def test_what_cannot_be_shared_is_trained_one_by_one_and_says_so(
    random_model: MakeModel, random_sequences: MakeSequences
) -> None:
    model = random_model("llama")
    for method, why in reasons(model):
        jobs = make_jobs(random_sequences, method)
        with fine_tuned_together(model, jobs) as results:
            assert all(len(result.notes) == 1 and why in result.notes[0] for result in results)
            assert all("trained one by one" in result.notes[0] for result in results)
    model = random_model("bart")
    jobs = make_jobs(random_sequences, GD)
    with fine_tuned_together(model, jobs) as results:
        assert "BartForCausalLM" in results[0].notes[0]


def test_a_projection_that_is_no_linear_map_is_not_replaced(
    random_model: MakeModel, random_sequences: MakeSequences
) -> None:
    class Squared(torch.nn.Linear):
        def forward(self, inputs: Tensor) -> Tensor:
            return super().forward(inputs) ** 2

    model = random_model("llama")
    model.network.model.layers[1].self_attn.k_proj.__class__ = Squared
    jobs = make_jobs(random_sequences, GD)
    with fine_tuned_together(model, jobs) as results:
        assert "end to end" in results[0].notes[0]


def test_query_vectors_of_training_tokens_are_recorded_one_by_one(
    random_model: MakeModel, random_sequences: MakeSequences
) -> None:
    model: Any = random_model("llama")
    jobs = make_jobs(random_sequences, GD)
    with (
        fine_tuned_together(model, jobs, record_training_queries=True) as results,
        fine_tuned(model, jobs[1].sequences, GD, record_training_queries=True) as tuned,
    ):
        assert "query vectors" in results[1].notes[0]
        assert results[1].training_queries is not None and tuned.training_queries is not None
        for own, expected in zip(results[1].training_queries, tuned.training_queries, strict=True):
            assert torch.equal(own, expected)

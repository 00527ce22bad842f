"""Many fine-tunings from one set of weights: results stand apart, are held after their stops, and leave no trace."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import torch
from tests.learn.fine_tunings import GD, LCGD, Interrupted, MakeModel, MakeSequences, assert_as_before, bits, make_jobs
from torch import Tensor

from demograd.errors import UserError
from demograd.learn import (
    Diverged,
    FineTuningJob,
    GradientDescent,
    LayerCausalGradientDescent,
    Method,
    ParameterSubset,
    fine_tuned,
    fine_tuned_together,
)
from demograd.learn.lockstep import Lockstep
from demograd.observe import observe
from demograd.tasks.prompts import Prompts, TrainingSequence

WAYS: list[Method] = [GD, LCGD, GradientDescent(learning_rate=0.01, parameters=ParameterSubset(which="all"))]
EACH_WAY = pytest.mark.parametrize("method", WAYS, ids=["GD", "LCGD", "one by one"])


@EACH_WAY
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("kind", ["llama", "gpt2", "gpt_neox"])
def test_every_weight_is_put_back_bit_for_bit(
    kind: str, dtype: torch.dtype, method: Method, random_model: MakeModel, random_sequences: MakeSequences
) -> None:
    model = random_model(kind, dtype=dtype)
    before = bits(model.network)
    jobs = make_jobs(random_sequences, method, [(8, 5)] * 3)
    with fine_tuned_together(model, jobs, stops=[1]) as results:
        assert_as_before(model.network, before)
        for result in results:
            with result.loaded(1):
                first = bits(model.network)
                assert any(not torch.equal(first[name], before[name]) for name in before)
                with result.loaded() as tuned:  # one inside the other
                    assert tuned.losses.shape == (2,)
                assert all(torch.equal(bits(model.network)[name], first[name]) for name in first)
            assert_as_before(model.network, before)
        with pytest.raises(Interrupted), results[0].loaded():
            raise Interrupted
        assert_as_before(model.network, before)
    with pytest.raises(ValueError, match="no weights are held"), results[0].loaded():
        pass

    def interrupt(steps: int) -> None:
        raise Interrupted

    with pytest.raises(Interrupted), fine_tuned_together(model, jobs, on_step=interrupt):
        pass
    assert_as_before(model.network, before)


@EACH_WAY
def test_a_job_that_diverges_leaves_the_others_alone(
    method: Method, random_model: MakeModel, random_sequences: MakeSequences
) -> None:
    """What was held before is still there; the step is the one at which it diverges by itself."""
    model = random_model("llama")
    wild = type(method)(**{**vars(method), "learning_rate": 1e38})
    methods = [method, wild, method]
    jobs = [FineTuningJob(random_sequences(8, 5, 9, 6, seed=n), own) for n, own in enumerate(methods)]
    with pytest.raises(Diverged) as alone, fine_tuned(model, jobs[1].sequences, wild):
        pass
    with fine_tuned_together(model, jobs, stops=range(1, 5)) as results:
        assert [result.diverged is None for result in results] == [True, False, True]
        diverged = results[1].diverged
        assert diverged is not None and str(diverged) == str(alone.value)
        assert results[1].steps == tuple(range(1, diverged.step + 1))
        assert results[1].losses.shape == (diverged.step,) and results[1].losses.isfinite().all()
        assert results[1].gradient_norms.shape == (3, diverged.step)
        with pytest.raises(Diverged), results[1].loaded():
            pass
        for number in (0, 2):
            assert results[number].steps == (1, 2, 3, 4)
            with fine_tuned(model, jobs[number].sequences, method) as tuned:
                torch.testing.assert_close(results[number].losses, tuned.losses, rtol=1e-5, atol=0)


def test_a_weight_that_overflows_16_bit_is_a_divergence(
    random_model: MakeModel, random_sequences: MakeSequences
) -> None:
    model = random_model("llama", dtype=torch.float16)
    methods = [GradientDescent(learning_rate=rate) for rate in (1e7, 1e-3)]
    jobs = [FineTuningJob(random_sequences(8, 5), method) for method in methods]
    with fine_tuned_together(model, jobs) as results:
        assert str(results[0].diverged) == "diverged at step 0: a weight is not finite"
        assert results[0].steps == () and results[1].steps == (2,)


def test_stops_are_the_same_for_all_or_each_jobs_own(random_model: MakeModel, random_sequences: MakeSequences) -> None:
    model = random_model("llama")
    jobs = make_jobs(random_sequences, GD, ((8, 5, 9), (6, 7, 8, 9, 5)))
    with fine_tuned_together(model, jobs, stops=[1, 4]) as results:
        assert [result.steps for result in results] == [(1, 3), (1, 4, 5)]

    def halfway(job: FineTuningJob) -> Sequence[int]:
        return [len(job.sequences) // 2]

    reported: list[int] = []
    with fine_tuned_together(model, jobs, stops=halfway, on_step=reported.append) as results:
        assert [result.steps for result in results] == [(1, 3), (2, 5)]
    assert reported == list(range(1, 9))
    with pytest.raises(ValueError, match="from 1"), fine_tuned_together(model, jobs, stops=[0]):
        pass


def test_what_is_observed_is_each_jobs_network(random_model: MakeModel, random_sequences: MakeSequences) -> None:
    """Also of jobs of several methods at once, in the order in which they were given."""
    model = random_model("gpt2")
    prompts = Prompts([0, 5, 9, 11], [[7, 8, 9], [4, 5]], [[3], [6, 7]], [0, 1])
    methods: list[Method] = [GD, LCGD, GradientDescent(learning_rate=0.03), LCGD]
    jobs = [FineTuningJob(random_sequences(8, 5, seed=n), method) for n, method in enumerate(methods)]
    with fine_tuned_together(model, jobs) as results:
        for job, result in zip(jobs, results, strict=True):
            with fine_tuned(model, job.sequences, job.method) as tuned:
                expected = observe(tuned, prompts).attention_output
            with result.loaded() as together:
                assert together.method == job.method
                torch.testing.assert_close(observe(together, prompts).attention_output, expected, rtol=1e-3, atol=1e-4)


@pytest.fixture
def short_of_memory(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Memory that runs out with more than two jobs; the numbers of jobs that were tried."""
    sizes: list[int] = []
    run = Lockstep.run

    def runs_out(lockstep: Lockstep) -> None:
        sizes.append(len(lockstep.methods))
        run(lockstep)
        if sizes[-1] > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(Lockstep, "run", runs_out)
    yield sizes


def test_where_memory_runs_out_fewer_jobs_go_together(
    short_of_memory: list[int], random_model: MakeModel, random_sequences: MakeSequences
) -> None:
    model = random_model("llama")
    jobs = make_jobs(random_sequences, GD, [(8, 5)] * 6)
    reported: list[int] = []
    with fine_tuned_together(model, jobs, on_step=reported.append) as results:
        assert max(short_of_memory) == 6 and short_of_memory[-1] <= 2
        assert all("memory ran out" in result.notes[0] for result in results)
        assert reported[-1] == 12
        for job, result in zip(jobs, results, strict=True):
            with fine_tuned(model, job.sequences, GD) as tuned:
                torch.testing.assert_close(result.losses, tuned.losses, rtol=1e-5, atol=0)


def test_another_error_is_not_taken_for_a_lack_of_memory(
    monkeypatch: pytest.MonkeyPatch, random_model: MakeModel, random_sequences: MakeSequences
) -> None:
    def fails(lockstep: Lockstep) -> None:
        raise RuntimeError("shapes do not match")

    monkeypatch.setattr(Lockstep, "run", fails)
    jobs = make_jobs(random_sequences, GD)
    with pytest.raises(RuntimeError, match="shapes"), fine_tuned_together(random_model("llama"), jobs):
        pass


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_weights_beyond_the_limit_are_held_in_files_that_are_gone_afterwards(
    dtype: torch.dtype,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    random_model: MakeModel,
    random_sequences: MakeSequences,
) -> None:
    model = random_model("llama", dtype=dtype)
    jobs = make_jobs(random_sequences, GD, [(8, 5)] * 3)

    def loaded() -> list[dict[str, Tensor]]:
        states = []
        with fine_tuned_together(model, jobs, stops=[1]) as results:
            for result in results:
                for step in result.steps:
                    with result.loaded(step):
                        states.append(bits(model.network))
        return states

    in_memory = loaded()
    monkeypatch.setattr("demograd.learn.held_weights.HELD_IN_MEMORY", 0)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    for own, expected in zip(loaded(), in_memory, strict=True):
        assert all(torch.equal(own[name], expected[name]) for name in expected)
    assert not list(tmp_path.iterdir())
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "nowhere"))
    with pytest.raises(UserError, match="TMPDIR"):
        loaded()


def test_a_loss_on_the_label_needs_to_know_where_the_answer_begins(
    random_model: MakeModel, random_sequences: MakeSequences
) -> None:
    method = GradientDescent(learning_rate=0.01, loss_on="label")
    assert method.label == "GD, loss on the label"
    with (
        pytest.raises(UserError, match="where its answer begins"),
        fine_tuned_together(random_model("llama"), [FineTuningJob(random_sequences(8), method)]),
    ):
        pass


def test_a_loss_on_the_label_is_that_of_sequences_that_count_the_answer_alone(
    random_model: MakeModel, random_sequences: MakeSequences
) -> None:
    model = random_model("llama")
    (whole,) = random_sequences(9)
    sequence = TrainingSequence(whole.tokens, [False] + [True] * 8, answer_start=7)
    label_only = TrainingSequence(whole.tokens, [False] * 7 + [True] * 2)
    for make in (GradientDescent, LayerCausalGradientDescent):
        with fine_tuned(model, [sequence], make(learning_rate=0.01, loss_on="label")) as tuned:
            on_label = bits(model.network), tuned.losses
        with fine_tuned(model, [label_only], make(learning_rate=0.01)) as tuned:
            assert torch.equal(tuned.losses, on_label[1])
            assert all(torch.equal(bits(model.network)[name], own) for name, own in on_label[0].items())

"""Jobs that change no weights, among others: what is held of them is their intervention."""

import pytest
import torch
from tests.learn.fine_tunings import GD, MakeModel, assert_as_before, bits
from tests.learn.rivals.demonstrations import demonstrations
from tests.learn.rivals.test_task_vector import PROMPTS

from demograd import UserError, observe
from demograd.learn import FineTuningJob, Method, fine_tuned, fine_tuned_together, methods
from demograd.learn.rivals.kernel_regression import InductionCopying, KernelRegression
from demograd.learn.rivals.prefix import PrefixTuning
from demograd.learn.rivals.readout import ReadoutGradientDescent
from demograd.learn.rivals.vectors import FunctionVector, TaskVector

RIVALS: list[Method] = [
    PrefixTuning(learning_rate=0.01),
    ReadoutGradientDescent(learning_rate=0.1),
    KernelRegression(learning_rate=0.5),
    InductionCopying(learning_rate=0.5),
    TaskVector(learning_rate=1.0),
    FunctionVector(learning_rate=1.0),
]


def test_all_are_registered() -> None:
    assert {method.name for method in RIVALS} | {"LoRA"} <= methods().keys()


def test_what_is_loaded_is_what_one_by_one_gives(random_model: MakeModel) -> None:
    model, sequences = random_model("llama"), demonstrations(4, 3, 5)
    before, zero_shot = bits(model.network), observe(model, PROMPTS).label_log_probs
    jobs = [FineTuningJob(sequences, method) for method in [*RIVALS, GD]]
    with fine_tuned_together(model, jobs) as together:
        for job, result in zip(jobs, together, strict=True):
            assert result.notes == ()
            with result.loaded() as tuned:
                loaded = observe(tuned, PROMPTS).label_log_probs
                assert (tuned.intervention is None) == (job.method is GD)
            with fine_tuned(model, sequences, job.method) as tuned:
                assert torch.equal(observe(tuned, PROMPTS).label_log_probs, loaded)
            assert result.gradient_norms.shape[0] == 3
        with pytest.raises(ValueError, match="no weights are held of step 9"), together[0].loaded(9):
            pass
    assert torch.equal(observe(model, PROMPTS).label_log_probs, zero_shot)
    assert_as_before(model.network, before)


def test_a_stop_holds_what_was_learned_until_then(random_model: MakeModel) -> None:
    """The prefix and the readout as they are after two demonstrations: what training on two alone gives."""
    model, sequences = random_model("llama"), demonstrations(4, 3, 5)
    for method in RIVALS[:2]:
        with fine_tuned_together(model, [FineTuningJob(sequences, method)], stops=[2]) as (result,):
            assert result.steps == (2, 3)
            with result.loaded(2) as tuned:
                after_two = observe(tuned, PROMPTS).label_log_probs
            with result.loaded() as tuned:
                assert not torch.equal(observe(tuned, PROMPTS).label_log_probs, after_two)
        with fine_tuned(model, sequences[:2], method) as tuned:
            torch.testing.assert_close(observe(tuned, PROMPTS).label_log_probs, after_two)


def test_a_model_with_an_intervention_is_not_trained_further(random_model: MakeModel) -> None:
    model, sequences = random_model("llama"), demonstrations(4, 3)
    with (
        fine_tuned(model, sequences, RIVALS[2]) as tuned,
        pytest.raises(ValueError, match="a model with an intervention cannot be trained further"),
        fine_tuned(tuned, sequences, GD),
    ):
        pass


def test_query_vectors_of_training_tokens_are_those_of_methods_that_train(random_model: MakeModel) -> None:
    with (
        pytest.raises(UserError, match=r"Query vectors of training tokens, of task vector.*Leave"),
        fine_tuned(random_model("llama"), demonstrations(4, 3), RIVALS[4], record_training_queries=True),
    ):
        pass

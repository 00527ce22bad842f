"""Training layer by layer (Deutch 2024 §4): every layer learns from its own readout, none from those above."""

import torch
from torch import Tensor

from demograd.learn.layer_causal import LayerCausalGradientDescent
from demograd.learn.layer_reading import LayerReading
from demograd.learn.parameters import TrainedLayer
from demograd.learn.step import Training, TrainingPass, apply_gradients, clipping, gradient_norm, make_optimizer


def train_layer_by_layer(training: Training, method: LayerCausalGradientDescent) -> None:
    """Take the method's steps.

    Raises:
        Diverged: a loss, gradient or weight is not finite.
    """
    anatomy = training.anatomy
    learners = [_LayerLearner(layer, method) for layer in training.layers]
    reading = LayerReading(anatomy, method, {learner.number: learner.learn for learner in learners})

    def step(training_pass: TrainingPass) -> None:
        """Run the network on the tokens; each layer learns to predict the targets at the rows (none: it only runs)."""
        counted = len(training_pass.rows)
        shares = torch.full((counted,), 1 / max(counted, 1), dtype=torch.float64)
        with reading.of(training_pass.rows, training_pass.targets, shares):
            anatomy.decoder(input_ids=torch.tensor([training_pass.tokens], device=anatomy.device), use_cache=False)
        if counted:
            norms: dict[int | None, float] = {learner.number: learner.gradient_norm for learner in learners}
            training.record(sum(learner.loss for learner in learners), norms)

    with reading.watching():
        for sequence in training.sequences * method.epochs:
            reading.forget()
            for training_pass in training.passes(sequence, method.step):
                step(training_pass)


class _LayerLearner:
    """One layer, and the optimizer of its weights."""

    def __init__(self, layer: TrainedLayer, method: LayerCausalGradientDescent) -> None:
        assert layer.number is not None
        self.number, self.layer, self.method = layer.number, layer, method
        self.optimizer = make_optimizer(layer, method)
        self.loss, self.gradient_norm = 0.0, 0.0

    def learn(self, losses: Tensor, hidden: Tensor, gradient: Tensor) -> None:
        """One step, from the mean loss's gradient with respect to what was read of this layer."""
        # without the softmax derivative nothing reaches the keys, nor the MLP where only attention is read: their
        # gradient is zero, not missing
        parameter_gradients = torch.autograd.grad(hidden, self.layer.parameters, gradient, materialize_grads=True)
        gradients = self.layer.gradients(parameter_gradients)
        self.loss, self.gradient_norm = losses.mean().item(), gradient_norm(gradients)
        apply_gradients(self.layer, self.optimizer, gradients, clipping(self.gradient_norm, self.method.clip))

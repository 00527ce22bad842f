"""One layer applied to its own tokens again and again: does a trained one go on as gradient descent does?"""

from collections.abc import Iterator
from dataclasses import replace

from torch import Tensor

from demograd.study.synthetic.questions.losses import gradient_descent_layer
from demograd.study.synthetic.questions.preconditioners import is_one_linear_layer
from demograd.study.synthetic.questions.problems import Tested
from demograd.study.synthetic.rows import claimed_ratio, loss_row, of_network, of_reference, ratio_row
from demograd.synthetic import AttentionLayer, as_tokens, infinite_if_undefined, repeated, squared_error
from demograd.words import Row


def recurrence_rows(tested: Tested) -> Iterator[Row]:
    """`loss_repeated` of each network of one linear layer and of GD, and the ratio of the two, after each time.

    GD takes so many steps, each of them the dampening times the rate that is best for one step alone.
    """
    study, truth = tested.study, tested.problems.query_y
    if study.repeats is None:
        return
    repeats, dampening = study.repeats, study.dampening

    def losses(layer: AttentionLayer) -> list[Tensor]:
        """`[sequences]` after each time; infinite where it diverged."""
        predictions = repeated(as_tokens(tested.problems), layer, repeats, dampening)
        return [infinite_if_undefined(squared_error(predicted, truth)).cpu() for predicted in predictions]

    gradient_descents = {
        reference.label: (reference, losses(gradient_descent_layer(tested, reference)))
        for reference in tested.references
        if reference.kind == "GD" and reference.steps == 1
    }
    for reference, of_reference_by_time in gradient_descents.values():
        for time, loss in enumerate(of_reference_by_time, start=1):
            yield replace(of_reference(reference), metric="loss_repeated", at=float(time)) | loss_row([loss])
    for network, transformers in tested.networks.items():
        if not is_one_linear_layer(study.networks[network]):
            continue
        by_seed = [losses(transformer.layers()[0]) for transformer in transformers]
        for time, of_seeds in enumerate(zip(*by_seed, strict=True), start=1):
            yield replace(of_network(network), metric="loss_repeated", at=float(time)) | loss_row(of_seeds)
            for label, (_, below) in gradient_descents.items():
                row = replace(of_network(network), method=label, metric="loss_ratio_repeated", at=float(time))
                yield claimed_ratio(row | ratio_row(of_seeds, below[time - 1]), of_seeds, below[time - 1])

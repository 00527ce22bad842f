"""Facts about matching where it is known what was learned in context."""

import torch

from demograd.statistics import match
from demograd.synthetic import (
    LinearRegression,
    Sequences,
    as_tokens,
    gradient_descent_layers,
    matching_scores,
    predictions,
    run_layers,
    seeded,
)

WORLD, CONTEXT = LinearRegression(5), 12


def one_step(problems: Sequences) -> torch.Tensor:
    """A step of gradient descent from W = 0, written out."""
    w = 0.5 / problems.context * problems.y.mT @ problems.x
    return (w @ problems.query_x[..., None]).squeeze(-1)


def construction(problems: Sequences) -> torch.Tensor:
    """A layer whose weights theory gives."""
    layers = gradient_descent_layers([0.5], problems.context, torch.zeros(1, 5, dtype=torch.float64))
    return predictions(run_layers(as_tokens(problems), layers))


def sets_and_queries(sets: int = 8) -> tuple[Sequences, torch.Tensor]:
    draw = WORLD.draw(sets, CONTEXT, seeded("test", 0), dtype=torch.float64)
    return draw, WORLD.draw(6, CONTEXT, seeded("test", 1), dtype=torch.float64).query_x


def test_a_construction_learns_from_each_set_what_gradient_descent_learns_from_that_set() -> None:
    scores = matching_scores(construction, one_step, *sets_and_queries())
    assert torch.allclose(scores.diagonal(dim1=0, dim2=1), torch.ones((), dtype=torch.float64), atol=1e-12)
    test = match(scores)
    assert test.identified == 1 and test.p_value == 1 / 40320
    assert test.share_interval is not None and test.share_interval.low > 0.5


def test_an_entry_is_the_cosine_of_what_was_learned_from_two_sets() -> None:
    sets, queries = sets_and_queries()
    learned = [(y.mT @ x).flatten() for x, y in zip(sets.x, sets.y, strict=True)]
    scores = matching_scores(one_step, one_step, sets, queries)
    for i, u in enumerate(learned):
        for j, v in enumerate(learned):
            expected = (u @ v / (u.norm() * v.norm())).expand(len(queries))
            torch.testing.assert_close(scores[i, j], expected)


def test_a_learner_that_has_learned_nothing_has_no_score_and_one_that_diverged_is_infinite() -> None:
    sets, queries = sets_and_queries(3)
    nothing = matching_scores(lambda problems: 0.0 * problems.query_x[:, :1], one_step, sets, queries)
    assert nothing.isnan().all()
    diverged = matching_scores(lambda problems: torch.inf * problems.query_x[:, :1], one_step, sets, queries)
    assert diverged.isinf().all()
    assert match(diverged).reason.startswith("diverged")

"""The positive control of matching: where in-context learning *is* gradient descent, its diagonal glows.

Eight demonstration sets of linear regression, common queries. ICL of a layer of linear attention on set i is held
against a step of gradient descent on set j: first a layer whose weights theory gives (von Oswald 2023a), then one that
was trained, then one with random weights, where nothing is learned. The numbers are those of `demograd run` on a
language model: matched, mismatched, specific share, permutation p, sets that find their own.
"""

import argparse

from demograd.statistics import match
from demograd.synthetic import (
    Architecture,
    LinearRegression,
    SmallTransformer,
    TrainingRecipe,
    as_tokens,
    best_gradient_descent,
    matching_scores,
    preconditioned_layer,
    predictions,
    run_layers,
    seeded,
    train,
)


def main(arguments: list[str] | None = None) -> dict[str, dict[str, float]]:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dimension", type=int, default=10)
    parser.add_argument("--context", type=int, default=10)
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--sets", type=int, default=8)
    options = parser.parse_args(arguments)
    world, n = LinearRegression(options.dimension), options.context

    gd = best_gradient_descent(1, world.draw(16384, n, seeded("tuning", 0)))
    layer = preconditioned_layer(gd.preconditioners[0], n)
    untrained, trained = (
        SmallTransformer(Architecture(attention="linear", layers=1), width=options.dimension + 1, seed=seed)
        for seed in (1, 0)
    )
    train(trained, world, n, TrainingRecipe(steps=options.steps), seed=0)
    learners = {
        "construction": lambda problems: predictions(run_layers(as_tokens(problems), [layer.to(problems.x)])),
        "trained": trained.requires_grad_(False),
        "random weights": untrained.requires_grad_(False),
    }
    sets, queries = world.draw(options.sets, n, seeded("test", 0)), world.draw(32, n, seeded("test", 1)).query_x
    table = {}
    print(f"{'':16}{'matched':>9}{'mismatched':>12}{'share':>8}{'p':>9}  sets that find their own")
    for name, learner in learners.items():
        test = match(matching_scores(learner, gd, sets, queries))
        table[name] = {
            "matched": test.matched,
            "mismatched": test.mismatched,
            "share": test.share,
            "p": test.p_value,
            "identified": test.identified,
        }
        print(
            f"{name:16}{test.matched:9.3f}{test.mismatched:12.3f}{test.share:8.2f}{test.p_value:9.2g}  "
            f"{round(test.identified * test.n_sets)} of {test.n_sets}"
        )
    return table


if __name__ == "__main__":
    main()

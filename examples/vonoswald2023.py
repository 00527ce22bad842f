"""von Oswald 2023a: does a trained layer of linear attention do a step of gradient descent?

First the theorem: matrices that are written down do exactly one GD step, from any W₀. Then the evidence: a layer of the
same shape, all of its weights free, is trained on linear regression, and held against one GD step with the best step
size. Their losses, what their predictions depend on, and the weights between theirs.
"""

import argparse

import torch

from demograd.synthetic import (
    CONSTRUCTIONS,
    Architecture,
    LinearRegression,
    SmallTransformer,
    TrainingRecipe,
    as_tokens,
    best_gradient_descent,
    compare,
    interpolated,
    preconditioned_layer,
    predictions,
    run_layers,
    seeded,
    squared_error,
    train,
)


def main(arguments: list[str] | None = None) -> dict[str, float]:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dimension", type=int, default=10)
    parser.add_argument("--context", type=int, default=10)
    parser.add_argument("--steps", type=int, default=3000)
    options = parser.parse_args(arguments)
    world, n = LinearRegression(options.dimension), options.context

    network = SmallTransformer(Architecture(attention="linear", layers=1), width=options.dimension + 1, seed=0)
    train(network, world, n, TrainingRecipe(steps=options.steps), seed=0)
    network.requires_grad_(False)

    gd = best_gradient_descent(1, world.draw(16384, n, seeded("tuning", 0)))
    test = world.draw(4096, n, seeded("test", 0))
    same = compare(network, gd, test)
    constructed = preconditioned_layer(gd.preconditioners[0], n)
    halfway = interpolated(network.layers()[0], constructed, 0.5)

    def loss(predicted: torch.Tensor) -> float:
        return squared_error(predicted, test.query_y).mean().item()

    table = {
        "the construction's largest error": max(CONSTRUCTIONS["one GD step"].error(seed) for seed in range(100)),
        "loss: trained": loss(network(test)),
        "loss: one GD step, best step size": loss(gd(test)),
        "loss: weights halfway between": loss(predictions(run_layers(as_tokens(test), [halfway]))),
        "cosine of sensitivities": same.sensitivity_cosine.mean().item(),
        "distance of predictions": same.prediction_difference.mean().item(),
    }
    for name, value in table.items():
        print(f"{name:36} {value:.3g}")
    return table


if __name__ == "__main__":
    main()

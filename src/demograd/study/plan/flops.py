"""Floating-point operations of observing, and of training as each method counts them."""

from demograd.learn import Method
from demograd.learn.cost import Flops, decoding, reading
from demograd.study.language_model.sizes import PromptSizes, Trained
from demograd.study.plan.blueprint import Blueprint


def observing(blueprint: Blueprint, prompts: PromptSizes) -> Flops:
    """One observation: the context once, every query behind it, the vocabulary where labels are scored."""
    pairs = prompts.context**2 + prompts.own * prompts.context + prompts.squares
    return Flops(decoding(blueprint, prompts.context + prompts.own, pairs) + reading(blueprint, prompts.rows))


def training(blueprint: Blueprint, sequences: Trained, method: Method) -> Flops:
    """All steps of a method on these demonstrations."""
    return method.cost(blueprint, sequences)

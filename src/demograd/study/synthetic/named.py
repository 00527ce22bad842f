"""Whose number a row is, and the row of networks that have no number."""

from collections.abc import Mapping
from dataclasses import replace

from demograd.study.synthetic.references import Tuned
from demograd.study.synthetic.units import Trained
from demograd.synthetic import SmallTransformer
from demograd.words import Row, Setting, Weights


def of_network(name: str) -> Row:
    """A trained network's, by its name in the study."""
    return Row(model=name, weights=Weights.TRAINED, setting=Setting.TF)


def of_reference(one: Tuned) -> Row:
    """A reference's."""
    return Row(setting=Setting.REFERENCE, method=one.label)


def failed_row(network: str, by_seed: Mapping[int, Trained]) -> Row | None:
    """That a network diverged from some seeds, and so has no loss over seeds; None where it did from none.

    The mean over the seeds that went well would be that of another, luckier network.
    """
    status = why_failed(by_seed)
    if not status:
        return None
    return replace(of_network(network), metric="loss", n_seeds=len(by_seed), status=status)


def why_failed(by_seed: Mapping[int, Trained]) -> str:
    """`diverged at step 9 (2 of 5 seeds)`; empty where it did from none."""
    failed = [one.status for one in by_seed.values() if one.status != "ok"]
    return f"{failed[0]} ({len(failed)} of {len(by_seed)} seeds)" if failed else ""


def whole(networks: Mapping[str, Mapping[int, Trained]]) -> dict[str, list[SmallTransformer]]:
    """The networks that diverged from no seed, in the order of seeds."""
    there = {
        name: [one.network for one in by_seed.values() if one.network is not None] for name, by_seed in networks.items()
    }
    return {name: each for name, each in there.items() if len(each) == len(networks[name])}

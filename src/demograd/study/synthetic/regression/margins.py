"""In a world drawn from a kernel: how much more other attention loses than attention with that kernel (Cheng 2024)."""

from collections.abc import Iterator
from dataclasses import replace

from demograd.statistics import difference
from demograd.study.synthetic.named import of_network
from demograd.study.synthetic.paired import claimed_scores, score_row
from demograd.study.synthetic.regression.tested import Tested
from demograd.study.synthetic.spec import Network
from demograd.words import Row


def margin_rows(tested: Tested) -> Iterator[Row]:
    """`loss_margin` of each network over each that matches, paired by seed and by test sequence.

    Where one of the two diverged the margin is missing: the lowest of all is not the lowest of those that did not.
    """
    world, networks = tested.study.worlds[tested.world], tested.study.networks
    if world.kind != "kernel":
        return
    for matching in (name for name in networks if networks[name].attention == world.kernel):
        for other in (name for name in networks if networks[name].attention != world.kernel):
            if but_for_attention(networks[other], networks[matching]):
                pair = replace(of_network(other), method=matching, metric="loss_margin")
                if why := [f"“{name}” {tested.failed[name]}" for name in (other, matching) if name in tested.failed]:
                    yield replace(pair, n_seeds=len(tested.study.seeds), status=" and ".join(why))
                else:
                    of_both = zip(tested.losses[other], tested.losses[matching], strict=True)
                    margins = [difference(losses, best) for losses, best in of_both]
                    yield claimed_scores(pair | score_row(margins), margins)


def but_for_attention(one: Network, other: Network) -> bool:
    """Whether two networks differ in nothing that they could compute, but in their attention.

    How they were trained, and from how large weights, may differ: kinds of attention want other learning rates and
    other beginnings (exponential attention explodes where linear attention barely learns), so a fair race gives each
    kind its own.
    """
    same = ("layers", "heads", "shared", "mlp", "by_inputs", "bound")
    return all(getattr(one, name) == getattr(other, name) for name in same)

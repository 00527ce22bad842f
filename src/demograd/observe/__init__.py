"""Forward passes over queries behind one shared context, and what is recorded of them."""

from typing import TYPE_CHECKING

from demograd.lazy import make_lazy

if TYPE_CHECKING:
    from demograd.observe.attention_hook import AttentionCall, attention_routed
    from demograd.observe.observation import Observation
    from demograd.observe.observe import observe
    from demograd.observe.rotary import check_rotary, query_vectors
    from demograd.words import Extra

__all__ = ["AttentionCall", "Extra", "Observation", "attention_routed", "check_rotary", "observe", "query_vectors"]

make_lazy(__name__)

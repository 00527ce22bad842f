"""Orders of demonstrations are numbered."""

MOST_ORDERS = 10_000
"""Of one demonstration set. To tell orders apart, all those before one are drawn."""

"""Synthetic studies: what to run in worlds where in-context learning can be gradient descent, and running it."""

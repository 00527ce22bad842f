"""Studies of language models: what is measured in each cell of their grid, and how."""

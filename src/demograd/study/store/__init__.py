"""Storage of a run: cells and observations by the hash of all that they depend on, whole and sealed."""

"""Runs beside each other: what differs in their settings, their numbers and their verdicts."""

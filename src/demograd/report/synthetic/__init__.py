"""Findings of a synthetic run: what each trained transformer is, and why."""

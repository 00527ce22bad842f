"""The jobs that a study has left to do."""

from collections.abc import Callable, Iterator
from itertools import chain, groupby

from demograd.study.cells import Cell, World, cells, cells_by_world, looks_at_prompts, worlds
from demograd.study.engine.job import Job
from demograd.study.engine.loaded import network_of
from demograd.study.engine.network_job import NetworkJob
from demograd.study.engine.world_job import WorldJob, untuned_keys
from demograd.study.measures import NETWORK_MEASURES
from demograd.study.prepare import Prepared
from demograd.study.schema import Study
from demograd.study.store.computing import Computing
from demograd.study.store.failures import failed_keys, forget
from demograd.study.store.folder import RunFolder
from demograd.study.store.inputs import Inputs
from demograd.study.store.keys import cell_key, network_key, world_key

Left = dict[World, dict[Cell, str]]
"""Worlds that are not whole, each with its cells that are neither finished nor failed, and their keys."""


def what_is_left(study: Study, folder: RunFolder, inputs: Inputs) -> Left:
    """What the folder does not have."""
    failed, left = failed_keys(folder), Left()
    for world, here in cells_by_world(study).items() if looks_at_prompts(study) else ():
        untuned = untuned_keys(study, world, inputs)
        if untuned.world not in failed:
            keys = {cell: cell_key(study, cell, inputs) for cell in here}
            missing = {cell: key for cell, key in keys.items() if key not in failed and not folder.has_cell(key)}
            if missing or not untuned.are_kept(folder):
                left[world] = missing
    return left


def forget_finished(study: Study, folder: RunFolder, inputs: Inputs) -> None:
    """What failed before and is there by now, such as from another study's run, has not failed."""
    failed = failed_keys(folder)
    untuned = (untuned_keys(study, one, inputs) for one in worlds(study)) if looks_at_prompts(study) else ()
    forget(folder, [one.world for one in untuned if one.world in failed and one.are_kept(folder)])
    forget(folder, filter(folder.has_cell, failed))


def jobs(
    study: Study,
    folder: RunFolder,
    computing: Computing,
    inputs: Inputs,
    left: Left,
    prepared: Callable[[World], Prepared],
) -> Iterator[Job]:
    """One after the other, those that share a network together; what a network alone is asked comes first."""
    failed = failed_keys(folder)
    theirs = RunFolder(folder.path.absolute(), computing)  # who works may stand elsewhere
    for network, of_network in groupby(worlds(study), key=network_of):
        fingerprint = inputs.networks[network[0]]
        for what in (one for one in NETWORK_MEASURES if one in study.measures):
            key = network_key(study, *network, what, inputs)
            if key not in failed and not folder.has_cell(key):
                yield NetworkJob(study, theirs, network, fingerprint, what, key)
        for world in (one for one in of_network if one in left):
            untuned = untuned_keys(study, world, inputs)
            yield WorldJob(study, theirs, world, fingerprint, untuned, left[world], prepared(world))


def given_up(study: Study, folder: RunFolder, inputs: Inputs) -> dict[str, int]:
    """How many failed, of each kind there is; with a world its cells are given up, which have not failed themselves."""
    failed = failed_keys(folder)
    left_out = [
        cell
        for world, here in cells_by_world(study).items()
        if looks_at_prompts(study)
        for cell in here
        if world_key(study, world, inputs) in failed or cell_key(study, cell, inputs) in failed
    ]
    counts = {kind: len(failed.intersection(keys)) for kind, keys in _keys(study, inputs).items()}
    return {**counts, "cells": len(left_out)}


def all_keys(study: Study, inputs: Inputs) -> Iterator[str]:
    """Of everything that may fail."""
    return chain.from_iterable(_keys(study, inputs).values())


def _keys(study: Study, inputs: Inputs) -> dict[str, list[str]]:
    """Kind → the keys of all of it."""
    networks = dict.fromkeys(map(network_of, worlds(study)))
    measures = [one for one in NETWORK_MEASURES if one in study.measures]
    return {
        "measures of networks": [network_key(study, *one, what, inputs) for one in networks for what in measures],
        "worlds": [world_key(study, one, inputs) for one in worlds(study)] if looks_at_prompts(study) else [],
        "cells": [cell_key(study, one, inputs) for one in cells(study)],
    }

"""What to run, the grid of its cells, running it and keeping it."""

from typing import TYPE_CHECKING

from demograd.lazy import make_lazy

if TYPE_CHECKING:
    from demograd.study.claims import claims
    from demograd.study.language_model.grid import Cell, World, cells
    from demograd.study.language_model.measures import measures
    from demograd.study.language_model.spec import Study, make_study
    from demograd.study.run import Run, run_study
    from demograd.study.spec.files import preset_groups, preset_names, read_studies, read_study
    from demograd.study.spec.methods import method_descriptions
    from demograd.study.store.cache import Cache, user_cache
    from demograd.study.store.cache import CacheEntry as CacheEntry
    from demograd.study.store.failures import Failure
    from demograd.study.store.folder import RunFolder
    from demograd.study.synthetic.spec import SyntheticStudy
    from demograd.study.workers import Workers
    from demograd.study.workers.progress import Silent, Watch

__all__ = [
    "Cache",
    "CacheEntry",
    "Cell",
    "Failure",
    "Run",
    "RunFolder",
    "Silent",
    "Study",
    "SyntheticStudy",
    "Watch",
    "Workers",
    "World",
    "cells",
    "claims",
    "make_study",
    "measures",
    "method_descriptions",
    "preset_groups",
    "preset_names",
    "read_studies",
    "read_study",
    "run_study",
    "user_cache",
]

make_lazy(__name__)

"""What a shell completes: names that demograd knows, which are data; nothing heavy is imported for them."""

from collections.abc import Callable, Iterable, Iterator

from demograd.words import Labels, Weights

Completion = Iterator[tuple[str, str]]
KINDS = ("tasks", "models", "methods", "measures", "metrics", "claims", "presets", "sections")
"""What `demograd list` lists."""
_LONGEST_HELP = 60


def _beginning(incomplete: str, names: Iterable[tuple[str, str]]) -> Completion:
    return ((name, about[:_LONGEST_HELP]) for name, about in names if name.startswith(incomplete))


def presets(incomplete: str) -> Completion:
    """Presets, and groups of them."""
    from demograd import study

    groups = ((name, str(group["about"])) for name, group in study.preset_groups().items())
    return _beginning(incomplete, [*((name, "") for name in study.preset_names()), *groups])


def tasks(incomplete: str) -> Completion:
    """Built-in tasks."""
    from demograd.tasks.sources.built_in import built_in_tasks

    words = ((name, " / ".join(task.label_words)) for name, task in built_in_tasks().items())
    return _beginning(incomplete, words)


def models(incomplete: str) -> Completion:
    """Built-in models."""
    from demograd.models import BUILT_IN

    return _beginning(incomplete, ((name, model.description) for name, model in BUILT_IN.items()))


def methods(incomplete: str) -> Completion:
    """Fine-tuning methods."""
    from demograd import study

    return _beginning(incomplete, study.method_descriptions().items())


def measures(incomplete: str) -> Completion:
    """Groups of metrics."""
    from demograd import study

    return _beginning(incomplete, ((name, measure.about) for name, measure in study.measures().items()))


def among(*names: str) -> Callable[[str], Completion]:
    """These names."""
    return lambda incomplete: _beginning(incomplete, ((name, "") for name in names))


kinds = among(*KINDS)
weights = among(*Weights)
labels = among(*Labels)
dtypes = among("float32", "bfloat16", "float16")
devices = among("auto", "balanced", "cpu", "cuda")
executors = among("in-process", "processes", "ray")

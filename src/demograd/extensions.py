"""What installed packages add to demograd: metrics, methods and sections, each registered by a decorator."""

from importlib.metadata import entry_points

from demograd.errors import UserError


def load_entry_points(group: str) -> None:
    """Import whatever installed packages name in this group of entry points; its decorators register it.

    Args:
        group: `demograd.metrics`, `demograd.methods` or `demograd.sections`.

    Raises:
        UserError: an entry point cannot be loaded.
    """
    noun = group.rpartition(".")[2].removesuffix("s")
    for point in entry_points(group=group):
        try:
            point.load()
        except Exception as error:
            raise UserError(
                f"the {noun} {point.name} of an installed package cannot be loaded ({error})",
                f"{point.value} to be decorated with @{noun}",
                "Mend or uninstall that package",
            ) from error

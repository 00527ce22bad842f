"""How many examples hypothesis tries: as many as a test names, or twenty times as many where it searches."""

from hypothesis import settings


def examples(number: int) -> int:
    """For `max_examples`: `number` in the default profile (of 100 examples), in proportion in any other."""
    return number * settings().max_examples // 100

"""What a reader needs to trust a run of either kind and to run it again: versions, time and machine."""

import os
import platform
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

_PACKAGES = ("torch", "transformers", "tokenizers", "numpy", "scipy", "pandas", "safetensors", "gguf")


def machine_facts(before: dict[str, Any] | None, device: str, threads: int, seconds: float) -> dict[str, Any]:
    """Versions, time and machine, `threads` being those of each worker; a run that went on adds its time to what was
    there `before`."""
    before = before or {}
    return {
        "demograd": version("demograd"),
        "created": before.get("created", datetime.now(UTC).isoformat(timespec="seconds")),
        "seconds": round(before.get("seconds", 0.0) + seconds, 1),
        "versions": {"python": platform.python_version(), **{name: version(name) for name in _PACKAGES}},
        "machine": {
            "platform": platform.platform(),
            "processor": platform.machine(),
            "cores": os.cpu_count(),
            "threads": threads,
            "device": device,
        },
    }

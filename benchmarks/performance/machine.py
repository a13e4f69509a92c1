"""What a timing was taken on."""

import os
import platform
from pathlib import Path

__all__ = ["processor"]


def processor() -> str:
    """The processor's model and the number of its cores."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    model = next((x.split(":")[1].strip() for x in lines if x.startswith("model name")), "")
    return f"{model or platform.machine()}, {os.cpu_count()} cores"

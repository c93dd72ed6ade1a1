"""Where something was measured: figures of two machines say nothing about each other."""

import os
import platform
import shutil
import subprocess
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("podium", "asyncpg", "msgspec", "orjson", "starlette", "strawberry-graphql", "uvicorn", "uvloop")


def machine() -> dict[str, Any]:
    """The processor, memory, load, versions, commit and date."""
    return {
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "memory_bytes": psutil.virtual_memory().total,
        "load_average": os.getloadavg(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in PACKAGES},
        "commit": _commit(),
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _cpu() -> str:
    information = Path("/proc/cpuinfo")
    lines = information.read_text().splitlines() if information.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def _commit() -> str | None:
    """The commit of the checkout, with a plus when files differ from it; None without git."""
    if not (git := shutil.which("git")) or not (ROOT / ".git").exists():
        return None
    commit = _output(git, "rev-parse", "--short=12", "HEAD")
    return f"{commit}+" if commit and _output(git, "--no-optional-locks", "status", "--porcelain") else commit or None


def _output(*command: str) -> str:
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()

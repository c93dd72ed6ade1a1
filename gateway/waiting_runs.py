"""Runs that wait to be stored, in memory and in a directory, so that they outlive the prober: a file for each."""

from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import msgspec

from resolvers.probe_runs import ProbeRun

MOST_WAITING = 1000


class WaitingRuns:
    """Those of a directory, and what comes, the oldest first; when there are too many, the oldest go.

    Where the directory cannot be used, they wait in memory alone. `report` is told `probe_runs_dir_failed` then, with
    the error, and `probe_run_lost` for each that goes.
    """

    def __init__(self, directory: Path, report: Callable[..., None], most: int = MOST_WAITING) -> None:
        self._directory = directory
        self._report = report
        self._most = most
        self._runs = {run.id: run for run in sorted(self._read(), key=lambda run: (run.started_at, run.id))}

    def __len__(self) -> int:
        return len(self._runs)

    def first(self) -> ProbeRun | None:
        """The one that waits for the longest time."""
        return next(iter(self._runs.values()), None)

    def add(self, run: ProbeRun) -> None:
        """Let one wait."""
        self._runs[run.id] = run
        try:
            self._write(run)
        except OSError as error:
            self._report("probe_runs_dir_failed", error=error)
        while len(self._runs) > self._most and (oldest := self.first()):
            self.remove(oldest)
            self._report("probe_run_lost", stream=oldest.stream, run_id=oldest.id)

    def remove(self, run: ProbeRun) -> None:
        """One need wait no longer."""
        self._runs.pop(run.id, None)
        try:
            self._path(run).unlink(missing_ok=True)
        except OSError as error:
            self._report("probe_runs_dir_failed", error=error)

    def _path(self, run: ProbeRun) -> Path:
        # An id may hold anything.
        return self._directory / f"{sha256(run.id.encode()).hexdigest()[:32]}.json"

    def _write(self, run: ProbeRun) -> None:
        self._directory.mkdir(parents=True, exist_ok=True)
        path = self._path(run)
        part = path.with_suffix(".part")
        part.write_bytes(msgspec.json.encode(run))
        part.replace(path)

    def _read(self) -> list[ProbeRun]:
        found: list[ProbeRun] = []
        for path in self._directory.glob("*.json"):
            try:
                found.append(msgspec.json.decode(path.read_bytes(), type=ProbeRun))
            except (OSError, msgspec.DecodeError) as error:
                self._report("probe_runs_dir_failed", error=error)
        return found

"""`podium bench telemetry`: nodes that send messages, how many are stored in which time, and what that takes."""

import argparse
import fcntl
import resource
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import uvloop

from bench.machine import machine
from bench.report import save
from bench.server import Filled
from bench.telemetry_cases import burst, disconnect, fairness, generator, idle, outage, paced
from bench.telemetry_questions import asked
from bench.telemetry_run import Row
from bench.telemetry_table import table
from db.embedded import EmbeddedPostgres
from db.migrate import migrate

CASES = {
    "generator": generator,
    "burst": burst,
    "paced": paced,
    "disconnect": disconnect,
    "outage": outage,
    "fairness": fairness,
    "idle": idle,
    "questions": asked,
}
MESSAGES, FULL_MESSAGES, MANY_MESSAGES = 1_000_000, 2_000_000, 2_000_000
LOCK = Path(tempfile.gettempdir()) / "podium-bench.lock"


async def run(given: argparse.Namespace, directory: Path) -> dict[str, Any]:
    """Everything that was asked for, as it is saved."""
    where, rows = machine(), []
    async with EmbeddedPostgres(directory / "data") as postgres:
        await migrate(postgres.logins.owner)
        database = Filled(postgres, None)
        facts = {"machine": where | {"postgres": await database.version()}, "results": given.messages}
        for name in given.only:
            async for row in _tried(name, database, directory, given):
                print(table([asdict(row)]), flush=True)
                rows.append(asdict(row))
    return {**facts, "rows": rows}


async def _tried(name: str, database: Filled, directory: Path, given: argparse.Namespace) -> Any:
    try:
        async for row in CASES[name](database, directory, given):
            yield row
    except Exception as error:  # the other cases can be measured all the same
        yield Row(name, {}, f"{type(error).__name__}: {error}")


def main() -> None:
    """Measure, print and save; the exit code is 1 when something failed."""
    given = _parser().parse_args()
    given.messages = given.messages or (FULL_MESSAGES if given.full else MESSAGES)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with _alone(), tempfile.TemporaryDirectory(prefix="podium-bench-", dir=given.directory) as directory:
        report = uvloop.run(run(given, Path(directory)))
    print()
    print(table(report["rows"], report["machine"]))
    print(f"saved as {save(report, 'telemetry')}")
    sys.exit(any(row["problem"] for row in report["rows"]))


@contextmanager
def _alone() -> Iterator[None]:
    """Wait for other runs of this to end: they would measure each other."""
    with LOCK.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("another benchmark of telemetry is running: waiting for its end", file=sys.stderr)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _cases(text: str) -> list[str]:
    wanted = [name.strip() for name in text.split(",")]
    if unknown := [name for name in wanted if name not in CASES]:
        raise argparse.ArgumentTypeError(f"{', '.join(unknown)}: the cases are {', '.join(CASES)}")
    return [name for name in CASES if name in wanted]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="podium bench telemetry",
        description=__doc__,
        epilog="Example: podium bench telemetry --only burst,outage --outage 20",
    )
    add = parser.add_argument
    add("--only", type=_cases, default=list(CASES), help=f"some of {', '.join(CASES)}; all unless given")
    add("--messages", type=int, help=f"in bursts, and before questions: {MESSAGES:,} unless --full")
    add("--full", action="store_true", help=f"{FULL_MESSAGES:,} messages in bursts and before questions")
    add("--many", type=int, default=MANY_MESSAGES, help=f"messages before a goodbye: {MANY_MESSAGES:,} unless given")
    add("--seconds", type=int, default=20, help="how long paced and fairness send, 20 unless given")
    add("--outage", type=float, default=60, help="for how many seconds Postgres is away, 60 unless given")
    add("--idle", type=int, default=5000, help="idle sockets, 5,000 unless given")
    add("--idle-seconds", type=int, default=30, help="how long they are watched, 30 unless given")
    add("--ask-seconds", type=float, default=3, help="how many seconds each question is asked, 3 unless given")
    add("--directory", help="where the database is made and removed; 2,000,000 messages need 4 GB with their log")
    return parser


if __name__ == "__main__":
    main()

"""Runs dbmate, which owns the migrations of db/migrations."""

import asyncio
import shutil
import sysconfig
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

MIGRATIONS = Path(__file__).parent / "migrations"
# A database of the original leaderboard has another tool's schema_migrations in its public schema.
MIGRATIONS_TABLE = "podium.schema_migrations"


class MigrationError(Exception):
    """dbmate failed; the message is what it said."""


async def migrate(url: str, command: str = "migrate") -> str:
    """Run a dbmate command (`migrate`, `rollback`, `status`) and return what it printed.

    Several gateways may call this at once: a lock in the database lets one after the other in.
    """
    process = await asyncio.create_subprocess_exec(
        _dbmate(),
        *("--migrations-dir", str(MIGRATIONS), "--migrations-table", MIGRATIONS_TABLE, "--env-file", "/dev/null"),
        *("--no-dump-schema", "--migration-lock", command),
        env={"DATABASE_URL": _with_sslmode(url)},  # not an argument, which every user of the machine could read
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output = (await process.communicate())[0].decode(errors="replace").strip()
    if process.returncode:
        raise MigrationError(output.rpartition("Error: ")[2])
    return output


def _dbmate() -> str:
    scripts = sysconfig.get_path("scripts")
    found = shutil.which("dbmate", path=scripts) or shutil.which("dbmate")
    if found is None:
        raise MigrationError("dbmate is not installed: run `make setup`")
    return found


def _with_sslmode(url: str) -> str:
    # asyncpg tries TLS and goes on without where the server has none; dbmate must be told.
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query))
    query.setdefault("sslmode", "disable" if _is_local(parts.hostname, query) else "prefer")
    return urlunsplit(parts._replace(query=urlencode(query)))


def _is_local(hostname: str | None, query: dict[str, str]) -> bool:
    return query.get("host", hostname or "").startswith(("/", "127.", "localhost", "::1"))

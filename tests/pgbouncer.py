"""pgbouncer in transaction mode before a test's Postgres."""

import asyncio
import shutil
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

import asyncpg

from db.embedded import Logins
from db.embedded_host import account_for, bin_dir_of_wheel, choose_launcher, give, spawn
from tests.debian import Program, Wanted, text_of

PGBOUNCER = Wanted(
    "usr/sbin/pgbouncer", ("pgbouncer", "libevent-2.1-7", "libevent-2.1-7t64", "libcares2", "libc-ares2")
)
POOL_SIZE = 4
CONFIGURATION = """
[databases]
* = host={postgres} port=5432
[pgbouncer]
listen_addr =
listen_port = 6432
unix_socket_dir = {home}
auth_type = trust
auth_file = {home}/users
pool_mode = transaction
default_pool_size = {pool_size}
max_client_conn = 500
admin_users = postgres
"""


@asynccontextmanager
async def pooled(program: Program, logins: Logins) -> AsyncIterator[Logins]:
    """The same logins through a pgbouncer that lends each statement, or transaction, one of `POOL_SIZE` connections."""
    (postgres,) = parse_qs(urlsplit(logins.superuser).query)["host"]
    home = Path(tempfile.mkdtemp(prefix="podium-pgbouncer-"))
    account = await account_for()
    try:
        _furnish(home, program, postgres)
        _give_all(home, account)
        # One that lets it in where the sockets of Postgres are.
        launcher, _ = await choose_launcher(account, Path(postgres), bin_dir_of_wheel() / "postgres")
        command = ("env", f"LD_LIBRARY_PATH={home}", home / "pgbouncer", home / "pgbouncer.ini")
        with (home / "log").open("wb") as log:
            process = await spawn(*launcher, *command, output=log)
        through = Logins(**{role: _moved(getattr(logins, role), postgres, str(home)) for role in Logins.__slots__})
        try:
            await _answers(through.superuser, home / "log")
            yield through
            assert process.returncode is None, text_of(home / "log")
        finally:
            process.terminate()
            await process.wait()
    finally:
        shutil.rmtree(home)


def _furnish(home: Path, program: Program, postgres: str) -> None:
    for file in (program.binary, *program.libraries):
        shutil.copy(file, home / file.name)
    users = ("postgres", "podium_owner", "podium_writer", "podium_reader")
    (home / "users").write_text("".join(f'"{user}" ""\n' for user in users))
    (home / "pgbouncer.ini").write_text(CONFIGURATION.format(postgres=postgres, home=home, pool_size=POOL_SIZE))


def _give_all(home: Path, account: tuple[int, int]) -> None:
    for path in (home, *home.iterdir()):
        give(path, account)


def _moved(url: str, postgres: str, home: str) -> str:
    return url.replace(quote(postgres, safe=""), quote(home, safe="")).replace("port=5432", "port=6432")


async def _answers(url: str, log: Path) -> None:
    deadline = time.monotonic() + 10
    while True:
        try:
            return await (await asyncpg.connect(url, statement_cache_size=0, timeout=2)).close()
        except (OSError, asyncpg.PostgresError):
            assert time.monotonic() < deadline, text_of(log)
            await asyncio.sleep(0.05)

"""A streaming replica of an embedded Postgres, for tests: made, started, stopped short, and started again."""

import asyncio
import shutil
import tempfile
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

import asyncpg
import psutil

from db.embedded import SETTINGS, EmbeddedPostgres
from db.embedded_host import account_for, bin_dir_of_wheel, choose_launcher, give, run_program, spawn
from db.migrate import migrate


class StreamingReplica:
    """A server that does again what the primary has done. Its URLs are those of the primary, but for the socket."""

    def __init__(self, primary: EmbeddedPostgres, cluster: Path, sockets: Path, launcher: tuple[str, ...]) -> None:
        self._cluster = cluster
        self._sockets = sockets
        self._launcher = launcher
        self._process: Process | None = None
        host = parse_qs(urlsplit(primary.logins.reader).query)["host"][0].replace("/", "%2F")
        self._there = (host, str(sockets).replace("/", "%2F"))

    @classmethod
    async def of(cls, primary: EmbeddedPostgres, cluster: Path, sockets: Path) -> Self:
        """A copy of the primary that does not run yet."""
        account = await account_for(cluster.parent)
        for directory in (cluster, sockets):
            directory.mkdir(mode=0o700, exist_ok=True)
            give(directory, account)
        launcher, _ = await choose_launcher(account, cluster, bin_dir_of_wheel() / "postgres")
        copy = (bin_dir_of_wheel() / "pg_basebackup", f"--dbname={primary.logins.superuser}", "-D", cluster)
        code, printed = await run_program(*launcher, *copy, "-R", "-c", "fast")
        assert code == 0, printed
        return cls(primary, cluster, sockets, launcher)

    def url(self, login: str) -> str:
        """The URL of a login of the primary's, here."""
        return login.replace(*self._there)

    async def start(self, superuser: str) -> None:
        """Return when it takes connections."""
        # A replica allows as many connections as its primary, or more; and answers while it follows.
        settings = *SETTINGS, "hot_standby=on", f"unix_socket_directories={self._sockets}"
        options = [f"--{setting}" for setting in settings]
        program = bin_dir_of_wheel() / "postgres"
        with (self._cluster.parent / "replica.log").open("ab") as log:
            self._process = await spawn(*self._launcher, program, "-D", self._cluster, *options, output=log)
        async with asyncio.timeout(20):
            while not await self._answers(superuser):
                await asyncio.sleep(0.05)

    async def kill(self) -> None:
        """Kill it, with all of its processes, and return when they are gone."""
        assert self._process
        for process in self._processes():
            process.kill()
        await self._process.wait()

    def suspend(self) -> None:
        """Let it hang."""
        for process in self._processes():
            process.suspend()

    def resume(self) -> None:
        """Let it go on."""
        for process in self._processes():
            process.resume()

    async def execute(self, superuser: str, sql: str) -> Any:
        """The value of a statement that is run there."""
        connection = await asyncpg.connect(self.url(superuser), timeout=5)
        try:
            return await connection.fetchval(sql)
        finally:
            await connection.close()

    async def _answers(self, superuser: str) -> bool:
        assert self._process
        assert self._process.returncode is None, (self._cluster.parent / "replica.log").read_text()
        try:
            return bool(await self.execute(superuser, "SELECT pg_is_in_recovery()"))
        except (OSError, asyncpg.PostgresError):
            return False

    def _processes(self) -> list[psutil.Process]:
        assert self._process
        if self._process.returncode is not None:
            return []
        postmaster = psutil.Process(self._process.pid)
        return [postmaster, *postmaster.children(recursive=True)]


@asynccontextmanager
async def replicated(directory: Path) -> AsyncIterator[tuple[EmbeddedPostgres, StreamingReplica]]:
    """A migrated primary and a replica that follows it, inside the block."""
    sockets = Path(tempfile.mkdtemp(prefix="podium-"))  # not below the directory, whose path may be too long
    async with EmbeddedPostgres(directory / "primary") as primary:
        await migrate(primary.logins.owner)
        (directory / "replica").mkdir()
        replica = await StreamingReplica.of(primary, directory / "replica" / "postgres", sockets)
        await replica.start(primary.logins.superuser)
        try:
            yield primary, replica
        finally:
            await replica.kill()
            shutil.rmtree(sockets)

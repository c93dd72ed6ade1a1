"""A private Postgres in a data directory, for people who configure no database: made, started, watched and stopped."""

import asyncio
import hashlib
import os
import re
import shutil
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from itertools import chain, repeat
from pathlib import Path
from signal import SIGINT, SIGKILL, SIGQUIT
from time import monotonic
from typing import IO, Any, Self
from urllib.parse import quote

import asyncpg

from db.embedded_host import (
    PORT,
    DirectoryInUseError,
    EmbeddedPostgresError,
    account_for,
    bin_dir_of_wheel,
    choose_launcher,
    end_processes,
    find_servers,
    forget_misleading_pid,
    give,
    lock_directory,
    make_private,
    new_directory,
    open_private,
    read_postmaster,
    rename_durably,
    run_program,
    socket_dir,
    spawn,
)

ROLES = Path(__file__).resolve().parents[1] / "deploy" / "roles.sql"
LOG_LIMIT_BYTES = 10 * 2**20
RESTART_PAUSES_S = (0.1, 0.2, 0.5, 1, 2)  # and then 5
ATTACH_PATIENCE_S = 30
SHUTDOWN = ((SIGINT, 10), (SIGQUIT, 6), (SIGKILL, 2))  # of a postmaster: fast, immediate, by force; with patience in s
CLEARANCE = ((SIGQUIT, 1), (SIGKILL, 2))  # of what a killed postmaster left
INITDB = ("--username=postgres", "--auth-local=trust", "--auth-host=reject", "--encoding=UTF8", "--data-checksums")
LOCALE = ("--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8")  # the first is for Postgres < 17 too
SETTINGS = (
    *("listen_addresses=", "unix_socket_permissions=0700", "max_connections=400", "shared_buffers=256MB"),
    *("fsync=on", "synchronous_commit=on", "wal_compression=on", "max_wal_size=2GB", "checkpoint_timeout=15min"),
    *("random_page_cost=1.1", "jit=off", "timezone=UTC", "log_timezone=UTC", "log_checkpoints=off"),
    "hot_standby=off",  # a backup that is being recovered is not ready before it is recovered
)


@dataclass(frozen=True, slots=True)
class Logins:
    """Connection URLs, one per role of deploy/roles.sql, in the form that asyncpg and dbmate share."""

    superuser: str
    owner: str
    writer: str
    reader: str


def ignore(event: str, **facts: object) -> None:
    """Report to nobody."""


class EmbeddedPostgres:
    """A Postgres that runs between `start` and `stop`, or inside `async with`, and is restarted when it dies.

    `report` is told `postgres_created`, `postgres_started`, `postgres_died`, `postgres_restart_failed` and
    `postgres_stopped`, each with its facts.
    """

    def __init__(self, data_dir: Path, *, bin_dir: Path | None = None, report: Callable[..., None] = ignore) -> None:
        self._home = data_dir.resolve()
        self._cluster = self._home / "postgres"
        self._log = self._home / "postgres.log"
        self._log_seen_bytes = 0
        self._bin = (bin_dir or bin_dir_of_wheel()).absolute()
        # Its processes carry this in their titles, by which they are known even when their postmaster is dead.
        self._name = f"podium-{hashlib.sha256(os.fsencode(self._home)).hexdigest()[:16]}"
        self._sockets = socket_dir(self._cluster, self._name)
        self._report = report
        self._account = (os.geteuid(), os.getegid())
        self._launcher: tuple[str, ...] = ()
        self._lock: IO[bytes] | None = None
        self._process: Process | None = None
        self._watcher: asyncio.Task[None] | None = None
        self.logins = _logins(self._sockets)

    @property
    def pid(self) -> int | None:
        """The postmaster's, None while there is none."""
        return self._process.pid if self._process and self._process.returncode is None else None

    async def start(self) -> Logins:
        """Return when Postgres takes connections, with the database `podium` and its roles."""
        if self._watcher:
            return self.logins
        try:
            self._lock = lock_directory(self._home)
            await self._make_cluster_usable()
            process = await self._launch()
            await self._make_database()
        except BaseException as error:
            await self.stop()
            if isinstance(error, OSError | asyncpg.PostgresError):
                problem = f"cannot use the data directory {self._home} ({str(error) or repr(error)})"
                raise EmbeddedPostgresError(f"{problem}: make it usable for this user, or choose another") from error
            raise
        self._watcher = asyncio.create_task(self._watch(process))
        return self.logins

    async def stop(self) -> None:
        """Shut Postgres down, fast first and by force at last, and let go of the directory; may be called again."""
        if self._watcher:
            self._watcher.cancel()
            await asyncio.wait([self._watcher])
        if self._process:
            with suppress(ProcessLookupError):
                self._process.send_signal(SIGINT)
            await self._end_servers()
            self._report("postgres_stopped", pid=self._process.pid, exit_code=await self._process.wait())
            if self._sockets != self._cluster:
                shutil.rmtree(self._sockets, ignore_errors=True)
        if self._lock:
            self._lock.close()
        self._watcher = self._process = self._lock = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def _make_cluster_usable(self) -> None:
        self._account = await account_for(self._cluster, self._home)
        created = (self._cluster / "PG_VERSION").exists()
        cluster = self._cluster if created else new_directory(self._home)
        give(cluster, self._account)
        self._launcher, major = await choose_launcher(self._account, cluster, self._bin / "postgres")
        if not created:
            await self._initdb(cluster, major)
        elif (found := (cluster / "PG_VERSION").read_text().strip()) != major:
            raise EmbeddedPostgresError(
                f"{self._home} was made by Postgres {found} and this is Postgres {major}: "
                "dump it with the old one and restore it with the new one, see docs/operations.md"
            )

    async def _initdb(self, cluster: Path, major: str) -> None:
        options = (*INITDB, *(LOCALE if int(major) >= 17 else LOCALE[:1]))
        with self._open_log() as log:
            code, _ = await run_program(*self._launcher, self._bin / "initdb", "-D", cluster, *options, output=log)
        if code:
            raise self._failure("Postgres could not make its files")
        rename_durably(cluster, self._cluster)
        self._report("postgres_created", directory=str(self._cluster), version=major)

    async def _make_database(self) -> None:
        async with _connection(self.logins.superuser, database="postgres") as server:
            if not await server.fetchval("SELECT true FROM pg_database WHERE datname = 'podium'"):
                await server.execute("CREATE DATABASE podium")
        async with _connection(self.logins.superuser) as podium:
            await podium.execute(ROLES.read_text())

    async def _launch(self) -> Process:
        began = monotonic()
        await self._end_servers()
        forget_misleading_pid(self._cluster)
        if self._sockets != self._cluster:
            make_private(self._sockets, self._account)
        settings = (*SETTINGS, f"unix_socket_directories={self._sockets}", f"cluster_name={self._name}")
        options = [f"--{setting}" for setting in settings]
        program = self._bin / "postgres"
        with self._open_log() as log:
            process = await spawn(*self._launcher, program, "-D", self._cluster, *options, output=log)
        self._process = process
        while not await self._is_ready(process):
            if process.returncode is not None:
                raise self._failure("Postgres did not start")
            await asyncio.sleep(0.02)
        self._report("postgres_started", pid=process.pid, took_s=monotonic() - began)
        return process

    async def _is_ready(self, process: Process) -> bool:
        found = read_postmaster(self._cluster)
        if found.pid != process.pid or not found.is_ready:
            return False
        async with _connection(self.logins.superuser, database="postgres"):
            return True

    async def _watch(self, process: Process) -> None:
        while True:
            self._report("postgres_died", pid=process.pid, exit_code=await process.wait())
            process = await self._restart()

    async def _restart(self) -> Process:
        pauses_s = chain(RESTART_PAUSES_S, repeat(5))
        while True:
            await asyncio.sleep(next(pauses_s))
            try:
                return await self._launch()
            except Exception as error:  # whatever it is, it may be over at the next attempt
                self._report("postgres_restart_failed", error=str(error))

    async def _end_servers(self) -> None:
        def postmaster() -> list[Any]:
            pid = read_postmaster(self._cluster).pid
            return [process for process in find_servers(self._name) if process.pid == pid]

        await end_processes(postmaster, SHUTDOWN)
        await end_processes(lambda: find_servers(self._name), CLEARANCE)

    def _open_log(self) -> IO[bytes]:
        if self._log.exists() and self._log.stat().st_size > LOG_LIMIT_BYTES:
            self._log.replace(self._log.with_suffix(".log.1"))
        log = open_private(self._log)
        self._log_seen_bytes = log.seek(0, os.SEEK_END)
        return log

    def _failure(self, what: str) -> EmbeddedPostgresError:
        lines = self._log.read_bytes()[self._log_seen_bytes :].decode(errors="replace").splitlines()
        # "the database system is starting up" is what early clients are told.
        telling = [line for line in lines if re.search(r"(FATAL|PANIC|ERROR|error):(?!  the database system)", line)]
        return EmbeddedPostgresError(f"{what}: {(telling or lines or ['no word'])[-1].strip()} (more in {self._log})")


@asynccontextmanager
async def attach(
    data_dir: Path, *, bin_dir: Path | None = None, report: Callable[..., None] = ignore
) -> AsyncIterator[Logins]:
    """The server of the podium that runs on the directory; where none runs, one for the time of the block."""
    server = EmbeddedPostgres(data_dir, bin_dir=bin_dir, report=report)
    deadline = monotonic() + ATTACH_PATIENCE_S
    logins = None
    async with AsyncExitStack() as stack:
        while logins is None:
            try:
                logins = (await stack.enter_async_context(server)).logins
            except DirectoryInUseError:
                logins = await _logins_of_running(data_dir / "postgres")
                if logins is None and monotonic() > deadline:
                    raise
                await asyncio.sleep(0 if logins else 0.1)  # the other one is starting or stopping
        yield logins


async def _logins_of_running(cluster: Path) -> Logins | None:
    postmaster = read_postmaster(cluster)
    with suppress(OSError, asyncpg.PostgresError):
        if postmaster.is_ready:
            logins = _logins(postmaster.sockets)
            async with _connection(logins.reader):
                return logins
    return None


@asynccontextmanager
async def _connection(url: str, **options: Any) -> AsyncIterator[Any]:
    connection = await asyncpg.connect(url, timeout=5, **options)
    try:
        yield connection
    finally:
        await connection.close()


def _logins(sockets: Path) -> Logins:
    def url(role: str) -> str:
        return f"postgresql://{role}@/podium?host={quote(str(sockets), safe='')}&port={PORT}&sslmode=disable"

    return Logins(url("postgres"), url("podium_owner"), url("podium_writer"), url("podium_reader"))

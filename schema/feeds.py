"""Feeds: what several subscribers ask alike is heard, executed and encoded once, and handed to each of them."""

import asyncio
from collections.abc import Callable, Hashable, Sequence
from functools import partial
from typing import Any, Protocol

import orjson
from graphql import GraphQLError

from resolvers.errors import TooManySubscriptions
from resolvers.sources import States
from schema.context import Backend, Context
from schema.errors import answer_of, formatted, shown_error
from schema.operations import Operation, Operations, Refused

MAX_SUBSCRIBERS = 10_000
MAX_FEEDS = 1_000  # different ones: each is computed by itself
MAX_EXECUTED = 100  # events at once; then other work has its turn

Errors = list[dict[str, Any]]


class Payloads:
    """Some answers in their order, as JSON. A form that many subscribers get is made once."""

    def __init__(self, payloads: list[bytes]) -> None:
        self.payloads = payloads
        self._forms: dict[Hashable, Any] = {}

    def form(self, key: Hashable, make: Callable[[list[bytes]], Any]) -> Any:
        """What `make` makes of the answers, made at the first time for each key."""
        if key not in self._forms:
            self._forms[key] = make(self.payloads)
        return self._forms[key]


class Subscriber(Protocol):
    """Who gets the answers of a feed; neither may wait, nor raise."""

    def deliver(self, payloads: Payloads) -> None:
        """The next answers."""

    def end(self, errors: Errors) -> None:
        """No more answers: because of these errors, or without any."""


class Feeds:
    """All feeds of a gateway, by what they are about."""

    def __init__(self, operations: Operations, backend: Backend) -> None:
        self.operations = operations
        self.backend = backend
        self._feeds: dict[Hashable, _Feed] = {}
        self.subscribers = 0

    @property
    def number(self) -> int:
        """How many feeds there are."""
        return len(self._feeds)

    @property
    def ready(self) -> int:
        """How many subscribers have feeds that are open."""
        return sum(len(feed.subscribers) for feed in self._feeds.values() if feed.is_open)

    async def join(self, operation: Operation, context: Context, subscriber: Subscriber) -> Callable[[], None]:
        """Subscribe; returns what unsubscribes, when events are heard from now on. Refused when that cannot be.

        Whoever has the same scopes and asks for the same shares a feed, which is that of the first.
        """
        if self.subscribers >= MAX_SUBSCRIBERS:
            raise self._too_many(f"this server has {MAX_SUBSCRIBERS} subscribers")
        key = (operation.request.query, operation.request.name, _key(operation.request.variables), context.scopes)
        feed = self._feeds.get(key)
        if feed is None and len(self._feeds) >= MAX_FEEDS:
            raise self._too_many(f"this server has {MAX_FEEDS} different subscriptions")
        if feed is None:
            feed = self._feeds[key] = _Feed(
                self.operations, self.backend, operation, context, partial(self._forget, key)
            )
        self.subscribers += 1
        leave = partial(self._leave, feed, subscriber)
        try:
            await feed.join(subscriber)
        except BaseException:
            leave()
            raise
        return leave

    def _too_many(self, message: str) -> Refused:
        error = TooManySubscriptions(message, hint="try again later")
        return Refused([shown_error(error, self.backend.report)])

    def _leave(self, feed: "_Feed", subscriber: Subscriber) -> None:
        self.subscribers -= 1
        feed.leave(subscriber)

    def _forget(self, key: Hashable, feed: "_Feed") -> None:
        if self._feeds.get(key) is feed:
            del self._feeds[key]


class _Feed:
    """One source of events, and those who get its answers; it ends with its source, or when the last one leaves."""

    def __init__(
        self,
        operations: Operations,
        backend: Backend,
        operation: Operation,
        context: Context,
        forget: Callable[["_Feed"], None],
    ) -> None:
        self._operations = operations
        self._operation = operation
        self._backend = backend.on_primary
        self._state = b""
        self._forget = forget
        self.subscribers: set[Subscriber] = set()
        self._opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._context = context
        self._task = asyncio.create_task(self._run())

    @property
    def is_open(self) -> bool:
        return self._opened.done()

    async def join(self, subscriber: Subscriber) -> None:
        self.subscribers.add(subscriber)
        await asyncio.shield(self._opened)

    def leave(self, subscriber: Subscriber) -> None:
        self.subscribers.discard(subscriber)
        if not self.subscribers:
            self._forget(self)
            self._task.cancel()

    async def _run(self) -> None:
        errors: Errors = []
        try:
            await self._pass_on()
        except Exception as error:  # whatever it is, subscribers are told
            if not self._opened.done():
                self._fail(error)
                return
            report = self._backend.report
            errors = [formatted(shown_error(error, report), report)]
        finally:
            self._forget(self)
        for subscriber in tuple(self.subscribers):
            subscriber.end(errors)

    async def _pass_on(self) -> None:
        source = await self._operations.subscribe(self._operation, self._context)
        try:
            if isinstance(source, States):
                self._state = (await self._answers(await anext(source)))[0]
            self._opened.set_result(None)
            async for events in source:
                for start in range(0, len(events), MAX_EXECUTED):
                    self._deliver(await self._answers(events[start : start + MAX_EXECUTED]))
                    await asyncio.sleep(0)
        finally:
            await source.aclose()

    async def _answers(self, events: Sequence[Any]) -> list[bytes]:
        # A context keeps what it has loaded, so each round has its own.
        results = await self._operations.execute_all(self._operation, self._context.renewed(self._backend), events)
        answer = partial(answer_of, report=self._backend.report, max_errors=self._operations.limits.max_errors)
        return [orjson.dumps(answer(result)) for result in results]

    def _deliver(self, answers: list[bytes]) -> None:
        if self._state:
            # Of a state, whoever does not ask for what has changed is not told.
            answers, self._state = [answer for answer in answers if answer != self._state], answers[-1]
        if answers:
            payloads = Payloads(answers)
            for subscriber in tuple(self.subscribers):
                subscriber.deliver(payloads)
            self._backend.report("events_delivered", count=len(answers) * len(self.subscribers))

    def _fail(self, error: Exception) -> None:
        report = self._backend.report
        self._opened.set_exception(error if isinstance(error, Refused) else Refused([shown_error(error, report)]))
        self._opened.exception()  # nobody may be waiting any more


def _key(variables: dict[str, Any] | None) -> bytes:
    try:
        return orjson.dumps(variables or {}, option=orjson.OPT_SORT_KEYS)
    except TypeError:
        raise Refused([GraphQLError("The variables are nested too deeply.")]) from None

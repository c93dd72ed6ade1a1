"""From an operation to the bytes of its answer: kept, shared with whoever asks the same, or executed."""

from dataclasses import dataclass
from functools import cache, partial

import orjson
from graphql import OperationType

from resolvers.answers import Answer, Answers, digest_of
from resolvers.identity import Identity, Scope
from resolvers.reading import Reads
from schema.context import Backend, Context
from schema.errors import answer_of
from schema.operations import Operation, Operations
from schema.trace import Trace


@dataclass(frozen=True)
class Encoded(Answer):
    """An answer as JSON; it has no data where the operation was not executed: its variables do not fit.

    `code` is that of its first error.
    """

    has_data: bool
    code: str | None


class Answering:
    """How every operation is answered that has one answer, whatever the transport."""

    def __init__(self, operations: Operations, backend: Backend, answers: Answers[Encoded]) -> None:
        self._operations = operations
        self._backend = backend
        self._answers = answers

    async def answer(self, operation: Operation, identity: Identity) -> Encoded:
        """The answer to a query or a mutation; Refused when it costs too much."""
        key = self._key(operation, identity)
        if (kept := self._kept(key, operation.trace)) is not None:
            return kept  # its cost was checked when it was made
        self._operations.check_cost(operation)
        return await self._traced(key, operation, identity)

    async def execute(self, operation: Operation, identity: Identity) -> Encoded:
        """The same for an operation whose cost is checked already."""
        key = self._key(operation, identity)
        return self._kept(key, operation.trace) or await self._traced(key, operation, identity)

    def _kept(self, key: bytes | None, trace: Trace) -> Encoded | None:
        kept = self._answers.kept(key)
        if kept is not None:
            trace.source = "kept"
        trace.lap("execute")
        return kept

    async def _traced(self, key: bytes | None, operation: Operation, identity: Identity) -> Encoded:
        trace = operation.trace
        try:
            answer = await self._computed(key, operation, identity)
        finally:
            trace.lap("encode" if trace.source == "computed" else "execute")
        if trace.source == "none":
            trace.source = "shared"
        if answer.code:
            trace.fail("errors" if answer.has_data else "refused", answer.code)
        return answer

    async def _computed(self, key: bytes | None, operation: Operation, identity: Identity) -> Encoded:
        if operation.kind is OperationType.MUTATION:
            return await self._compute(operation, identity, self._answers.begin())
        return await self._answers.get(key, partial(self._compute, operation, identity))

    async def _compute(self, operation: Operation, identity: Identity, reads: Reads) -> Encoded:
        result = await self._operations.execute(operation, Context(self._backend, identity, reads))
        answer = answer_of(result, self._backend.report, max_errors=self._operations.limits.max_errors)
        may_be_kept = operation.kind is OperationType.QUERY and not result.errors and not reads.is_personal
        code = answer["errors"][0]["extensions"]["code"] if "errors" in answer else None
        return Encoded(orjson.dumps(answer), may_be_kept, "data" in answer, code)

    def _key(self, operation: Operation, identity: Identity) -> bytes | None:
        """All that an answer depends on beside what it reads; None where it is for this request alone."""
        if operation.kind is OperationType.MUTATION or not self._answers.are_shared:
            return None
        request = operation.request
        asked = (request.query, request.name, request.variables or {}, _names(identity.scopes))
        try:
            return digest_of(orjson.dumps(asked, option=orjson.OPT_SORT_KEYS))
        except TypeError:  # the variables are nested too deeply
            return None


@cache
def _names(scopes: frozenset[Scope]) -> tuple[str, ...]:
    return tuple(sorted(scopes))

"""Several operations in one request: each is answered as if it had come alone, and all of them at the same time."""

from asyncio import gather
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from graphql import GraphQLError

from resolvers.errors import PodiumError
from schema.errors import formatted
from schema.operations import Operation, Operations, Refused
from schema.request import InvalidRequest, Request, request_of
from schema.trace import Trace
from schema.tracing import note_failure

Errors = list[GraphQLError]


async def answers(
    asked: Sequence[Any],
    operations: Operations,
    *,
    prepare: Callable[[Request, Trace], Operation],
    execute: Callable[[Operation], Awaitable[Any]],
    report: Callable[..., None],
) -> list[Any]:
    """The answers to requests in decoded JSON, in their order; what cannot be executed is answered with errors.

    They cost together what one request may cost; when that is too much, none of them is executed. The traces of those
    that are executed are reported by `execute`.
    """

    def refuse(trace: Trace, error: Exception) -> None:
        note_failure(trace, error)
        report("operation", trace=trace)

    prepared = [_prepared(given, prepare, refuse) for given in asked]
    try:
        operations.check_costs([it for it in prepared if isinstance(it, Operation)])
    except Refused as refused:
        for it in prepared:
            if isinstance(it, Operation):
                refuse(it.trace, refused)
        prepared = [refused.errors if isinstance(it, Operation) else it for it in prepared]
    executed = iter(await gather(*(execute(it) for it in prepared if isinstance(it, Operation))))
    return [
        next(executed) if isinstance(it, Operation) else {"errors": [formatted(error, report) for error in it]}
        for it in prepared
    ]


def _prepared(
    given: Any, prepare: Callable[[Request, Trace], Operation], refuse: Callable[[Trace, Exception], None]
) -> Operation | Errors:
    try:
        request = request_of(given)
    except InvalidRequest as invalid:
        return [GraphQLError(str(invalid))]
    trace = Trace()
    try:
        return prepare(request, trace)
    except (InvalidRequest, Refused, PodiumError) as error:
        refuse(trace, error)
        return _errors_of(error)


def _errors_of(error: InvalidRequest | Refused | PodiumError) -> Errors:
    if isinstance(error, Refused):
        return error.errors
    if isinstance(error, PodiumError):
        return [GraphQLError(error.message, original_error=error)]
    return [GraphQLError(str(error))]

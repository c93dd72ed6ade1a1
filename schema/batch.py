"""Several operations in one request: each is answered as if it had come alone, and all of them at the same time."""

from asyncio import gather
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from graphql import GraphQLError

from resolvers.errors import PodiumError
from schema.errors import formatted
from schema.operations import Operation, Operations, Refused
from schema.request import InvalidRequest, Request, request_of

Errors = list[GraphQLError]


async def answers(
    asked: Sequence[Any],
    operations: Operations,
    *,
    prepare: Callable[[Request], Operation],
    execute: Callable[[Operation], Awaitable[Any]],
    report: Callable[..., None],
) -> list[Any]:
    """The answers to requests in decoded JSON, in their order; what cannot be executed is answered with errors.

    They cost together what one request may cost; when that is too much, none of them is executed.
    """
    prepared = [_prepared(given, prepare) for given in asked]
    try:
        operations.check_costs([it for it in prepared if isinstance(it, Operation)])
    except Refused as refused:
        prepared = [refused.errors if isinstance(it, Operation) else it for it in prepared]
    executed = iter(await gather(*(execute(it) for it in prepared if isinstance(it, Operation))))
    return [
        next(executed) if isinstance(it, Operation) else {"errors": [formatted(error, report) for error in it]}
        for it in prepared
    ]


def _prepared(given: Any, prepare: Callable[[Request], Operation]) -> Operation | Errors:
    try:
        return prepare(request_of(given))
    except InvalidRequest as invalid:
        return [GraphQLError(str(invalid))]
    except Refused as refused:
        return refused.errors
    except PodiumError as error:
        return [GraphQLError(error.message, original_error=error)]

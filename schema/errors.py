"""Failures in the graph: what a client sees of them."""

from collections.abc import Callable
from typing import Any

from graphql import GraphQLError

from resolvers.errors import Internal, PodiumError

MAX_ERRORS = 20
MAX_MESSAGE_LENGTH = 1000  # messages quote the document


def formatted(error: GraphQLError, report: Callable[..., None]) -> dict[str, Any]:
    """An error as GraphQL has it, with `extensions.code`; what is a mistake of ours is reported and masked."""
    cause, shown = error.original_error, {**error.formatted, "message": error.message[:MAX_MESSAGE_LENGTH]}
    if cause is None or (error.path is None and not isinstance(cause, PodiumError)):
        return {**shown, "extensions": {"code": "GRAPHQL_INVALID", **(error.extensions or {})}}
    if not isinstance(cause, PodiumError):
        report("internal_error", error=cause)
        cause = Internal()
    return {**shown, "message": cause.message, "extensions": extensions(cause)}


def extensions(error: PodiumError) -> dict[str, str]:
    """What programs read of an error: its code, a hint what to do, and the field that is wrong."""
    given = {"code": error.code, "hint": error.hint, "field": error.field}
    return {name: value for name, value in given.items() if value is not None}

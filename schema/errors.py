"""Failures in the graph: what a client sees of them."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from graphql import ExecutionResult, GraphQLError

from resolvers.errors import Internal, PodiumError
from resolvers.times import format_time

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


def code_of(error: GraphQLError) -> str:
    """The `extensions.code` that `formatted` shows."""
    cause = error.original_error
    if isinstance(cause, PodiumError):
        return cause.code
    if cause is None or error.path is None:
        return str((error.extensions or {}).get("code", "GRAPHQL_INVALID"))
    return Internal.code


def extensions(error: PodiumError) -> dict[str, Any]:
    """What programs read of an error: its code, a hint what to do, and the field that is wrong."""
    given = {"code": error.code, "hint": error.hint, "field": error.field, **error.details}
    return {name: _shown(value) for name, value in given.items() if value is not None}


def _shown(value: Any) -> Any:
    return format_time(value) if isinstance(value, datetime) else value


def shown_error(error: Exception, report: Callable[..., None]) -> GraphQLError:
    """An error that no field has raised; what is a mistake of ours is reported and masked."""
    if not isinstance(error, PodiumError):
        report("internal_error", error=error)
        error = Internal()
    return GraphQLError(error.message, original_error=error)


def answer_of(result: ExecutionResult, report: Callable[..., None], *, max_errors: int) -> dict[str, Any]:
    """A result as GraphQL has it; without `data` where the operation was not executed: its variables do not fit."""
    answer: dict[str, Any] = {}
    if result.errors:
        answer["errors"] = [formatted(error, report) for error in result.errors[:max_errors]]
    if not result.errors or result.data is not None or any(error.path for error in result.errors):
        answer["data"] = result.data
    return answer

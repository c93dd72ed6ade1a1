"""Both executions of an operation, and how their answers are compared."""

import inspect
from collections.abc import Iterable
from typing import Any, NamedTuple

import orjson
from graphql import (
    DirectiveNode,
    DocumentNode,
    ExecutionResult,
    GraphQLSchema,
    NameNode,
    execute,
    get_operation_ast,
    get_variable_values,
)

from schema.execution import Plan

PROPAGATE_NO_ERRORS = DirectiveNode(name=NameNode(value="experimental_disableErrorPropagation"))

Answer = dict[str, Any]


class Question(NamedTuple):
    """An operation with what it is executed on; `root` makes what it begins with."""

    schema: GraphQLSchema
    document: DocumentNode
    variables: dict[str, Any]
    root: Any = lambda: None
    context: Any = lambda: None


async def by_reference(question: Question) -> Answer:
    """The answer of graphql-core."""
    schema, document, variables, root, context = question
    result: Any = execute(schema, document, root(), context(), variables)
    return _answer(await result if inspect.isawaitable(result) else result)


async def by_plan(question: Question) -> Answer:
    """The answer of a plan; that of the second execution, because the first one makes it."""
    schema, document, variables, root, context = question
    operation = get_operation_ast(document)
    assert operation
    values = get_variable_values(schema, operation.variable_definitions or (), variables, max_errors=50)
    if isinstance(values, list):
        return _answer(ExecutionResult(None, values))
    plan = Plan(schema, document, operation)
    assert plan.covers(values)
    for _ in range(2):
        results: Any = plan.execute([root()], context(), values)
        [result] = await results if inspect.isawaitable(results) else results
    return _answer(result)


async def assert_same(question: Question) -> None:
    """Fail unless both answers are the same, byte for byte."""
    expected, found = await by_reference(question), await by_plan(question)
    assert _encoded(found) == _encoded(expected)


async def assert_same_but_for_races(question: Question) -> None:
    """Fail unless both answers are the same, where what is awaited fails.

    Of several failures in a part of an answer that is null because of them, graphql-core tells those that came first:
    which ones and in which order depends on when each awaitable is done. One of them must be told, and none that is
    not among all that can be found there.
    """
    expected, found = await by_reference(question), await by_plan(question)
    assert _encoded(found["data"]) == _encoded(expected["data"])
    data = expected["data"]
    assert _nulls(data, found["errors"]) == _nulls(data, expected["errors"])
    everything = await by_reference(question._replace(document=_without_propagation(question.document)))
    possible = {_encoded(error) for error in (*everything["errors"], *expected["errors"])}
    assert {_encoded(error) for error in found["errors"]} <= possible


def _answer(result: ExecutionResult) -> Answer:
    return {"data": result.data, "errors": [error.formatted for error in result.errors or ()]}


def _encoded(value: Any) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_INDENT_2)


def _nulls(data: Any, errors: Iterable[dict[str, Any]]) -> set[tuple[Any, ...]]:
    """Where the answer is null because of these errors."""
    return {_null_on(data, error["path"]) for error in errors if "path" in error}


def _null_on(data: Any, path: list[Any]) -> tuple[Any, ...]:
    for depth, key in enumerate(path):
        if data is None:
            return tuple(path[:depth])
        data = data[key]
    return tuple(path)


def _without_propagation(document: DocumentNode) -> DocumentNode:
    operation, *fragments = document.definitions
    changed: Any = operation.__class__(
        **{key: getattr(operation, key) for key in operation.keys if key != "directives"},
        directives=(PROPAGATE_NO_ERRORS,),
    )
    return DocumentNode(definitions=(changed, *fragments))

"""From a document to what can be executed: parsed, bounded and validated once, then one operation of it chosen."""

from asyncio import CancelledError, gather
from collections.abc import Awaitable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple, cast

from graphql import (
    DocumentNode,
    ExecutionResult,
    Executor,
    GraphQLError,
    GraphQLSchema,
    GraphQLSyntaxError,
    NoSchemaIntrospectionCustomRule,
    OperationDefinitionNode,
    OperationType,
    create_source_event_stream,
    execute,
    get_operation_ast,
    parse,
    specified_rules,
    validate,
)

from resolvers.sources import States, Stream
from schema.context import Context
from schema.cost import check_cost
from schema.limits import Limits, check_limits, too_complex
from schema.request import Request

# A parsed document takes about 100 times its text; what is longer, or more, is parsed again.
_MAX_CACHED_CHARACTERS = 5_000
_MAX_CACHED_DOCUMENTS = 100


Source = Stream[Any] | States[Any]


class Operation(NamedTuple):
    """An operation that fits the schema and its limits; its variables are not looked at yet."""

    request: Request
    document: DocumentNode
    definition: OperationDefinitionNode

    @property
    def kind(self) -> OperationType:
        """Query, mutation or subscription."""
        return self.definition.operation


class Refused(Exception):
    """The document, or the operation, is refused with these errors."""

    def __init__(self, errors: list[GraphQLError]) -> None:
        super().__init__("refused")
        self.errors = errors


class Operations:
    """Prepares operations of one schema, and executes queries and mutations."""

    def __init__(self, schema: GraphQLSchema, *, limits: Limits, introspection: bool = True) -> None:
        self.schema = schema
        self.limits = limits
        self.hides_suggestions = not introspection
        self._rules = specified_rules if introspection else [*specified_rules, NoSchemaIntrospectionCustomRule]
        self._prepare_cached = lru_cache(maxsize=_MAX_CACHED_DOCUMENTS)(self._prepare_uncached)

    def prepare(self, request: Request) -> Operation:
        """The operation that is meant; Refused when its document cannot be executed."""
        prepare = self._prepare_cached if len(request.query) <= _MAX_CACHED_CHARACTERS else self._prepare_uncached
        document, errors = prepare(request.query)
        if document is None:
            raise self._refused(errors)
        definition = get_operation_ast(document, request.name)
        if definition is None:
            raise Refused([GraphQLError("Name one of the operations as operationName.")])
        return Operation(request, document, definition)

    def check_cost(self, operation: Operation) -> None:
        """Raise Refused for an operation that is too dear."""
        request, document = operation.request, operation.document
        if errors := check_cost(self.schema, document, operation.definition, request.variables, self.limits):
            raise Refused(errors)

    async def execute(self, operation: Operation, context: Context) -> ExecutionResult:
        """Execute a query or a mutation."""
        return (await self.execute_all(operation, context, [None]))[0]

    async def execute_all(self, operation: Operation, context: Context, roots: Sequence[Any]) -> list[ExecutionResult]:
        """The answers of a subscription to events of its source; what they load is loaded for all of them at once."""
        results = [self._execute(operation, context, root) for root in roots]
        waiting = [result for result in results if isinstance(result, Awaitable)]
        try:
            done = iter(await gather(*waiting)) if len(waiting) > 1 else iter([await result for result in waiting])
        except CancelledError:
            context.cancel_loads()
            raise
        return [next(done) if isinstance(result, Awaitable) else result for result in results]

    async def subscribe(self, operation: Operation, context: Context) -> Source:
        """The source of a subscription: its events, by round. Refused when it cannot be opened."""
        executor = Executor.build(
            self.schema,
            operation.document,
            context_value=context,
            raw_variable_values=operation.request.variables,
            operation_name=operation.request.name,
            hide_suggestions=self.hides_suggestions,
        )
        if isinstance(executor, list):
            raise self._refused(executor)
        source: Any = create_source_event_stream(executor)
        source = await source if isinstance(source, Awaitable) else source
        if isinstance(source, ExecutionResult):
            raise self._refused(source.errors or [])
        return cast(Source, source)

    def _refused(self, errors: list[GraphQLError]) -> Refused:
        return Refused(errors[: self.limits.max_errors])

    def _execute(self, operation: Operation, context: Context, root: Any) -> Any:
        return execute(
            self.schema,
            operation.document,
            root_value=root,
            context_value=context,
            variable_values=operation.request.variables,
            operation_name=operation.request.name,
            hide_suggestions=self.hides_suggestions,
        )

    def _prepare_uncached(self, query: str) -> tuple[DocumentNode | None, list[GraphQLError]]:
        limits = self.limits
        try:
            document = parse(query, max_tokens=limits.max_tokens)
            errors = check_limits(document, limits) or validate(
                self.schema,
                document,
                self._rules,
                max_errors=limits.max_errors,
                hide_suggestions=self.hides_suggestions,
            )
        except GraphQLSyntaxError as error:
            if f"more than {limits.max_tokens} tokens" in error.message:
                error.extensions = too_complex("maxTokens", limits.max_tokens)
            return None, [error]
        except RecursionError:
            return None, [GraphQLError("The document is nested too deeply.", extensions={"code": "TOO_COMPLEX"})]
        return (None, errors) if errors else (document, [])

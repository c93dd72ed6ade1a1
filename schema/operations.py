"""From a document to what can be executed: parsed, bounded and validated once, then one operation of it chosen."""

from asyncio import CancelledError, gather
from collections.abc import Awaitable, Sequence
from typing import Any, NamedTuple, TypeVar, cast

from cachetools import LRUCache
from graphql import (
    DocumentNode,
    ExecutionResult,
    Executor,
    GraphQLError,
    GraphQLSchema,
    OperationDefinitionNode,
    OperationType,
    create_source_event_stream,
    execute,
    get_operation_ast,
    get_variable_values,
)
from graphql.execution.values import VariableValues

from resolvers.sources import States, Stream
from schema.context import Context
from schema.cost import OperationCost
from schema.execution import Plan
from schema.limits import Limits, check_variables, excess
from schema.request import Request, hash_of
from schema.trace import Trace
from schema.validation import DocumentReader

# Of memory, for documents that were looked at already: their text, the tree of it, and the plans of its operations.
MAX_DOCUMENTS_BYTES = 64 << 20
HASH_LENGTH = 12  # digits that tell documents apart in logs
_BYTES_PER_CHARACTER = 300  # 140 to 260 were measured, with one plan


Result = TypeVar("Result")

_NO_VARIABLES = VariableValues({}, {})

Source = Stream[Any] | States[Any]


class Operation(NamedTuple):
    """An operation that fits the schema and its limits; its variables are not looked at yet."""

    request: Request
    document: DocumentNode
    definition: OperationDefinitionNode
    plan: Plan
    costs: OperationCost
    trace: Trace

    @property
    def cost(self) -> int:
        """The objects that the answer can have."""
        return self.costs.objects(self.request.variables)

    @property
    def kind(self) -> OperationType:
        """Query, mutation or subscription."""
        return self.definition.operation


class Refused(Exception):
    """The document, or the operation, is refused with these errors."""

    def __init__(self, errors: list[GraphQLError]) -> None:
        super().__init__("refused")
        self.errors = errors


class Document:
    """A document that was looked at: what is wrong with it, or how its operations are executed."""

    def __init__(self, schema: GraphQLSchema, text: str, node: DocumentNode | None, errors: list[GraphQLError]) -> None:
        self.errors = errors
        self.size = _BYTES_PER_CHARACTER * len(text)
        self.hash = hash_of(text)[:HASH_LENGTH]
        self._schema = schema
        self._node = node
        self._operations: dict[str | None, tuple[OperationDefinitionNode, Plan, OperationCost]] = {}

    def operation(self, request: Request, trace: Trace) -> Operation:
        """The operation that is meant; Refused when there is none."""
        if self._node is None:
            raise Refused(self.errors)
        if request.name not in self._operations:
            definition = get_operation_ast(self._node, request.name)
            if definition is None:
                raise Refused([GraphQLError("Name one of the operations as operationName.")])
            asked = (self._schema, self._node, definition)
            self._operations[request.name] = (definition, Plan(*asked), OperationCost(*asked))
        known = self._operations[request.name]
        trace.understood(known[0])
        return Operation(request, self._node, *known, trace)


class Operations:
    """Prepares operations of one schema, and executes queries and mutations."""

    def __init__(self, schema: GraphQLSchema, *, limits: Limits, introspection: bool = True) -> None:
        self.schema = schema
        self.limits = limits
        self.hides_suggestions = not introspection
        self._reader = DocumentReader(schema, limits=limits, introspection=introspection)
        self._documents: LRUCache[str, Document] = LRUCache(MAX_DOCUMENTS_BYTES, lambda document: document.size)

    def prepare(self, request: Request, trace: Trace) -> Operation:
        """The operation that is meant; Refused when its document cannot be executed."""
        document = self._document(request.query)
        trace.document = document.hash
        trace.lap("parse")
        operation = document.operation(request, trace)
        trace.lap("plan")
        return operation

    def errors_in(self, text: str) -> list[GraphQLError]:
        """Why a document cannot be executed; empty where its operations can."""
        return self._reader.read(text)[1]

    def errors_of(self, document: DocumentNode) -> list[GraphQLError]:
        """What is too large in a parsed document, or else does not fit the schema."""
        return self._reader.errors_of(document)

    def check_cost(self, operation: Operation) -> None:
        """Raise Refused for an operation that is too dear."""
        trace, limits, hint = operation.trace, self.limits, ": ask for smaller pages"
        errors = check_variables(operation.request.variables, limits.max_variable_values)
        if not errors:
            trace.cost = operation.cost
            errors = excess("maxCost", "cost", trace.cost, limits.max_cost, operation.definition, hint)
        trace.lap("plan")
        if errors:
            raise Refused(errors)

    def check_costs(self, operations: Sequence[Operation]) -> None:
        """Raise Refused for operations that are too dear together."""
        cost = sum(operation.cost for operation in operations)
        hint = ": send fewer operations at once, or ask for smaller pages"
        if errors := excess("maxCost", "cost of the batch", cost, self.limits.max_cost, None, hint):
            raise Refused(errors)

    async def execute(self, operation: Operation, context: Context) -> ExecutionResult:
        """Execute a query or a mutation."""
        try:
            return (await self.execute_all(operation, context, [None]))[0]
        finally:
            operation.trace.executed(context.reads)

    async def execute_all(self, operation: Operation, context: Context, roots: Sequence[Any]) -> list[ExecutionResult]:
        """The answers of a subscription to events of its source; what they load is loaded for all of them at once."""
        if operation.plan.is_covered:
            variables = self._variables(operation)
            if isinstance(variables, list):
                return [ExecutionResult(None, variables) for _ in roots]
            if operation.plan.covers(variables):
                planned = operation.plan.execute(roots, context, variables)
                return planned if isinstance(planned, list) else await _cancelling_loads(planned, context)
        results = [self._execute(operation, context, root) for root in roots]
        waiting = [result for result in results if isinstance(result, Awaitable)]
        done = iter(await _cancelling_loads(gather(*waiting), context))
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

    def _document(self, text: str) -> Document:
        document = self._documents.get(text)
        if document is None:
            document = Document(self.schema, text, *self._reader.read(text))
            if document.size <= self._documents.maxsize:
                self._documents[text] = document
        return document

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

    def _variables(self, operation: Operation) -> VariableValues | list[GraphQLError]:
        definitions = operation.definition.variable_definitions
        if not definitions:
            return _NO_VARIABLES
        given = operation.request.variables or {}
        return get_variable_values(
            self.schema,
            definitions,
            given,
            max_errors=self.limits.max_errors,
            hide_suggestions=self.hides_suggestions,
        )


async def _cancelling_loads(work: Awaitable[Result], context: Context) -> Result:
    """The result of this work; what it loads has tasks of its own, which end with it."""
    try:
        return await work
    except CancelledError:
        context.cancel_loads()
        raise

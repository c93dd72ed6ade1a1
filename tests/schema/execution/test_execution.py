"""What plans promise beside the answer of graphql-core."""

import ast
import asyncio
from collections.abc import Callable
from enum import Enum
from inspect import isawaitable
from pathlib import Path
from typing import Any

import pytest
import strawberry
from graphql import GraphQLSchema, build_schema, get_introspection_query, get_operation_ast, get_variable_values, parse
from strawberry import Info
from strawberry.extensions.field_extension import FieldExtension

import schema.execution
from schema.execution import Plan
from schema.execution.resolving import ColumnInfo
from tests.schema.execution.comparing import Question, assert_same, by_plan
from tests.schema.execution.library import LIBRARY, Book, ShelfRow, library_context
from tests.schema.execution.schemas import animals

SMALL = build_schema("""
  type Query { slow: Thing quick: Thing things: [Thing!]! time: Time times: [Time] }
  type Thing { name: String! next: Thing things: [Thing] }
  type Mutation { change: Thing }
  scalar Time
""")


class Thing:
    """Something with a name, and what it is given beside."""

    def __init__(self, name: str, **given: Any) -> None:
        self.name = name
        self.__dict__.update(given)


def planned(schema: GraphQLSchema, text: str, name: str | None = None) -> Plan:
    """The plan of an operation."""
    document = parse(text)
    operation = get_operation_ast(document, name)
    assert operation
    return Plan(schema, document, operation)


def values_of(plan: Plan, **given: Any) -> Any:
    """The values of variables."""
    return get_variable_values(plan.schema, plan.operation.variable_definitions or (), given)


async def executed(plan: Plan, *roots: Any, context: Any = None, **variables: Any) -> list[Any]:
    """The answers for some roots."""
    results: Any = plan.execute(roots, context, values_of(plan, **variables))
    return list(await results if isawaitable(results) else results)


def test_no_name_of_podium_is_known_to_the_execution() -> None:
    for file in Path(schema.execution.__path__[0]).glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            module = getattr(node, "module", None) if isinstance(node, ast.ImportFrom) else None
            if module and module.split(".")[0] in ("schema", "resolvers", "db", "gateway"):
                assert module.startswith("schema.execution.")


def test_what_needs_no_awaiting_is_answered_at_once() -> None:
    plan = planned(SMALL, "{ things { name } }")
    [result] = plan.execute([Thing("root", things=[Thing("a"), Thing("b")])], None, values_of(plan))
    assert result.data == {"things": [{"name": "a"}, {"name": "b"}]}


@pytest.mark.parametrize(
    "text",
    [
        "mutation { change { name } }",
        "query Q @odd { things { name } }",
        "{ things { name @odd } }",
        "query Q($a: Boolean!) { things { ...F(a: $a) } } fragment F($a: Boolean!) on Thing { name @skip(if: $a) }",
    ],
)
def test_what_a_plan_does_not_cover_it_says(text: str) -> None:
    document = parse(text, experimental_fragment_arguments=True)
    operation = get_operation_ast(document)
    assert operation
    assert not Plan(SMALL, document, operation).is_covered


def test_a_condition_that_is_no_boolean_is_not_covered() -> None:
    plan = planned(SMALL, "query Q($a: Boolean) { things { name @skip(if: $a) } }")
    assert plan.is_covered
    assert not plan.covers(values_of(plan))
    assert plan.covers(values_of(plan, a=True))


async def test_each_combination_of_conditions_has_its_own_variant() -> None:
    plan = planned(
        SMALL, "query Q($a: Boolean!, $b: Boolean!) { things { name @skip(if: $a) n: name @include(if: $b) } }"
    )
    root = Thing("root", things=[Thing("x")])
    found = [(await executed(plan, root, a=a, b=b))[0].data["things"][0] for a in (True, False) for b in (True, False)]
    assert found == [{"n": "x"}, {}, {"name": "x", "n": "x"}, {"name": "x"}]


async def test_variants_are_bounded() -> None:
    conditions = [f"c{n}" for n in range(6)]
    variables = ", ".join(f"${name}: Boolean!" for name in conditions)
    fields = " ".join(f"{name}: name @skip(if: ${name})" for name in conditions)
    plan = planned(SMALL, f"query Q({variables}) {{ things {{ {fields} }} }}")
    for number in range(64):
        given = {name: bool(number >> n & 1) for n, name in enumerate(conditions)}
        [result] = await executed(plan, Thing("root", things=[Thing("x")]), **given)
        assert result.data == {"things": [{name: "x" for name in conditions if not given[name]}]}
    assert len(plan._variants) <= schema.execution.plan.MAX_VARIANTS


async def test_a_slow_field_does_not_keep_the_parts_of_another_waiting() -> None:
    reached = asyncio.Event()

    async def slow() -> Thing:
        await reached.wait()
        return Thing("slow")

    async def second() -> Thing:
        reached.set()
        return Thing("second")

    async def quick() -> Thing:
        return Thing("quick", next=second())

    plan = planned(SMALL, "{ slow { name } quick { next { name } } }")
    async with asyncio.timeout(5):
        [result] = await executed(plan, Thing("root", slow=slow(), quick=quick()))
    assert result.data == {"slow": {"name": "slow"}, "quick": {"next": {"name": "second"}}}


async def test_cancelling_cancels_what_is_awaited() -> None:
    cancelled = []

    def hanging(name: str) -> Callable[[], Any]:
        async def hang() -> None:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                cancelled.append(name)
                raise

        return hang

    plan = planned(SMALL, "{ slow { name } quick { name } }")
    root = Thing("root", slow=hanging("slow")(), quick=hanging("quick")())
    task = asyncio.ensure_future(executed(plan, root))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert sorted(cancelled) == ["quick", "slow"]


async def test_a_future_that_somebody_cancels_cancels_the_execution() -> None:
    future = asyncio.get_running_loop().create_future()
    future.cancel()
    plan = planned(SMALL, "{ things { name next { name } } }")
    with pytest.raises(asyncio.CancelledError):
        await executed(plan, Thing("root", things=[Thing("a", next=future), Thing("b", next=future)]))


async def test_a_check_of_types_that_somebody_cancels_cancels_the_execution() -> None:
    future = asyncio.get_running_loop().create_future()
    future.cancel()
    small: Any = build_schema("type Query { things: [Thing] } type Thing { name: String }")
    small.type_map["Thing"].is_type_of = lambda *_: future
    with pytest.raises(asyncio.CancelledError):
        await executed(planned(small, "{ things { name } }"), Thing("root", things=[Thing("a"), Thing("b")]))


async def test_events_are_executed_together_and_answered_apart() -> None:
    plan = planned(LIBRARY, "subscription { published { number author { name } requiredAuthor { name } } }")
    events = [Book.make(number) for number in (1, 6, 4)]
    first, second, third = await executed(plan, *events, context=library_context())
    assert first.errors is None
    assert first.data == {
        "published": {"number": 1, "author": {"name": "Author 1"}, "requiredAuthor": {"name": "Author 1"}}
    }
    assert second.data is None
    assert [error.path for error in second.errors] == [["published", "requiredAuthor"]]
    assert third.data is None
    assert [error.message for error in third.errors] == ["author 4 is lost", "author 4 is lost"]


async def test_a_loader_is_asked_once_for_all_objects() -> None:
    asked: list[list[int]] = []

    async def load(numbers: list[int]) -> list[Any]:
        asked.append(numbers)
        return [None for _ in numbers]

    context = library_context()
    context["authors"].load_fn = load
    plan = planned(LIBRARY, "{ books(first: 5) { items { author { name } again: author { id } } } }")
    [result] = await executed(plan, None, context=context)
    assert result.errors is None
    assert asked == [[0, 1, 2, 3, 4]]


@pytest.mark.parametrize("first", [2, 3])
async def test_a_field_that_finds_all_its_values_at_once_is_asked_once(first: int) -> None:
    plan = planned(LIBRARY, "query Q($first: Int!) { books(first: $first) { items { shelf } } }")
    [result] = await executed(plan, None, first=first)
    assert result.errors is None
    assert result.data == {"books": {"items": [{"shelf": "shelf 0"}, {"shelf": None}, {"shelf": "shelf 2"}][:first]}}


async def test_where_not_all_can_be_found_at_once_each_is_by_itself() -> None:
    [result] = await executed(planned(LIBRARY, "{ books(first: 4) { items { number shelf } } }"), None)
    assert [item["shelf"] for item in result.data["books"]["items"]] == ["shelf 0", None, "shelf 2", None]
    assert [(error.path, error.message) for error in result.errors] == [
        (["books", "items", 3, "shelf"], "book 3 is nowhere")
    ]


async def test_a_class_says_how_its_attributes_are_read_faster() -> None:
    ShelfRow.together.clear()
    plan = planned(LIBRARY, "{ shelves { label w: width } }")
    for _ in range(2):
        [result] = await executed(plan, None)
        assert result.data == {"shelves": [{"label": "a", "w": 1}, {"label": "b", "w": None}]}
    assert ShelfRow.together == [2, 2]


@pytest.mark.parametrize("values", [[1, 2, None], [1, "odd", 3], []])
async def test_a_scalar_that_is_faster_for_many_is_asked_once_and_otherwise_for_each(values: list[Any]) -> None:
    asked = []

    class Doubling:
        def __call__(self, value: Any) -> int:
            asked.append(value)
            return int(value * 2) if isinstance(value, int) else 0

        def many(self, values: list[Any]) -> list[Any] | None:
            if any(isinstance(value, str) for value in values):
                return None
            return [None if value is None else value * 2 for value in values]

    small = build_schema("type Query { times: [Time] } scalar Time")
    small.type_map["Time"].coerce_output_value = Doubling()  # type: ignore[attr-defined]
    [result] = await executed(planned(small, "{ times }"), Thing("root", times=values))
    assert result.data == {"times": [None if v is None else v * 2 if isinstance(v, int) else 0 for v in values]}
    assert asked == (values if "odd" in values else [])


class Shelved(Enum):
    """Where a book is."""

    YES = "yes"
    NO = "no"


async def test_arguments_that_are_the_same_for_each_request_are_given_as_the_function_takes_them() -> None:
    given, remembered = [], []

    class Noting(FieldExtension):
        def resolve(self, next_: Any, source: Any, info: Info, **kwargs: Any) -> Any:
            return f"{info.field_name}: {next_(source, info, **kwargs)}"

    @strawberry.type
    class Query:
        @strawberry.field(extensions=[Noting()])
        def find_books(self, info: Info, shelved_in: strawberry.enum(Shelved), most: int | None = 3) -> str:  # type: ignore[valid-type]
            given.append((self, shelved_in, most))
            assert isinstance(info, ColumnInfo)
            remembered.append(info.memory.setdefault("asked", len(remembered)))
            return str(info.path.key)

    schema = strawberry.Schema(Query)._schema
    constant = planned(schema, "{ a: findBooks(shelvedIn: YES) }")
    for _ in range(2):
        [result] = await executed(constant, "root")
        assert (result.data, result.errors) == ({"a": "findBooks: a"}, None)
    assert given == [("root", Shelved.YES, 3)] * 2
    assert remembered == [0, 0]


async def test_introspection_has_the_same_answer() -> None:
    await assert_same(Question(animals(), parse(get_introspection_query(specified_by_url=True)), {}))


async def test_a_wrong_variable_is_refused_before_anything_is_executed() -> None:
    document = parse("query Q($first: Int!) { books(first: $first) { size } }")
    await assert_same(Question(LIBRARY, document, {"first": "x"}))
    assert (await by_plan(Question(LIBRARY, document, {"first": "x"})))["data"] is None

"""Plans answer as graphql-core does: documents made up from schemas, on made-up data, executed by both."""

import gc
import warnings
from collections.abc import Iterator
from random import Random

import pytest

from tests.schema.execution.comparing import Question, assert_same, assert_same_but_for_races
from tests.schema.execution.documents import DocumentMaker
from tests.schema.execution.library import DATES, LIBRARY, library_context
from tests.schema.execution.made_up import World
from tests.schema.execution.schemas import LITERALS, animals

SCHEMA = animals()
SHARE = 10  # documents in one test


@pytest.mark.parametrize("part", range(30))
async def test_a_made_up_document_has_the_same_answer(part: int, document_factor: int) -> None:
    for seed in range(part * SHARE * document_factor, (part + 1) * SHARE * document_factor):
        await assert_same(_question(seed, is_async=False))


@pytest.fixture
def unawaited() -> Iterator[None]:
    """graphql-core leaves coroutines behind when something fails; they are swept up where nobody minds."""
    gc.disable()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        yield
        gc.collect()
    gc.enable()


@pytest.mark.usefixtures("unawaited")
@pytest.mark.parametrize("part", range(20))
async def test_a_made_up_document_has_the_same_answer_when_values_come_late(part: int, document_factor: int) -> None:
    for seed in range(part * SHARE * document_factor, (part + 1) * SHARE * document_factor):
        await assert_same_but_for_races(_question(seed, is_async=True))


@pytest.mark.usefixtures("unawaited")
@pytest.mark.parametrize("part", range(20))
async def test_a_made_up_document_has_the_same_answer_from_strawberry_resolvers(
    part: int, document_factor: int
) -> None:
    for seed in range(part * SHARE * document_factor, (part + 1) * SHARE * document_factor):
        made = DocumentMaker(LIBRARY, DATES, Random(seed)).make()
        await assert_same_but_for_races(Question(LIBRARY, made.document, made.variables, context=library_context))


def _question(seed: int, *, is_async: bool) -> Question:
    random = Random(seed)
    made = DocumentMaker(SCHEMA, LITERALS, random).make()
    world = World(SCHEMA, seed, defects=random.choice((0, 0.02, 0.1)), is_async=is_async)
    return Question(SCHEMA, made.document, made.variables, root=world.root)

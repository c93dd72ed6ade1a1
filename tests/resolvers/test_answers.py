"""Answers that many ask for: what is computed once, what is kept, for how long, and in how much memory."""

import asyncio
import gc
import tracemalloc
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import orjson
import pytest

from db.statements import TABLES
from resolvers.answers import LARGEST_PART, Answer, AnswerMemory, Answers
from resolvers.reading import ANY_S, Reads
from resolvers.versions import PRESENT_S, TRUST_S, Versions

KEY = b"question"
MIB = 1 << 20


class Clock:
    """A clock that stands still."""

    now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


class World:
    """A table `results` with a value, and those who ask for it."""

    def __init__(self, max_bytes: int = MIB) -> None:
        self.clock = Clock()
        self.versions = Versions(self.clock)
        self.versions.line_answers(datetime.now(UTC))
        self.memory = AnswerMemory(max_bytes)
        self.answers: Answers[Answer] = Answers(self.versions, self.memory, self.clock)
        self.value = 0
        self.computed = 0
        self.may_go_on = asyncio.Event()
        self.may_go_on.set()

    def change(self, *tables: str) -> None:
        """Commit another value."""
        self.value += 1
        self.versions.bump(tables or ("results",))

    async def compute(self, reads: Reads) -> Answer:
        """Read the value, and take a while to answer it."""
        self.computed += 1
        reads.note(("results", "regions"))
        value = self.value
        await self.may_go_on.wait()
        return Answer(b"%d" % value, may_be_kept=True)

    async def ask(self, compute: Callable[[Reads], Awaitable[Answer]] | None = None) -> int:
        """What is answered."""
        return int((await self.answers.get(KEY, compute or self.compute)).body)

    async def asking(self, number: int = 1) -> list[asyncio.Task[int]]:
        """So many who have asked already, and wait."""
        self.may_go_on.clear()
        tasks = [asyncio.create_task(self.ask()) for _ in range(number)]
        while not self.computed:
            await asyncio.sleep(0)
        for _ in range(3):
            await asyncio.sleep(0)
        return tasks


@pytest.fixture
async def world() -> World:
    """One in which changes are heard of."""
    return World()


async def test_an_answer_is_kept_until_a_table_changes_that_it_has_read(world: World) -> None:
    assert [await world.ask(), await world.ask()] == [0, 0]
    world.change("audit_log")
    assert (await world.ask(), world.computed) == (0, 1)
    for table in ("results", "regions"):
        world.change(table)
        assert await world.ask() == world.value
        assert await world.ask() == world.value
    assert world.computed == 3
    assert world.memory.counts == {"kept": 4, "computed": 3, "shared": 0}


async def test_answers_to_different_questions_are_different(world: World) -> None:
    async def other(reads: Reads) -> Answer:
        return Answer(b"7", may_be_kept=True)

    assert await world.ask() == 0
    assert (await world.answers.get(b"other", other)).body == b"7"
    assert await world.ask() == 0


async def test_a_hundred_who_ask_at_once_share_one_computation(world: World) -> None:
    asking = await world.asking(100)
    world.may_go_on.set()
    assert set(await asyncio.gather(*asking)) == {0}
    assert (world.computed, world.memory.counts["shared"]) == (1, 99)


async def test_whoever_asks_after_a_change_does_not_share_what_was_read_before_it(world: World) -> None:
    (early,) = await world.asking()
    world.change()
    late = [asyncio.create_task(world.ask()) for _ in range(10)]
    await asyncio.sleep(0)
    world.may_go_on.set()
    assert await asyncio.gather(early, *late) == [0] + [1] * 10
    assert world.computed == 2
    assert (await world.ask(), world.computed) == (1, 2)


async def test_while_changes_go_on_a_question_is_computed_once_at_a_time(world: World) -> None:
    running = 0

    async def compute(reads: Reads) -> Answer:
        nonlocal running
        running += 1
        assert running == 1
        answer = await world.compute(reads)
        for _ in range(3):
            await asyncio.sleep(0)
        running -= 1
        return answer

    async def ask() -> None:
        least = world.value
        assert await world.ask(compute) >= least

    asking = []
    for _ in range(200):
        asking.append(asyncio.create_task(ask()))
        await asyncio.sleep(0)
        world.change()
    await asyncio.gather(*asking)
    assert 10 < world.computed <= 100


async def test_whoever_waited_for_an_old_computation_does_not_wait_for_a_third(world: World) -> None:
    (early,) = await world.asking()
    world.change()
    late = [asyncio.create_task(world.ask()) for _ in range(2)]
    await asyncio.sleep(0)

    async def compute(reads: Reads) -> Answer:
        answer = await world.compute(reads)
        world.change()
        return answer

    world.may_go_on.set()
    assert await early == 0
    third = asyncio.create_task(world.ask(compute))
    assert await asyncio.gather(*late) == [1, 1]
    assert (await third, world.computed) == (1, 2)


async def test_a_change_before_a_table_is_read_does_no_harm(world: World) -> None:
    async def compute(reads: Reads) -> Answer:
        await world.may_go_on.wait()
        return await world.compute(reads)

    world.may_go_on.clear()
    early = asyncio.create_task(world.ask(compute))
    await asyncio.sleep(0)
    world.change()
    late = asyncio.create_task(world.ask(compute))
    await asyncio.sleep(0)
    world.may_go_on.set()
    assert await asyncio.gather(early, late) == [1, 1]
    assert (await world.ask(), world.computed) == (1, 1)


async def test_what_changed_while_it_was_computed_is_not_kept(world: World) -> None:
    (asking,) = await world.asking()
    world.change()
    world.may_go_on.set()
    assert await asking == 0
    assert (await world.ask(), world.computed) == (1, 2)


async def test_when_whoever_computes_leaves_the_next_one_who_waits_does_it(world: World) -> None:
    first, second, *others = await world.asking(5)
    first.cancel()
    second.cancel()
    await asyncio.wait([first, second])
    world.may_go_on.set()
    assert await asyncio.gather(*others) == [0, 0, 0]
    assert world.computed == 2


async def test_when_one_who_waits_leaves_the_others_are_answered(world: World) -> None:
    first, second, third = await world.asking(3)
    second.cancel()
    await asyncio.wait([second])
    world.may_go_on.set()
    assert await asyncio.gather(first, third) == [0, 0]
    assert world.computed == 1


async def test_an_error_is_everybodys_and_is_not_kept(world: World) -> None:
    async def fail(reads: Reads) -> Answer:
        await world.compute(reads)
        raise LookupError

    world.may_go_on.clear()
    asking = [asyncio.create_task(world.ask(fail)) for _ in range(3)]
    await asyncio.sleep(0)
    world.may_go_on.set()
    assert [type(error) for error in await asyncio.gather(*asking, return_exceptions=True)] == [LookupError] * 3
    assert world.computed == 1
    assert (await world.ask(), world.computed) == (0, 2)


async def test_an_answer_that_tells_of_a_failure_is_shared_and_not_kept(world: World) -> None:
    async def tell(reads: Reads) -> Answer:
        return Answer((await world.compute(reads)).body, may_be_kept=False)

    world.may_go_on.clear()
    asking = [asyncio.create_task(world.ask(tell)) for _ in range(3)]
    await asyncio.sleep(0)
    world.may_go_on.set()
    assert await asyncio.gather(*asking) == [0, 0, 0]
    assert world.computed == 1
    assert (await world.ask(tell), world.computed) == (0, 2)


async def test_a_personal_answer_is_nobody_elses(world: World) -> None:
    async def answer_one(reads: Reads) -> Answer:
        await world.compute(reads)
        reads.is_personal = True
        return Answer(b"%d" % world.computed, may_be_kept=True)

    world.may_go_on.clear()
    asking = [asyncio.create_task(world.ask(answer_one)) for _ in range(5)]
    await asyncio.sleep(0)
    world.may_go_on.set()
    await asyncio.gather(*asking)
    assert (world.computed, world.memory.counts["shared"], len(world.memory)) == (5, 0, 0)
    await world.ask(answer_one)
    assert world.computed == 6


@pytest.mark.parametrize(("is_of_the_present", "lasts_s"), [(True, PRESENT_S), (False, ANY_S)])
async def test_an_answer_lasts_so_long_even_if_nothing_changes(
    world: World, is_of_the_present: bool, lasts_s: float
) -> None:
    async def compute(reads: Reads) -> Answer:
        reads.is_of_the_present = is_of_the_present
        world.clock.now_s += 0.5  # a computation takes its time, and its answer is of its beginning
        return await world.compute(reads)

    began_s = world.clock.now_s
    await world.ask(compute)
    while world.clock.now_s < began_s + lasts_s:
        world.versions.line_answers(datetime.now(UTC))
        assert await world.ask(compute) == 0
        assert world.computed == 1
        world.clock.now_s += 0.25
    await world.ask(compute)
    assert world.computed == 2


async def test_nobody_joins_a_computation_of_a_present_time_that_is_past(world: World) -> None:
    async def compute(reads: Reads) -> Answer:
        reads.is_of_the_present = True
        return await world.compute(reads)

    world.may_go_on.clear()
    early = asyncio.create_task(world.ask(compute))
    await asyncio.sleep(0)
    world.clock.now_s += PRESENT_S
    late = asyncio.create_task(world.ask(compute))
    await asyncio.sleep(0)
    world.may_go_on.set()
    assert await asyncio.gather(early, late) == [0, 0]
    assert world.computed == 2


async def test_without_the_line_nothing_is_kept_and_nothing_is_shared(world: World) -> None:
    await world.ask()
    world.versions.line_is_lost()
    world.value = 1  # by somebody else, of whom nobody tells
    asking = await world.asking(3)
    world.may_go_on.set()
    assert await asyncio.gather(*asking) == [1, 1, 1]
    assert (world.computed, len(world.memory)) == (4, 1)
    world.versions.line_answers(datetime.now(UTC))
    assert [await world.ask(), await world.ask()] == [1, 1]
    assert world.computed == 5


async def test_what_is_begun_before_the_line_is_lost_is_not_kept_when_it_is_back(world: World) -> None:
    (asking,) = await world.asking()
    world.versions.line_is_lost()
    world.value = 1
    world.versions.line_answers(datetime.now(UTC))
    world.may_go_on.set()
    assert await asking == 0
    assert await world.ask() == 1


async def test_a_line_that_is_silent_is_not_trusted(world: World) -> None:
    await world.ask()
    world.clock.now_s += TRUST_S
    assert not world.versions.are_heard
    assert (await world.ask(), world.computed) == (0, 2)
    world.versions.line_answers(datetime.now(UTC))
    assert world.versions.are_heard
    assert (await world.ask(), world.computed) == (0, 3)


async def test_with_a_replica_nothing_is_kept(world: World) -> None:
    world.versions.reads_lead_elsewhere(are_fresh=False)
    assert [await world.ask(), await world.ask()] == [0, 0]
    assert world.computed == 2


async def test_without_any_memory_everybody_computes() -> None:
    world = World(max_bytes=0)
    asking = await world.asking(3)
    world.may_go_on.set()
    assert await asyncio.gather(*asking) == [0, 0, 0]
    assert (world.computed, world.memory.counts["shared"], len(world.memory)) == (3, 0, 0)


async def test_the_least_used_answers_leave_first() -> None:
    world = World(max_bytes=100_000)
    for number in range(1000):
        await world.answers.get(KEY, world.compute)
        await world.answers.get(b"%d" % number, world.compute)
    assert world.memory.used_bytes <= 100_000
    assert world.answers.kept(KEY)
    assert world.answers.kept(b"999")
    assert not world.answers.kept(b"0")


async def test_an_answer_that_would_drive_out_too_many_others_is_not_kept(world: World) -> None:
    async def compute(reads: Reads) -> Answer:
        return Answer(b"0" * (MIB // LARGEST_PART), may_be_kept=True)

    await world.answers.get(KEY, compute)
    assert len(world.memory) == 0


@pytest.mark.parametrize("body_bytes", [10, 2_000])
async def test_the_memory_of_different_answers_is_bounded(body_bytes: int) -> None:
    world = World(max_bytes=8 * MIB)

    async def compute(reads: Reads) -> Answer:
        reads.note(("results", "regions", "orchestrators"))
        return Answer(orjson.dumps("0" * body_bytes), may_be_kept=True)

    gc.collect()
    tracemalloc.start()
    try:
        for number in range(30_000):
            answer = await world.answers.get(b"%032d" % number, compute)
            assert answer.digest
        gc.collect()
        used, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert 4 * MIB < world.memory.used_bytes <= 8 * MIB
    assert used <= 8 * MIB


def test_what_podium_announces_names_tables_and_anything_else_all_of_them() -> None:
    versions = Versions()
    versions.heard("podium_results", "1795478400000000 {[1,2)}")
    versions.heard("podium_changes", "regions audit_log")
    assert versions.are_unchanged(TABLES - {"results", "regions", "audit_log"}, since=0)
    assert [versions.are_unchanged((table,), since=1) for table in ("results", "regions")] == [True, False]
    versions.heard("podium_changes", "")
    assert not any(versions.are_unchanged((table,), since=2) for table in TABLES)

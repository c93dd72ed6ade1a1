"""What workers tell each other by memory that they share."""

from resolvers.shared_changes import SharedChanges, size_bytes
from resolvers.versions import Versions


def shared_by(workers: int) -> list[SharedChanges]:
    memory = memoryview(bytearray(size_bytes(workers)))
    return [SharedChanges(memory, row) for row in range(workers)]


def test_all_others_see_at_once_what_one_has_changed_and_they_see_it_once() -> None:
    one, *others = shared_by(3)
    one.tell(("results", "regions"))
    one.tell(("results",))
    assert [other.news() for other in others] == [{"results", "regions"}] * 2
    assert [other.news() for other in others] == [(), ()]


def test_nobody_is_told_of_what_it_has_changed_itself() -> None:
    one, other = shared_by(2)
    one.tell(("results",))
    assert one.news() == ()
    other.tell(("models",))
    assert one.news() == {"models"}


def test_one_that_comes_later_counts_on() -> None:
    memory = memoryview(bytearray(size_bytes(2)))
    other = SharedChanges(memory, 1)
    for _ in range(2):
        SharedChanges(memory, 0).tell(("results",))
        assert other.news() == {"results"}


def test_versions_know_what_another_worker_wrote_when_they_catch_up() -> None:
    here, there = [Versions(shared=shared) for shared in shared_by(2)]
    moment = there.moment
    here.wrote(("results",))
    assert there.are_unchanged(("results",), moment)
    there.catch_up()
    assert not there.are_unchanged(("results",), moment)
    assert there.are_unchanged(("regions",), moment)

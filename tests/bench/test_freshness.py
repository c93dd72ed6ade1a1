"""The age of an answer is that of the oldest acknowledged result that it lacks."""

import pytest

from bench.freshness import Probes

FIRST, SECOND = b"0x1", b"0x2"


@pytest.mark.parametrize(
    ("answer", "expected_s"),
    [(b'{"0x1": {}, "0x2": {}}', 0), (b'{"0x1": {}}', 0.5), (b"{}", 2)],
)
def test_an_answer_is_as_old_as_what_it_lacks(answer: bytes, expected_s: float) -> None:
    probes = Probes([(FIRST, 10.0), (SECOND, 11.5)])
    probes.look(12.0, answer)
    assert probes.oldest_s == expected_s


def test_what_was_acknowledged_after_the_question_makes_no_answer_old() -> None:
    probes = Probes([(FIRST, 10.0)])
    probes.look(9.5, b"{}")
    assert probes.oldest_s == 0


def test_the_oldest_answer_counts() -> None:
    probes = Probes([(FIRST, 10.0)])
    for sent_at, answer in ((10.75, b"{}"), (10.25, b"{}"), (11.0, b'{"0x1": {}}')):
        probes.look(sent_at, answer)
    assert probes.oldest_s == 0.75

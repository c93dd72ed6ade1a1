"""Times as old clients know them."""

from datetime import UTC, datetime

import pytest

from resolvers.times import format_zoneless


@pytest.mark.parametrize(
    ("micros", "shown"),
    [
        (0, "2020-08-19T09:38:12"),
        (100_000, "2020-08-19T09:38:12.100"),
        (1_000, "2020-08-19T09:38:12.001"),
        (460_452, "2020-08-19T09:38:12.460452"),
        (460_450, "2020-08-19T09:38:12.460450"),
        (1, "2020-08-19T09:38:12.000001"),
    ],
)
def test_a_time_is_shown_without_a_zone_and_with_the_shortest_exact_fraction(micros: int, shown: str) -> None:
    assert format_zoneless(datetime(2020, 8, 19, 9, 38, 12, micros, UTC)) == shown

"""Times as old clients know them."""

from datetime import UTC, datetime

import pytest

from resolvers.times import format_zoneless, parse_zoneless


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


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("2019-01-01T00:00:00", "2019-01-01T00:00:00"),
        ("2019-01-01T00:00:00.1", "2019-01-01T00:00:00.100"),
        ("2019-01-01T00:00:00.123456789", "2019-01-01T00:00:00.123456"),
        ("2019-01-01T00:00:00Z", "2019-01-01T00:00:00"),
        ("2019-01-01T00:30:00.5+01:00", "2018-12-31T23:30:00.500"),
    ],
)
def test_a_time_is_read_in_utc_unless_it_has_an_offset(text: str, shown: str) -> None:
    assert format_zoneless(parse_zoneless(text)) == shown


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "now",
            "2019-01-01",
            "20190101T000000",
            "2019-01-01 00:00:00",
            "2019-01-01T24:00:00",
            "2019-W01-1T00:00:00",
        ),
        *("2019-02-30T00:00:00", "2019-01-01T00:00:00+25:00", "0001-01-01T00:00:00+01:00", "2019-01-01T00:00:00\0"),
        *("2019-01-01T00:00:00." + "1" * 5000, "\u0662019-01-01T00:00:00"),
    ],
)
def test_other_texts_are_no_times(text: str) -> None:
    with pytest.raises(ValueError, match="a time like 2019-01-01T00:00:00"):
        parse_zoneless(text)

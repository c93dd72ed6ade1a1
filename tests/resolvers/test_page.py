"""Pages and cursors."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resolvers.errors import InvalidArgument
from resolvers.page import decode_cursor, encode_cursor, from_micros, page_of, page_request, to_micros


@given(st.lists(st.one_of(st.integers(-(2**53), 2**53), st.text(), st.floats(allow_nan=False, allow_infinity=False))))
def test_a_cursor_holds_its_values(values: list[object]) -> None:
    assert decode_cursor(encode_cursor(*values)) == values


@pytest.mark.parametrize("cursor", ["", "x", "%%%", "é", "e30", "bnVsbA", "7", "A" * 10_000])
def test_a_foreign_cursor_is_refused(cursor: str) -> None:
    with pytest.raises(InvalidArgument, match="no cursor of this list"):
        decode_cursor(cursor)


@given(st.datetimes().map(lambda time: time.replace(tzinfo=to_micros.__globals__["UTC"])))
def test_microseconds_are_exact(time: object) -> None:
    assert from_micros(to_micros(time)) == time  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ((1001, None, None, None), "first"),
        ((-1, None, None, None), "first"),
        ((None, None, 1001, None), "last"),
        ((1, None, 1, None), "last"),
        ((None, "WzFd", 1, None), "last"),
        ((None, None, None, "WzFd"), "before"),
        ((1, "x", None, None), "after"),
        ((None, None, 1, "x"), "before"),
    ],
)
def test_a_page_that_cannot_be_names_its_argument(arguments: tuple[int, str, int, str], field: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        page_request(*arguments)
    assert refused.value.field == field


@given(st.integers(0, 30), st.integers(0, 10), st.integers(0, 30), st.booleans())
def test_a_page_is_the_part_of_the_list_at_its_cursor(length: int, size: int, place: int, backwards: bool) -> None:
    whole = list(range(length))
    cursor = encode_cursor(place)
    request = page_request(None, None, size, cursor) if backwards else page_request(size, cursor, None, None)
    beyond = [item for item in whole if (item < place if backwards else item > place)]
    page = page_of((beyond[::-1] if backwards else beyond)[: size + 1], request)
    assert page.items == (beyond[-size:] if backwards and size else beyond[:size] if not backwards else [])
    assert (page.has_previous if backwards else page.has_next) == (len(beyond) > size)

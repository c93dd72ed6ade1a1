"""What becomes of the bytes of a frame: nothing but JSON objects is taken, and what is taken can be stored."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resolvers.telemetry.messages import Refused, micros_of, read_message, with_usual_numbers

TEN = datetime(2020, 8, 19, 10, tzinfo=UTC)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda values: st.lists(values) | st.dictionaries(st.text(), values),
)


@pytest.mark.parametrize(
    "frame",
    [
        b'{"msg":"a","ts":"2020-08-19T10:00:00Z","n":[1,2.5,null,true,{"x":"\\u00e9"}]}',
        b' {"msg" : "a"} ',
        b'{"a":1,"a":2}',
        b'{"text":"a path: C:\\\\u0000"}',
        b'{"a":18446744073709551616,"b":-0.0}',
        '{"a":"\U0010ffff"}'.encode(),
        b"{}",
    ],
)
def test_what_can_be_stored_is_left_as_it_came(frame: bytes) -> None:
    assert read_message(frame) == (frame, json.loads(frame), False)


@pytest.mark.parametrize(
    ("frame", "body"),
    [
        (b'{"a":"x\\u0000y","\\u0000":1}', b'{"a":"x\\\\u0000y","\\\\u0000":1}'),
        (b'{"a":["\\ud800","\\udfffz"]}', b'{"a":["\\\\ud800","\\\\udfffz"]}'),
        (b'{"a":"\\ud83d\\ude00\\ud83d"}', '{"a":"\U0001f600\\\\ud83d"}'.encode()),
        (b'{"a":"\xed\xa0\x80"}', b'{"a":"\\\\ud800"}'),
        (b'{"a":1e400,"b":-1e400}', b'{"a":"1e400","b":"-1e400"}'),
        (b'{"a":' + b"1" * 400 + b"}", b'{"a":"' + b"1" * 400 + b'"}'),
        (
            b'{"a":"\\u0000","b":340282366920938463463374607431768211456}',
            b'{"a":"\\\\u0000","b":3.402823669209385e+38}',
        ),
        (b'{"a":"\\u0000","b":"\\\\u0000"}', b'{"a":"\\\\u0000","b":"\\\\u0000"}'),
    ],
)
def test_what_postgres_cannot_store_is_escaped(frame: bytes, body: bytes) -> None:
    assert read_message(frame) == (body, json.loads(body), True)


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (b"", "malformed"),
        (b"{", "malformed"),
        (b'{"a":1} {"a":2}', "malformed"),
        (b'{"a":NaN}', "malformed"),
        (b'{"a":-Infinity}', "malformed"),
        (b'{"a":"\xff"}', "malformed"),
        (b'{"a":"\x00"}', "malformed"),
        (b"\xff" * 1000, "malformed"),
        (b"[]", "no_object"),
        (b'"\\u0000"', "no_object"),
        (b"null", "no_object"),
        (b"1e400", "no_object"),
        (b'{"a":' * 2000 + b"1" + b"}" * 2000, "too_deep"),
        (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "too_deep"),
        (b"[" * 500_000, "too_deep"),
        (b'{"a":' * 700 + b'"\\u0000"' + b"}" * 700, "too_deep"),
    ],
)
def test_what_is_no_message_is_refused_with_a_reason(frame: bytes, reason: str) -> None:
    with pytest.raises(Refused) as refused:
        read_message(frame)
    assert refused.value.reason == reason


def test_a_thousand_levels_are_left_as_they_came() -> None:
    frame = b'{"a":' * 1000 + b"1" + b"}" * 1000
    assert read_message(frame)[0] == frame


def test_many_numbers_that_are_written_in_few_bytes_and_stored_in_many_are_texts() -> None:
    frame = b'{"a":[' + b",".join([b"1e-16000", b"0E-16000", b"1.5"] * 30) + b"]}"
    body, value, is_escaped = read_message(frame)
    assert value == {"a": ["1e-16000", 0.0, 1.5] * 30} == json.loads(body)
    assert is_escaped


def test_a_text_about_such_numbers_is_no_escaped_message() -> None:
    frame = b'{"a":"' + b"1e-16000 " * 100 + b'"}'
    assert not read_message(frame)[2]


@pytest.mark.parametrize(
    ("body", "written"),
    [
        (b'{"a":1e-20000,"b":0e-20000}', b'{"a":"1e-20000","b":0.0}'),
        (b'{"a":1.' + b"1" * 20_000 + b"}", b'{"a":"1.' + b"1" * 20_000 + b'"}'),
        (b'{"a":0.' + b"0" * 20_000 + b"1}", b'{"a":"0.' + b"0" * 20_000 + b'1"}'),
        (b'{"a": "no digits"}', b'{"a": "no digits"}'),
        (b'{"a":' * 900 + b"1e-20000" + b"}" * 900, b'{"a":' * 900 + b"1e-20000" + b"}" * 900),
    ],
)
def test_numbers_that_postgres_has_refused_become_texts(body: bytes, written: bytes) -> None:
    assert with_usual_numbers(body) == written == with_usual_numbers(written)


@pytest.mark.parametrize(
    ("text", "since_ten"),
    [
        ("2020-08-19T10:00:00Z", timedelta(0)),
        ("2020-08-19t10:00:00z", timedelta(0)),
        ("2020-08-19T12:30:00.5+02:30", timedelta(seconds=0.5)),
        ("2020-08-19T09:59:59.999999999-00:00", timedelta(microseconds=-1)),
        ("2020-08-19T10:00:00.403479912+00:00", timedelta(microseconds=403_479)),
        ("2020-08-18T23:00:00.000001-11:00", timedelta(microseconds=1)),
    ],
)
def test_a_time_is_kept_to_the_microsecond_in_utc(text: str, since_ten: timedelta) -> None:
    micros = micros_of(text)
    assert micros is not None
    assert datetime.fromtimestamp(micros // 1_000_000, UTC).replace(microsecond=micros % 1_000_000) == TEN + since_ten


@pytest.mark.parametrize(
    "value",
    [
        *(None, True, 5, 1597829900.5, [], {}, "", "now", "2020-08-19T10:00:00", "2020-08-19", "10:00:00Z"),
        *("2020-13-19T10:00:00Z", "2020-08-19T25:00:00Z", "0000-01-01T00:00:00Z", "10000-01-01T00:00:00Z"),
        *("0001-01-01T00:00:00+10:00", "9999-12-31T23:59:59-10:00", "2020-08-19T10:00:00Zz", "٢٠٢٠-08-19T10:00:00Z"),
        "9" * 100_000,
    ],
)
def test_what_is_no_time_is_none(value: Any) -> None:
    assert micros_of(value) is None


@pytest.mark.parametrize("year", ["0001", "9999"])
def test_the_first_and_the_last_year_can_be_stored(year: str) -> None:
    micros = micros_of(f"{year}-06-01T00:00:00Z")
    assert micros is not None
    assert (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=micros)).year == int(year)


@settings(max_examples=50, deadline=None)
@given(st.dictionaries(st.text(), JSON))
def test_any_object_is_taken_and_says_the_same_unless_it_is_counted(value: dict[str, Any]) -> None:
    frame = json.dumps(value).encode("utf-8", "surrogatepass")
    body, read, is_escaped = read_message(frame)
    assert in_doubles(body) == in_doubles(json.dumps(read))
    assert is_escaped or in_doubles(body) == in_doubles(frame)


def in_doubles(text: str | bytes) -> Any:
    """What a JSON text says to whom knows only doubles."""
    return json.loads(text, parse_int=float)


@settings(max_examples=100, deadline=None)
@given(st.binary() | JSON.map(lambda value: json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")))
def test_no_bytes_do_anything_but_be_taken_or_refused(frame: bytes) -> None:
    try:
        body, value, _ = read_message(frame)
    except Refused:
        return
    assert type(value) is dict
    json.loads(body)

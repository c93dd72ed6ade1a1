"""Posted results: what is understood, and what is refused with the name of the field."""

from typing import Any

import orjson
import pytest

from resolvers.errors import InvalidArgument
from resolvers.results import Result, check_result, decode_result

RESULT = {"region": "FRA", "orchestrator": "0x1", "success_rate": 1, "round_trip_time": 0.5}


def decoded(**fields: Any) -> Result:
    result = decode_result(orjson.dumps({**RESULT, **fields}))
    check_result(result)
    return result


def test_what_was_not_posted_has_its_default() -> None:
    assert decoded() == Result(region="FRA", orchestrator="0x1", success_rate=1.0, round_trip_time=0.5)


@pytest.mark.parametrize("name", sorted(set(Result.__struct_fields__) - {"orchestrator", "payload"}))
def test_null_counts_as_absent(name: str) -> None:
    assert getattr(decoded(**{name: None}), name) == getattr(Result(), name)


def test_a_field_that_is_nested_too_deeply_is_refused_by_name() -> None:
    body = b'{"orchestrator": "0x1", "extra": ' + b"[" * 300 + b"]" * 300 + b"}"
    with pytest.raises(InvalidArgument, match="extra: nested too deeply"):
        check_result(decode_result(body))


def test_a_body_of_null_is_an_empty_result() -> None:
    assert decode_result(b"null") == decode_result(b"{}") == Result()


@pytest.mark.parametrize(
    "body", [b"", b"hello", b"[]", b"7", b'"x"', b'{"region":', b"\xff", b'{"a":"\\ud800"}', b"[" * 9999]
)
def test_a_body_that_is_no_object_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidArgument, match="the body"):
        decode_result(body)


def test_a_result_is_ai_when_it_names_model_and_pipeline() -> None:
    assert decoded(model="m", pipeline="p").job_type == "ai"
    assert decoded(pipeline="p").job_type == decoded(model="m").job_type == decoded(model="", pipeline="p").job_type
    assert decoded(pipeline="p").job_type == "transcoding"


def test_a_pipeline_without_a_model_is_kept() -> None:
    assert decoded(pipeline="p").payload == {"pipeline": "p"}


def test_fields_that_are_not_known_are_kept() -> None:
    assert decoded(extra={"a": [1]}, input_parameters="{}").payload == {"extra": {"a": [1]}, "input_parameters": "{}"}


def test_errors_may_be_plain_strings() -> None:
    items = decoded(errors=["Timeout", {"error_code": "NoFrames", "message": "none", "count": 2}, {}]).error_items
    assert items == [
        {"error_code": "Timeout", "count": 1},
        {"error_code": "NoFrames", "message": "none", "count": 2},
        {"error_code": "", "count": 0},
    ]


def test_no_errors_and_none_posted_differ() -> None:
    assert decoded(errors=[]).error_items == []
    assert decoded().error_items is None


def test_a_success_rate_above_one_is_kept() -> None:
    assert decoded(success_rate=1.5).success_rate == 1.5


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("region", 7),
        ("orchestrator", None),
        ("orchestrator", ""),
        ("orchestrator", "0" * 57),
        ("orchestrator", "0x1\0"),
        ("success_rate", "1"),
        ("success_rate", True),
        ("success_rate", -0.1),
        ("success_rate", 1e101),
        ("success_rate", 1e-101),
        ("round_trip_time", -1),
        ("seg_duration", -1),
        ("upload_time", -1),
        ("download_time", -1),
        ("transcode_time", {}),
        ("segments_sent", -1),
        ("segments_sent", 1.5),
        ("segments_received", 2**31),
        ("timestamp", 2**63),
        ("timestamp", "now"),
        ("model", "m" * 257),
        ("pipeline", "p\0"),
        ("model_is_warm", 1),
        ("input_parameters", {}),
        ("errors", {}),
        ("errors", [7]),
        ("errors", [{"error_code": "x", "count": -1}]),
        ("extra", {"deep": ["\0"]}),
        ("orchestrator", "\u0130" * 56),
    ],
)
def test_a_refusal_names_the_field(field: str, value: Any) -> None:
    with pytest.raises(InvalidArgument) as refused:
        decoded(**{field: value})
    assert field in refused.value.message
    assert (refused.value.field or "").startswith(field)


@pytest.mark.parametrize("number", [b"1e400", b"-1e400", b"1" + b"0" * 400])
def test_a_number_that_is_not_finite_is_refused(number: bytes) -> None:
    with pytest.raises(InvalidArgument):
        check_result(decode_result(b'{"region":"FRA","orchestrator":"0x1","success_rate":' + number + b"}"))

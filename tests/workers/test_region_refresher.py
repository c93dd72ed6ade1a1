"""Regions from a Catalyst server."""

from typing import Any

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response

from resolvers.remote_json import MAX_BODY_BYTES
from tests.harness import serving_answers
from workers.region_refresher import refresh_once, region_names


def test_codes_are_upper_cased_and_only_production_counts() -> None:
    document = {
        "prod": {"full_name": {"fra": "Frankfurt", "Spl": "South Pole"}},
        "staging": {"full_name": {"zzz": "Z"}},
    }
    assert region_names(document) == {"FRA": "Frankfurt", "SPL": "South Pole"}


@pytest.mark.parametrize("name", ["", "x" * 129, "a\0", None, 7])
def test_a_name_that_is_none_is_left_out(name: Any) -> None:
    assert region_names({"prod": {"full_name": {"fra": name, "nyc": "New York City"}}}) == {"NYC": "New York City"}


@pytest.mark.parametrize("document", [None, [], {}, {"prod": {}}, {"prod": {"full_name": []}}])
def test_another_document_is_refused(document: Any) -> None:
    with pytest.raises(ValueError, match=r"no prod\.full_name"):
        region_names(document)


@pytest.mark.parametrize(
    "answer",
    [
        PlainTextResponse("<html>", 200),
        JSONResponse({}, 200),
        JSONResponse({"prod": {"full_name": {"fra": "F"}}}, 500),
        PlainTextResponse("x" * (MAX_BODY_BYTES + 1)),
        RedirectResponse("/elsewhere"),
    ],
    ids=["no JSON", "no regions", "500", "too large", "nowhere"],
)
async def test_a_wrong_answer_changes_nothing_and_is_reported(answer: Response) -> None:
    registered, events = [], []

    async def register(names: dict[str, str]) -> None:
        registered.append(names)

    async def give(_: Request) -> Response:
        return answer

    async with serving_answers(give) as url, httpx.AsyncClient(follow_redirects=True) as client:
        await refresh_once(client, url, register, lambda event, **_: events.append(event))
    assert (registered, events) == ([], ["regions_refresh_failed"])


async def test_a_server_that_is_away_is_reported() -> None:
    events = []
    async with httpx.AsyncClient() as client:
        await refresh_once(client, "http://127.0.0.1:9", None, lambda event, **_: events.append(event))  # type: ignore[arg-type]
    assert events == ["regions_refresh_failed"]

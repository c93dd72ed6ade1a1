"""Content negotiation: what an Accept prefers of the media types that are offered."""

import pytest

from schema.negotiation import MediaType, preferred

OFFERED = ("application/json", "application/graphql-response+json", "text/event-stream", "text/html")
JSON, GRAPHQL_JSON, EVENT_STREAM, HTML = OFFERED


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        ("", JSON),
        (" , ", JSON),
        ("*/*", JSON),
        ("application/*", JSON),
        ("text/*", EVENT_STREAM),
        ("text/html", HTML),
        ("Application/GraphQL-Response+JSON", GRAPHQL_JSON),
        ("application/graphql-response+json, application/json;q=0.9", GRAPHQL_JSON),
        ("application/json;q=0.9, application/graphql-response+json", GRAPHQL_JSON),
        ("application/json;q=0.9, application/graphql-response+json;q=0.8", JSON),
        ("application/graphql-response+json, application/json", GRAPHQL_JSON),
        ("application/json, application/graphql-response+json", JSON),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", HTML),
        ("image/avif, */*;q=0.1", JSON),
        ("application/json;q=0, */*", GRAPHQL_JSON),
        ("*/*, application/json;q=0", GRAPHQL_JSON),
        ("application/*;q=0, */*;q=0.5", EVENT_STREAM),
        ("application/json;q=0", None),
        ("text/csv", None),
        ("application/json;charset=utf-8", JSON),
        ('application/json; charset="UTF-8"', JSON),
        ("application/json;charset=latin-1", None),
        ("application/json;charset=latin-1, application/graphql-response+json;charset=utf-8;q=0.1", GRAPHQL_JSON),
        ("application/json;q=x", None),
        ("application/json;q=2, text/html;q=0.1", HTML),
        ("application/json;q=nan, text/html;q=0.001", HTML),
        ("application/json;q=", None),
        (f"{'text/csv, ' * 1000}text/html", HTML),
    ],
)
def test_the_most_welcome_of_the_offered_media_types_is_chosen(accept: str, media_type: str | None) -> None:
    assert preferred(accept, OFFERED) == media_type


def test_a_media_type_is_in_utf_8_unless_it_says_otherwise() -> None:
    assert MediaType.of(" Application/JSON ; Charset=UTF-8") == ("application/json", {"charset": "utf-8"})
    assert MediaType.of("application/json").is_utf_8
    assert MediaType.of("application/json; charset=utf8").is_utf_8
    assert not MediaType.of("application/json; charset=utf-16").is_utf_8
    assert MediaType.of("") == ("", {})

"""Entity tags: by them a client that has an answer learns that it is still the one (RFC 9110, 8.8.3 and 13.1.2)."""

from collections.abc import Iterable

from resolvers.answers import Answer


def entity_tag(answer: Answer) -> str:
    """A weak tag, because compression changes the bytes; gateways with the same answer have the same."""
    return f'W/"{answer.digest}"'


def is_among(tag: str, known: Iterable[str]) -> bool:
    """Whether a client has what is tagged, by the values of If-None-Match, which compares tags weakly."""
    tags = {one.strip().removeprefix("W/") for one in ",".join(known).split(",")}
    return "*" in tags or tag.removeprefix("W/") in tags

"""Which origins' pages may open sockets, and send mutations without showing who they are."""

import pytest

from schema.origins import is_allowed


@pytest.mark.parametrize(
    ("origin", "host", "allowed", "allows"),
    [
        (None, "a.example", (), True),
        ("https://a.example", "a.example", (), True),
        ("https://A.example:443", "a.example", (), True),
        ("http://a.example", "a.example:80", (), True),
        ("http://127.0.0.1:8080", "127.0.0.1:8080", (), True),
        ("http://127.0.0.1:8081", "127.0.0.1:8080", (), False),
        ("https://b.example", "a.example", (), False),
        ("https://a.example.b.example", "a.example", (), False),
        ("https://b.example", "a.example", ("https://b.example",), True),
        ("https://b.example", "a.example", ("*",), True),
        ("null", "a.example", (), False),
        ("", "", (), False),
        ("http://[", "a.example", (), False),
        ("http://a.example:port", "a.example", (), False),
    ],
)
def test_an_origin_is_allowed_by_name_or_when_it_is_the_own_one(
    origin: str | None, host: str, allowed: tuple[str, ...], allows: bool
) -> None:
    assert is_allowed(origin, host, allowed) is allows

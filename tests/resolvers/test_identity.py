"""Who asks: what tokens give, and which tokens give nothing."""

import base64
import hashlib
import hmac
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import orjson
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from resolvers.errors import Forbidden, PostingDisabled, Unauthenticated
from resolvers.identity import Authenticator, Identity, Scope
from resolvers.jwks import public_keys
from resolvers.signing import signature
from resolvers.tokens import TokenVerifier
from tests.harness import TOKEN_SECRET, bearer

NOW = datetime.now(UTC)
RSA = generate_private_key(public_exponent=65537, key_size=2048)
TOKENS = Authenticator(tokens=TokenVerifier((TOKEN_SECRET, "previous" * 4)))


async def identify(authenticator: Authenticator = TOKENS, **claims: Any) -> Identity:
    return await authenticator.identify(bearer(**claims)["Authorization"])


async def refusal(authorization: str, authenticator: Authenticator = TOKENS) -> str:
    """Why a token is refused: always with 401, and without a word of what is in it."""
    with pytest.raises(Unauthenticated) as caught:
        await authenticator.identify(authorization)
    assert (caught.value.status, caught.value.challenge) == (401, 'Bearer error="invalid_token"')
    return caught.value.message


def made_by_hand(header: Any, claims: Any, key: bytes = TOKEN_SECRET.encode()) -> str:
    """A token such as no library makes one, with a right HMAC."""
    parts = [base64.urlsafe_b64encode(part if isinstance(part, bytes) else orjson.dumps(part)).rstrip(b"=")
             for part in (header, claims)]  # fmt: skip
    signed = b".".join(parts)
    tail = base64.urlsafe_b64encode(hmac.digest(key, signed, hashlib.sha256)).rstrip(b"=")
    return f"Bearer {(signed + b'.' + tail).decode()}"


@pytest.mark.parametrize(
    ("claims", "scopes"),
    [
        ({"scope": "publish"}, {"read", "publish"}),
        ({"scope": "watch  publish"}, {"read", "publish", "watch"}),
        ({"scope": ["publish"]}, {"read", "publish"}),
        ({"scopes": ["watch"], "scope": "publish"}, {"read", "watch", "publish"}),
        ({"scope": "admin"}, set(Scope)),
        ({"scope": "Publish publish: xpublish"}, {"read"}),
        ({"scope": ["publish watch", 7, ["admin"]]}, {"read"}),
        ({"scope": {"admin": True}}, {"read"}),
        ({}, {"read"}),
    ],
)
async def test_scopes_are_those_of_the_token_and_of_everybody(claims: dict[str, Any], scopes: set[str]) -> None:
    assert (await identify(**claims)).scopes == scopes


async def test_the_subject_is_the_tokens() -> None:
    found = await identify(sub="tester-fra")
    assert (found.scopes, found.subject, found.shown) == ({Scope.READ}, "tester-fra", "token")
    assert (await identify()).subject is None


async def test_an_identity_counts_as_long_as_its_token() -> None:
    left_s = (await identify(exp=NOW + timedelta(days=1))).left_s
    assert left_s is not None
    assert 80_000 < left_s < 90_000
    assert Identity(frozenset()).left_s is None
    assert Identity(frozenset(), expires_at=1.0).left_s == 0


async def test_both_live_keys_count_and_no_third() -> None:
    for secret in TOKENS.tokens.secrets:
        assert (await identify(secret=secret)).shown == "token"
    assert await refusal(bearer("x" * 32)["Authorization"]) == "the token's signature fits no key"


@pytest.mark.parametrize(
    ("claims", "message"),
    [
        ({"exp": NOW - timedelta(hours=1)}, "the token has expired"),
        ({"nbf": NOW + timedelta(hours=1), "exp": NOW + timedelta(hours=2)}, "the token is not valid yet"),
        ({"exp": None}, "the token lacks a claim: exp, or aud or iss where this server asks for them"),
        ({"exp": "soon"}, "the token is malformed"),
        ({"exp": [1]}, "the token is malformed"),
        ({"aud": "somewhere-else"}, "the token is for another audience"),
        ({"sub": "a\nb"}, "the token's sub is not 200 printable characters at most"),
        ({"sub": "x" * 201}, "the token's sub is not 200 printable characters at most"),
    ],
)
async def test_a_token_that_does_not_count_says_why(claims: dict[str, Any], message: str) -> None:
    assert await refusal(bearer(**claims)["Authorization"]) == message


async def test_clocks_may_differ_by_some_seconds() -> None:
    now = datetime.now(UTC)
    assert (await identify(exp=now - timedelta(seconds=5), nbf=now + timedelta(seconds=5))).shown == "token"


@pytest.mark.parametrize(
    "claims",
    [{}, b"{", b"[]", b"[" * 3000, b'{"exp": 1e400}', b'{"exp": NaN}', b"\xff"],
)
async def test_claims_that_are_none_are_refused(claims: Any) -> None:
    assert "token" in await refusal(made_by_hand({"alg": "HS256"}, claims))


@pytest.mark.parametrize(
    "token",
    ["", "x", "a.b", "a.b.c", "....", "é.é.é", "\ud800.a.b", "x" * 9000, f"{'A' * 4000}.{'A' * 100}.A", " ", "a b c"],
)
async def test_garbage_is_no_token(token: str) -> None:
    assert "token" in await refusal(f"Bearer {token}")


LEAF = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text()
VALUE = st.recursive(LEAF, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=5)
CLAIMS = st.sampled_from(["exp", "nbf", "iat", "aud", "iss", "sub", "scope", "scopes", "jti"])
HEADERS = st.sampled_from(["typ", "kid", "crit", "b64", "cty"])


@settings(max_examples=300, deadline=None, derandomize=True)
@given(
    header=st.dictionaries(HEADERS, VALUE, max_size=1),
    claims=st.dictionaries(CLAIMS, VALUE, max_size=4),
    expires=st.sampled_from([{}, {"exp": 4_000_000_000}]),
)
async def test_whatever_is_signed_is_refused_or_understood(
    header: dict[str, Any], claims: dict[str, Any], expires: dict[str, Any]
) -> None:
    token = made_by_hand({"alg": "HS256", **header}, claims | expires)
    with suppress(Unauthenticated):
        assert orjson.dumps((await TOKENS.identify(token)).owner)


@pytest.mark.parametrize(
    "header",
    [
        {"alg": "none"},
        {"alg": "None"},
        {"alg": ""},
        {},
        {"alg": ["HS256"]},
        {"alg": "HS384"},
        {"alg": "RS256"},
        {"alg": "HS256", "crit": ["exp"]},
        {"alg": "HS256", "b64": False},
        {"alg": "HS256", "kid": 7},
        b"[" * 3000,
        [],
    ],
)
async def test_only_the_expected_algorithm_counts(header: Any) -> None:
    claims = {"exp": int(NOW.timestamp()) + 3600, "scope": "admin"}
    for token in (made_by_hand(header, claims), made_by_hand(header, claims).rpartition(".")[0] + "."):
        assert "token" in await refusal(token)


async def test_a_public_key_is_no_secret() -> None:
    async def find(key_id: str | None, algorithm: str) -> list[jwt.PyJWK]:
        return [key for key in keys if key.algorithm_name == algorithm]

    keys = public_keys({"keys": [{**jwt.algorithms.RSAAlgorithm.to_jwk(RSA.public_key(), as_dict=True), "kid": "1"}]})
    both = Authenticator(tokens=TokenVerifier((TOKEN_SECRET,), find))
    only_published = Authenticator(tokens=TokenVerifier((), find))
    claims = {"exp": int(NOW.timestamp()) + 3600, "scope": "admin"}
    pem = RSA.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    for header in ({"alg": "HS256"}, {"alg": "RS256"}, {"alg": "HS256", "kid": "1"}, {"alg": "RS256", "kid": "1"}):
        for authenticator in (both, only_published):
            assert "token" in await refusal(made_by_hand(header, claims, pem), authenticator)
    assert await refusal(bearer()["Authorization"], only_published) == "the token's algorithm is not accepted"
    genuine = jwt.encode(claims, RSA, "RS256", headers={"kid": "1"})
    assert Scope.ADMIN in (await both.identify(f"Bearer {genuine}")).scopes


async def test_audience_and_issuer_are_asked_for_where_they_are_configured() -> None:
    strict = Authenticator(tokens=TokenVerifier((TOKEN_SECRET,), audience="podium", issuer="https://id.example"))
    right = {"aud": ["other", "podium"], "iss": "https://id.example"}
    assert (await identify(strict, **right)).shown == "token"
    for wrong, message in (
        ({"aud": "other"}, "another audience"),
        ({"iss": "https://other.example"}, "another issuer"),
        ({"aud": None}, "lacks a claim"),
        ({"iss": None}, "lacks a claim"),
    ):
        present = {name: claim for name, claim in (right | wrong).items() if claim is not None}
        assert message in await refusal(bearer(**present)["Authorization"], strict)


async def test_a_signature_of_the_body_lets_post() -> None:
    authenticator = Authenticator(secrets=("new", "old"), tokens=TOKENS.tokens)
    for secret in authenticator.secrets:
        signed = await authenticator.identify(signature(b"body", secret), b"body")
        assert (signed.scopes, signed.shown) == ({"read", "publish"}, "signature")
    for authorization, body in (
        ("", b"body"),
        (signature(b"body", "other"), b"body"),
        (signature(b"body", "new"), b"another"),
        (signature(b"body", "new").upper(), b"body"),
        (signature(b"body", "new"), None),
        ("Basic eDp5", b"body"),
    ):
        assert (await authenticator.identify(authorization, body)).shown == "nothing"


def test_what_is_missing_is_named() -> None:
    nobody = Identity(frozenset())
    with pytest.raises(Unauthenticated, match="recordStats needs the scope publish") as unknown:
        TOKENS.require(nobody, Scope.PUBLISH, "recordStats")
    assert (unknown.value.status, unknown.value.challenge) == (403, None)
    with pytest.raises(Forbidden, match="withdrawStats needs the scope admin, which this token does not give"):
        TOKENS.require(Identity(frozenset(), "me", "token"), Scope.ADMIN, "withdrawStats")
    with pytest.raises(PostingDisabled):
        Authenticator().require(nobody, Scope.PUBLISH, "recordStats")
    with pytest.raises(Unauthenticated, match="stats needs the scope read"):
        Authenticator().require(nobody, Scope.READ, "stats")
    TOKENS.require(Identity(frozenset({Scope.WATCH})), Scope.WATCH, "viewer")


def test_owners_of_keys_do_not_meet() -> None:
    scopes: frozenset[Scope] = frozenset()
    identities = [
        Identity(scopes),
        Identity(scopes, shown="signature"),
        Identity(scopes, shown="webhook"),
        Identity(scopes, shown="token"),
        Identity(scopes, "signature", "token"),
        Identity(scopes, "webhook-id", "token"),
    ]
    assert len({identity.owner for identity in identities}) == len(identities)

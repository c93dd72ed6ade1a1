"""Published keys: rotated, garbage, and out of reach."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any

import jwt
import orjson
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from resolvers.errors import Unauthenticated, Unavailable
from resolvers.jwks import MAX_AGE_S, MAX_KEYS, REFRESH_S, RETRY_S, Issuer, public_keys
from resolvers.remote_json import MAX_BODY_BYTES
from resolvers.tokens import TokenVerifier
from tests.harness import StartGateway, bearer, eventually, serving_answers

KEYS: dict[str, tuple[str, Any, Callable[..., Any]]] = {
    "rsa": (
        "RS256",
        rsa.generate_private_key(public_exponent=65537, key_size=2048),
        jwt.algorithms.RSAAlgorithm.to_jwk,
    ),
    "ec": ("ES256", ec.generate_private_key(ec.SECP256R1()), jwt.algorithms.ECAlgorithm.to_jwk),
    "ed": ("EdDSA", ed25519.Ed25519PrivateKey.generate(), jwt.algorithms.OKPAlgorithm.to_jwk),
}


def published(*names: str) -> dict[str, Any]:
    """The document with these keys."""
    return {"keys": [{**orjson.loads(KEYS[name][2](KEYS[name][1].public_key())), "kid": name} for name in names]}


def signed(name: str, **headers: str) -> str:
    """A token signed with this key."""
    algorithm, key, _ = KEYS[name]
    claims = {"exp": 4_000_000_000, "scope": "publish", "sub": name}
    return jwt.encode(claims, key, algorithm, headers={"kid": name, **headers})


class Server:
    """Another party's server: it counts how often it is asked, and answers when its gate is open."""

    def __init__(self, *names: str) -> None:
        self.answer: Response = JSONResponse(published(*names))
        self.asked = 0
        self.gate = asyncio.Event()
        self.gate.set()

    async def respond(self, request: Request) -> Response:
        self.asked += 1
        await self.gate.wait()
        return self.answer


class Clock:
    """A clock that is set by hand."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


class Known:
    """An issuer of a server, and what it reported."""

    def __init__(self, url: str) -> None:
        self.clock = Clock()
        self.reported: list[str] = []
        self.issuer = Issuer(url, lambda event, **facts: self.reported.append(event), self.clock)
        self.verifier = TokenVerifier(find_keys=self.issuer.matching)

    async def subject(self, token: str) -> str:
        subject: str = (await self.verifier.claims(token))["sub"]
        return subject


@pytest.fixture
async def stack() -> Any:
    async with AsyncExitStack() as opened:
        yield opened


async def known(stack: AsyncExitStack, server: Server) -> Known:
    found = Known(await stack.enter_async_context(serving_answers(server.respond)))
    stack.push_async_callback(found.issuer.close)
    return found


@pytest.mark.parametrize("name", KEYS)
async def test_tokens_of_each_kind_of_key_are_taken(stack: AsyncExitStack, name: str) -> None:
    there = await known(stack, Server(*KEYS))
    assert await there.subject(signed(name)) == name
    algorithm, key, _ = KEYS[name]
    assert await there.subject(jwt.encode({"exp": 4_000_000_000, "sub": "no kid"}, key, algorithm)) == "no kid"


async def test_many_tokens_ask_for_the_keys_once(stack: AsyncExitStack) -> None:
    server = Server("rsa", "ec")
    there = await known(stack, server)
    names = ["rsa", "ec"] * 20
    assert await asyncio.gather(*(there.subject(signed(name)) for name in names)) == names
    assert server.asked == 1


async def test_a_new_key_is_found_and_an_old_one_goes(stack: AsyncExitStack) -> None:
    server = Server("rsa")
    there = await known(stack, server)
    await there.subject(signed("rsa"))
    server.answer = JSONResponse(published("ec"))
    there.clock.now = RETRY_S
    assert await there.subject(signed("ec")) == "ec"
    with pytest.raises(Unauthenticated, match="fits no key"):
        await there.subject(signed("rsa"))


async def test_keys_are_fetched_again_in_the_background(stack: AsyncExitStack) -> None:
    server = Server("rsa")
    there = await known(stack, server)
    await there.subject(signed("rsa"))
    server.gate.clear()
    there.clock.now = REFRESH_S
    assert await there.subject(signed("rsa")) == "rsa"
    await eventually(lambda: server.asked == 2)
    server.gate.set()


async def test_a_withdrawn_key_counts_no_more_after_a_pause(stack: AsyncExitStack) -> None:
    server = Server("rsa")
    there = await known(stack, server)
    await there.subject(signed("rsa"))
    server.answer = JSONResponse(published("ec"))
    there.clock.now = MAX_AGE_S
    with pytest.raises(Unauthenticated):
        await there.subject(signed("rsa"))


async def test_ids_that_do_not_exist_cause_no_storm(stack: AsyncExitStack) -> None:
    server = Server("rsa")
    there = await known(stack, server)
    await there.subject(signed("rsa"))
    for number in range(50):
        there.clock.now = RETRY_S * (1 + number / 50)
        with pytest.raises(Unauthenticated):
            await there.subject(signed("rsa", kid=f"garbage {number}"))
    assert server.asked == 2


@pytest.mark.parametrize(
    "answer",
    [
        PlainTextResponse("no", 500),
        PlainTextResponse("not json"),
        JSONResponse([]),
        JSONResponse({"keys": "x"}),
        PlainTextResponse("x" * (MAX_BODY_BYTES + 1)),
    ],
    ids=["failure", "text", "list", "no keys", "too large"],
)
async def test_known_keys_outlive_what_their_server_does(stack: AsyncExitStack, answer: Response) -> None:
    server = Server("rsa")
    there = await known(stack, server)
    await there.subject(signed("rsa"))
    server.answer = answer
    there.clock.now = REFRESH_S
    assert await there.subject(signed("rsa")) == "rsa"
    await eventually(lambda: there.reported == ["jwks_fetch_failed"])
    assert await there.subject(signed("rsa")) == "rsa"
    with pytest.raises(Unavailable, match="cannot be fetched"):
        await there.subject(signed("ec"))


async def test_without_any_key_the_answer_is_to_try_again(stack: AsyncExitStack) -> None:
    server = Server("rsa")
    there = await known(stack, server)
    server.answer = PlainTextResponse("no", 503)
    for _ in range(3):
        with pytest.raises(Unavailable):
            await there.subject(signed("rsa"))
    assert server.asked == 1
    server.answer = JSONResponse(published("rsa"))
    there.clock.now = RETRY_S
    assert await there.subject(signed("rsa")) == "rsa"


def test_keys_of_no_use_are_left_out() -> None:
    usable = published("ec")["keys"][0]
    secret = {"kty": "oct", "k": "AAAA", "kid": "secret"}
    others = [secret, {**usable, "use": "enc"}, {"kty": "XX"}, {"kty": "RSA", "n": "!", "e": "?"}, {}, 7, None]
    assert [key.key_id for key in public_keys({"keys": [*others, usable]})] == ["ec"]
    assert len(public_keys({"keys": [usable] * (MAX_KEYS + 10)})) == MAX_KEYS


async def test_a_weak_key_counts_for_nothing(stack: AsyncExitStack) -> None:
    weak = rsa.generate_private_key(65537, key_size=1024)  # noqa: S505  weak on purpose
    server = Server()
    jwk = {**orjson.loads(jwt.algorithms.RSAAlgorithm.to_jwk(weak.public_key())), "kid": "weak"}
    server.answer = JSONResponse({"keys": [jwk]})
    there = await known(stack, server)
    with pytest.warns(jwt.InsecureKeyLengthWarning):
        token = jwt.encode({"exp": 4_000_000_000}, weak, "RS256", headers={"kid": "weak"})
    with pytest.raises(Unauthenticated, match="malformed"):
        await there.subject(token)


async def test_a_gateway_takes_published_keys_and_its_own_secret(
    stack: AsyncExitStack, start_gateway: StartGateway
) -> None:
    url = await stack.enter_async_context(serving_answers(Server("ed").respond))
    running = await start_gateway(jwt_jwks_url=url, jwt_secret="0123456789abcdef" * 2)
    for headers in ({"Authorization": f"bearer {signed('ed')}"}, bearer(sub="ed", scope="publish")):
        answer = await running.graph("{ identity { subject scopes } }", headers)
        assert answer.json()["data"]["identity"] == {"subject": "ed", "scopes": ["READ", "PUBLISH"]}


async def test_a_server_that_hangs_stops_nobody_else(stack: AsyncExitStack, start_gateway: StartGateway) -> None:
    server = Server("ed")
    server.gate.clear()
    url = await stack.enter_async_context(serving_answers(server.respond))
    running = await start_gateway(jwt_jwks_url=url, jwt_secret="0123456789abcdef" * 2)
    waiting = asyncio.create_task(running.graph("{ __typename }", {"Authorization": f"Bearer {signed('ed')}"}))
    await eventually(lambda: server.asked)
    for headers in ({}, bearer(sub="me")):
        assert (await running.graph("{ __typename }", headers)).status_code == 200
    assert not waiting.done()
    answer = await waiting
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert answer.json()["errors"][0]["extensions"]["code"] == "UNAVAILABLE"
    server.gate.set()

"""Where the prober's runs are stored: through the graph of a gateway, or in a database of its own access."""

from typing import Protocol

import httpx
import orjson

from db.pool import Pool, PoolOptions
from gateway.probe_forms import RECORD_PROBE_RUN, input_of
from resolvers.errors import InvalidArgument, PodiumError, from_driver
from resolvers.probe_runs import ProbeRun, store_run
from resolvers.signing import signature

PATH = "/graphql"
STORING_S = 10.0


class NotStored(Exception):
    """A run could not be stored now, and perhaps later; the message says why."""


class RunRefused(Exception):
    """A run cannot be stored, however often it is tried; the message says why."""


class RunStore(Protocol):
    """Stores runs, each once."""

    async def store(self, run: ProbeRun) -> None:
        """Return when it is stored; NotStored or RunRefused."""

    async def close(self) -> None:
        """Let go of connections."""


class GatewayStore:
    """A gateway, by `recordProbeRun`; what is posted is shown to be ours by a token, or else signed with a secret."""

    def __init__(self, client: httpx.AsyncClient, url: str, token: str | None, secret: str | None) -> None:
        self._client = client
        self._url = url.rstrip("/").removesuffix(PATH) + PATH
        self._token = token
        self._secret = secret

    async def store(self, run: ProbeRun) -> None:
        """Store a run."""
        body = orjson.dumps({"query": RECORD_PROBE_RUN, "variables": {"input": input_of(run)}})
        try:
            answer = await self._client.post(self._url, content=body, headers=self._headers(body), timeout=STORING_S)
        except httpx.HTTPError as error:
            raise NotStored(type(error).__name__) from None
        if refusals := _refusals(answer):
            raise RunRefused(refusals[0])

    async def close(self) -> None:
        """The client is its owner's."""

    def _headers(self, body: bytes) -> dict[str, str]:
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if self._token:
            return headers | {"Authorization": f"Bearer {self._token}"}
        return headers | ({"Authorization": signature(body, self._secret)} if self._secret else {})


class DatabaseStore:
    """A database, over one connection, which is opened when it is first needed."""

    def __init__(self, url: str, *, pooled_by_pgbouncer: bool = False) -> None:
        options = PoolOptions(
            size=1, timeout_s=STORING_S, application_name="podium probe", pooled_by_pgbouncer=pooled_by_pgbouncer
        )
        self._pool = Pool(url, options, from_driver)
        self._is_open = False

    async def store(self, run: ProbeRun) -> None:
        """Store a run."""
        try:
            if not self._is_open:
                await self._pool.open()
                self._is_open = True
            await store_run(self._pool, run)
        except InvalidArgument as error:
            raise RunRefused(error.message) from None
        except PodiumError as error:
            raise NotStored(error.code) from None

    async def close(self) -> None:
        """Close the connection."""
        if self._is_open:
            await self._pool.close()


def _refusals(answer: httpx.Response) -> list[str]:
    """Why the mutation stored nothing, if so; NotStored, with a code or the status, when it was not executed."""
    try:
        found = orjson.loads(answer.content)
        if errors := found.get("errors"):
            raise NotStored(str(errors[0]["extensions"]["code"]))
        return [str(error["message"]) for error in found["data"]["recordProbeRun"]["errors"]]
    except (orjson.JSONDecodeError, AttributeError, LookupError, TypeError):
        raise NotStored(f"HTTP status {answer.status_code}") from None

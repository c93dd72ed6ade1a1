"""GET from the network that is probed: bounded in bytes, time and redirects, and only from addresses that may be."""

import asyncio
import ssl
from dataclasses import dataclass
from time import monotonic
from typing import NamedTuple

import httpcore
import httpx

from prober.addresses import AddressRule, GuardedNetwork
from prober.problems import ProbeError
from prober.run import Reason

MAX_REDIRECTS = 5
MAX_CONNECTIONS = 8
IDLE_S = 30.0
REDIRECTS = frozenset({301, 302, 303, 307, 308})
HEADERS = ((b"Accept", b"*/*"), (b"Accept-Encoding", b"identity"), (b"User-Agent", b"podium-probe"))


class Answer(NamedTuple):
    """A body, where it came from, and how long it took."""

    url: str
    body: bytes
    took_s: float


@dataclass(frozen=True, slots=True)
class Bound:
    """How large an answer may be, and how long it may take."""

    bytes: int
    seconds: float


class Fetcher:
    """Fetches for one stream; `tls` is made once for all, since it takes some memory."""

    def __init__(self, rule: AddressRule, tls: ssl.SSLContext) -> None:
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=tls,
            max_connections=MAX_CONNECTIONS,
            keepalive_expiry=IDLE_S,
            network_backend=GuardedNetwork(rule),
        )

    async def __aenter__(self) -> "Fetcher":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._pool.aclose()

    async def get(self, url: str, bound: Bound) -> Answer:
        """The body of a 2xx answer; ProbeError for anything else."""
        started_at = monotonic()
        try:
            async with asyncio.timeout(bound.seconds):
                found, body = await self._follow(httpx.URL(url), bound)
        except (TimeoutError, httpcore.TimeoutException):
            raise ProbeError(Reason.TIMEOUT, f"no whole answer within {bound.seconds:g} s") from None
        except (httpcore.NetworkError, httpcore.ProtocolError, OSError) as error:
            raise ProbeError(Reason.PLAYLIST_UNREACHABLE, str(error) or type(error).__name__) from None
        except (httpx.InvalidURL, ValueError):
            raise ProbeError(Reason.PLAYLIST_INVALID, "a URL that cannot be") from None
        return Answer(str(found), body, monotonic() - started_at)

    async def _follow(self, url: httpx.URL, bound: Bound) -> tuple[httpx.URL, bytes]:
        for _ in range(MAX_REDIRECTS + 1):
            async with self._pool.stream("GET", _target(url), headers=HEADERS) as response:
                if response.status not in REDIRECTS:
                    return url, await _body(response, bound.bytes)
                headers = httpx.Headers(response.headers)
            url = url.join(headers.get("location", ""))
        raise ProbeError(Reason.PLAYLIST_HTTP_ERROR, f"more than {MAX_REDIRECTS} redirects")


def _target(url: httpx.URL) -> httpcore.URL:
    if url.scheme not in {"http", "https"} or not url.host:
        raise ProbeError(Reason.ADDRESS_REFUSED, "a URL that is neither http nor https")
    return httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)


async def _body(response: httpcore.Response, most: int) -> bytes:
    if not 200 <= response.status < 300:
        raise ProbeError(Reason.PLAYLIST_HTTP_ERROR, f"HTTP status {response.status}")
    chunks, size = [], 0
    async for chunk in response.aiter_stream():
        size += len(chunk)
        if size > most:
            raise ProbeError(Reason.TOO_LARGE, f"more than {most} bytes")
        chunks.append(chunk)
    return b"".join(chunks)

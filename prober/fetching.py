"""GET from the network that is probed: bounded in bytes, time and redirects, and only from addresses that may be."""

import asyncio
import re
import ssl
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic
from typing import NamedTuple

import aiohttp
from yarl import URL

from prober.addresses import AddressRule, GuardedResolver
from prober.problems import ProbeError
from prober.run import Reason

MAX_REDIRECTS = 5
GZIP = 16 + zlib.MAX_WBITS
MAX_CONNECTIONS = 16
IDLE_S = 30.0
BUFFER_BYTES = 1 << 18
_SENDABLE = re.compile(r"[\w!#$%&'()*+,./:;=?@\[\]~-]+", re.ASCII)
REDIRECTS = frozenset({301, 302, 303, 307, 308})
HEADERS = {"Accept": "*/*", "Accept-Encoding": "identity", "User-Agent": "podium-probe"}


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
        self._rule = rule
        self._connector = aiohttp.TCPConnector(
            resolver=GuardedResolver(rule),
            use_dns_cache=False,
            ssl=tls,
            limit=MAX_CONNECTIONS,
            keepalive_timeout=IDLE_S,
        )
        self._session = aiohttp.ClientSession(
            connector=self._connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            headers=HEADERS,
            auto_decompress=False,
            timeout=aiohttp.ClientTimeout(total=None),  # each fetch has its own
            read_bufsize=BUFFER_BYTES,
        )

    async def __aenter__(self) -> "Fetcher":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def get(self, url: str, bound: Bound) -> Answer:
        """The body of a 2xx answer; ProbeError for anything else."""
        started_at = monotonic()
        try:
            async with asyncio.timeout(bound.seconds):
                found, body = await self._follow(_url(url), bound)
        except TimeoutError:
            raise ProbeError(Reason.TIMEOUT, f"no whole answer within {bound.seconds:g} s") from None
        except (aiohttp.InvalidURL, ValueError):
            raise ProbeError(Reason.PLAYLIST_INVALID, "a URL that cannot be") from None
        except zlib.error:
            raise ProbeError(Reason.PLAYLIST_INVALID, "an answer that is not compressed as it says") from None
        except (aiohttp.ClientError, OSError) as error:
            raise ProbeError(Reason.PLAYLIST_UNREACHABLE, _said(error)) from None
        return Answer(str(found), body, monotonic() - started_at)

    async def _follow(self, url: URL, bound: Bound) -> tuple[URL, bytes]:
        for _ in range(MAX_REDIRECTS + 1):
            if url.scheme not in {"http", "https"}:
                raise ProbeError(Reason.ADDRESS_REFUSED, "a URL that is neither http nor https")
            self._rule.check_number(url.host or "")
            async with self._session.get(url, allow_redirects=False) as response:
                if response.status not in REDIRECTS:
                    return url, await _body(response, bound.bytes)
                url = url.join(_url(response.headers.get("Location", "")))
        raise ProbeError(Reason.PLAYLIST_HTTP_ERROR, f"more than {MAX_REDIRECTS} redirects")


def _url(text: str) -> URL:
    """A URL as it is written, since it may be signed so; what cannot be sent is encoded."""
    return URL(text, encoded=_SENDABLE.fullmatch(text) is not None)


async def _body(response: aiohttp.ClientResponse, most: int) -> bytes:
    if not 200 <= response.status < 300:
        raise ProbeError(Reason.PLAYLIST_HTTP_ERROR, f"HTTP status {response.status}")
    unpack = _unpacking(response.headers.get("Content-Encoding", "identity").lower())
    chunks, size = [], 0
    async for packed in response.content.iter_any():
        chunk = unpack(packed, most + 1 - size)
        size += len(chunk)
        if size > most:
            raise ProbeError(Reason.TOO_LARGE, f"more than {most} bytes")
        chunks.append(chunk)
    return b"".join(chunks)


def _unpacking(coding: str) -> Callable[[bytes, int], bytes]:
    """What makes the body of what comes, so many bytes at most; there are servers that compress unasked."""
    return zlib.decompressobj(GZIP).decompress if coding in {"gzip", "x-gzip"} else lambda packed, _most: packed


def _said(error: Exception) -> str:
    """Why, without the URL, which may have keys in it."""
    if isinstance(error, aiohttp.ClientConnectorError):
        return f"{error.host}:{error.port}: {error.os_error.strerror or error.os_error}"
    return type(error).__name__

"""JSON from other people's servers: bounded in time and size."""

import asyncio
from typing import Any

import httpx

MAX_BODY_BYTES = 1 << 20


async def fetch_json(client: httpx.AsyncClient, url: str, timeout_s: float) -> Any:
    """The decoded answer to GET `url`; an exception when there is none, or one that is too late or too large."""
    async with asyncio.timeout(timeout_s):  # httpx bounds each read, a server that trickles needs this as well
        async with client.stream("GET", url) as response:
            response.raise_for_status()
            body = b""
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > MAX_BODY_BYTES:
                    raise ValueError(f"the answer is larger than {MAX_BODY_BYTES} bytes")
    return httpx.Response(200, content=body).json()

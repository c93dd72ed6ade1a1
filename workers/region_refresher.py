"""Learns regions from a Catalyst server, in the background: old ones are served meanwhile."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httpx

from resolvers.remote_json import fetch_json

TIMEOUT_S = 5.0


async def refresh_regions(
    url: str, register: Callable[[dict[str, str]], Awaitable[None]], report: Callable[..., None], interval_s: float
) -> None:
    """Fetch now and every `interval_s`, until cancelled; `register` gets the display names by upper-case code."""
    while True:
        await refresh_now(url, register, report)
        await asyncio.sleep(max(interval_s, 1.0))


async def refresh_now(
    url: str, register: Callable[[dict[str, str]], Awaitable[None]], report: Callable[..., None]
) -> None:
    """Fetch once."""
    async with httpx.AsyncClient(timeout=TIMEOUT_S, follow_redirects=True) as client:
        await refresh_once(client, url, register, report)


async def refresh_once(
    client: httpx.AsyncClient,
    url: str,
    register: Callable[[dict[str, str]], Awaitable[None]],
    report: Callable[..., None],
) -> None:
    """One fetch; a failure is reported and changes nothing."""
    try:
        names = region_names(await fetch_json(client, url, TIMEOUT_S))
        await register(names)
    except Exception as error:  # a loop outlives every failure
        report("regions_refresh_failed", error=error)
    else:
        report("regions_refreshed", count=len(names))


def region_names(document: Any) -> dict[str, str]:
    """Display names by upper-case code, from `{"prod": {"full_name": {"<code>": "<name>"}}}`; others are left out."""
    match document:
        case {"prod": {"full_name": dict(names)}}:
            return {code.upper(): name for code, name in names.items() if _is_region(code, name)}
        case _:
            raise ValueError("the answer has no prod.full_name")


def _is_region(code: str, name: Any) -> bool:
    return isinstance(name, str) and 1 <= len(code) <= 56 and 1 <= len(name) <= 128 and "\0" not in code + name

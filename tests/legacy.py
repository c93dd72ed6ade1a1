"""A database of the original leaderboard, as tests make it."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import asyncpg

from tests.harness import NewDatabase

V1_TABLES = """
CREATE TABLE public.job_types (id serial PRIMARY KEY, name varchar(56) NOT NULL UNIQUE);
CREATE TABLE public.regions (
  id serial PRIMARY KEY, name varchar(56) NOT NULL, display_name varchar(128) NOT NULL,
  job_type_id integer REFERENCES public.job_types, UNIQUE (name, job_type_id));
CREATE TABLE public.events (
  id serial PRIMARY KEY, event_time timestamptz NOT NULL DEFAULT now(), orchestrator varchar(56) NOT NULL,
  region_id integer REFERENCES public.regions, payload jsonb NOT NULL);
CREATE TABLE public.schema_migrations (version bigint NOT NULL, dirty boolean NOT NULL);
INSERT INTO public.job_types (name) VALUES ('transcoding'), ('ai'), ('rendering');
INSERT INTO public.regions (name, display_name, job_type_id) VALUES
  ('FRA', 'Francoforte', 1), ('FRA', 'Frankfurt', 2), ('ATL', 'Atlanta', 1), ('BER', 'Berlin', 1), ('BER', 'Berlin', 2),
  ('OSL', '', 1), ('', 'Nowhere', 1), ('OLD', 'Of no job type', NULL), ('GPU', 'Of another', 3);
"""
RECORDED_AT = datetime(2024, 5, 6, 7, 8, 9, 123456, UTC)
POSTED_AT = 1_700_000_000
PAYLOAD: dict[str, Any] = {
    "region": "FRA",
    "orchestrator": "0xa",
    "success_rate": 1,
    "round_trip_time": 2.5,
    "errors": [],
    "timestamp": POSTED_AT,
}
MODEL = {"model": "m/1", "pipeline": "text-to-image"}


@dataclass
class Legacy:
    """A legacy database, filled by superuser's SQL."""

    url: str
    connection: asyncpg.Connection

    async def event(
        self, payload: Any = None, *, orchestrator: str = "0xA", region: str | None = "FRA", **row: Any
    ) -> int:
        """Insert an event; `payload` is added to a sound one, or is JSON text."""
        region_id = await self.connection.fetchval("SELECT min(id) FROM public.regions WHERE name = $1", region)
        id_ = row.get("id") or await self.connection.fetchval("SELECT nextval('public.events_id_seq')")
        values = (id_, row.get("at", RECORDED_AT), orchestrator, region_id, _text(payload))
        await self.connection.execute("INSERT INTO public.events VALUES ($1, $2, $3, $4, $5)", *values)
        return int(id_)

    async def events(self, count: int) -> None:
        """Insert many."""
        await self.connection.execute(
            "INSERT INTO public.events (orchestrator, region_id, payload)"
            " SELECT '0x' || i % 10, 1, $1 FROM generate_series(1, $2::integer) AS i",
            *(_text(), count),
        )

    async def region_table(self, name: str, *payloads: Any) -> None:
        """Make a table of before v1, and fill it."""
        await self.connection.execute(f"CREATE TABLE IF NOT EXISTS public.{name} (id serial PRIMARY KEY, stats jsonb)")
        for payload in payloads:
            stats = None if payload is None else _text(payload)
            await self.connection.execute(f"INSERT INTO public.{name} (stats) VALUES ($1)", stats)  # noqa: S608

    async def upgrade(self) -> None:
        """What the original's migration 3 does, on a server whose time zone is not UTC."""
        await self.connection.execute(V1_TABLES + "SET timezone = 'Europe/Oslo'")
        await self.connection.execute(
            "INSERT INTO public.events (event_time, orchestrator, region_id, payload) SELECT to_timestamp("
            "(stats ->> 'timestamp')::bigint) AT TIME ZONE 'UTC', stats ->> 'orchestrator', 1, stats FROM public.fra"
        )


@asynccontextmanager
async def legacy_database(new_database: NewDatabase) -> AsyncIterator[Legacy]:
    """An empty database for the original's tables."""
    made = await new_database(template="template0")
    connection = await asyncpg.connect(made.logins.superuser)
    yield Legacy(made.logins.superuser, connection)
    await connection.close()


def _text(payload: Any = None) -> str:
    return payload if isinstance(payload, str) else json.dumps(PAYLOAD | (payload or {}))

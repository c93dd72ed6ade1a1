"""A database of the original of telemetry, as tests make it."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import asyncpg

from tests.harness import NewDatabase

FIRST_TABLES = """
CREATE TABLE public.peer_connections (
  id serial PRIMARY KEY, ip_addr varchar NOT NULL, peer_id varchar, created_at timestamp NOT NULL DEFAULT now());
CREATE TABLE public.substrate_logs (
  id serial PRIMARY KEY, created_at timestamp NOT NULL DEFAULT now(), logs jsonb NOT NULL,
  peer_connection_id integer NOT NULL);
"""
TABLES = f"""{FIRST_TABLES}
ALTER TABLE public.peer_connections ADD audit boolean NOT NULL DEFAULT false, ADD name varchar, ADD chain varchar,
  ADD version varchar, ADD authority boolean, ADD startup_time bigint, ADD implementation varchar;
CREATE TABLE public.host_systems (
  id serial PRIMARY KEY, description varchar NOT NULL, os varchar NOT NULL, cpu_qty integer NOT NULL,
  cpu_clock integer NOT NULL, ram_mb integer NOT NULL, disk_info varchar NOT NULL);
CREATE TABLE public.benchmarks (id serial PRIMARY KEY, setup jsonb, created_at timestamp NOT NULL);
CREATE TABLE public.benchmark_events (
  id serial PRIMARY KEY, benchmark_id integer NOT NULL REFERENCES public.benchmarks, name varchar NOT NULL,
  phase varchar NOT NULL, created_at timestamp NOT NULL);
"""
OLD_BENCHMARKS = """
DROP TABLE public.benchmarks CASCADE;
CREATE TABLE public.benchmarks (
  id serial PRIMARY KEY, ts_start timestamp NOT NULL, ts_end timestamp NOT NULL, description varchar, chain_spec jsonb,
  benchmark_spec jsonb, host_system_id integer NOT NULL REFERENCES public.host_systems);
"""
OPENED_AT = "2020-08-19 09:38:05.398355"


@dataclass
class LegacyTelemetry:
    """A legacy database, filled by superuser's SQL."""

    url: str
    connection: asyncpg.Connection

    async def node(self, peer_id: str | None = None, opened_at: str = OPENED_AT, **columns: Any) -> int:
        """Insert a connection; its id."""
        row = {"ip_addr": "10.0.0.1:5", "peer_id": peer_id, "created_at": opened_at, **columns}
        return await self.insert("peer_connections", row)

    async def log(self, node: int, message: Any, ts: str = OPENED_AT, **columns: Any) -> int:
        """Insert a message; its id."""
        row = {"logs": message, "created_at": ts, "peer_connection_id": node, **columns}
        return await self.insert("substrate_logs", row)

    async def insert(self, table: str, row: dict[str, Any]) -> int:
        """Insert a row; its id."""
        columns = ", ".join(row)
        return int(
            await self.connection.fetchval(
                f"INSERT INTO public.{table} ({columns})"  # noqa: S608
                f" SELECT {columns} FROM jsonb_populate_record(NULL::public.{table}, $1) RETURNING id",
                json.dumps(row),
            )
        )


@asynccontextmanager
async def legacy_telemetry(new_database: NewDatabase, tables: str = TABLES) -> AsyncIterator[LegacyTelemetry]:
    """An empty database with the original's tables."""
    made = await new_database(template="template0")
    connection = await asyncpg.connect(made.logins.superuser)
    await connection.execute(tables)
    yield LegacyTelemetry(made.logins.superuser, connection)
    await connection.close()

"""What tests of viewer limits share: who asks to watch what, and what the database has of it."""

import asyncpg
import httpx

from tests.harness import Running

ACTIVE = "SELECT active FROM podium.viewers WHERE id = $1"
MOST_ACTIVE = "SELECT max((SELECT count(*) FROM jsonb_object_keys(active))) FROM podium.viewers"
FULL = {"status": "ko", "error": "Stream Limit Reached"}
INVALID = {"status": "ko", "error": "Invalid Data."}
AWAY = {"status": "ko", "error": "Service Unavailable"}


async def new_viewer(running: Running) -> str:
    return str((await running.client.get("/users/newId")).json()["userId"])


async def new_stream(running: Running) -> str:
    return str((await running.client.get("/streams/newId")).json()["streamId"])


async def new_streams(running: Running, number: int) -> list[str]:
    return [await new_stream(running) for _ in range(number)]


async def ask(running: Running, viewer: str | None, stream: str, deed: str = "activate") -> httpx.Response:
    headers = {} if viewer is None else {"x-userid": viewer}
    return await running.client.patch(f"/streams/{stream}/{deed}", headers=headers)


async def add(connection: asyncpg.Connection, *, viewers: int = 0, streams: int = 0) -> tuple[list[str], list[str]]:
    """Ids that are known from now on."""
    made = []
    for table, number in (("viewers", viewers), ("streams", streams)):
        ids = [f"{table[:-1]}-{place}" for place in range(number)]
        await connection.copy_records_to_table(
            table, schema_name="podium", records=[(id_,) for id_ in ids], columns=["id"]
        )
        made.append(ids)
    return made[0], made[1]

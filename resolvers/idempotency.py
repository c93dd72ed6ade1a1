"""Posts that are stored once, however often they arrive."""

import hashlib
from collections.abc import Sequence

import msgspec

from db.pool import Connection, Database, Row
from db.statements import STATEMENTS
from resolvers.catalog import Catalog
from resolvers.errors import IdempotencyConflict, InvalidArgument, Unavailable
from resolvers.identity import Identity
from resolvers.recording import CheckedResult, PostKey, Recorded, ResultKey, insert_results, mending

CLAIM_KEY = STATEMENTS["idempotency.claim_key"]
FIND_KEY = STATEMENTS["idempotency.find_key"]
FORGET_KEYS = STATEMENTS["idempotency.forget_keys"]

MAX_KEY_LENGTH = 255
KEPT_S = 24 * 3600.0


def post_key(identity: Identity, given: str | None = None, place: str = "") -> PostKey | None:
    """The key of a post: the given one, or the id of the webhook's message with the place in it that stores something.

    None for a post that may be stored again.
    """
    if given is not None:
        if not 1 <= len(given) <= MAX_KEY_LENGTH or "\0" in given:
            raise InvalidArgument(f"idempotencyKey: 1 to {MAX_KEY_LENGTH} characters", field="idempotencyKey")
        return PostKey(identity.owner, given, "idempotencyKey")
    if identity.message_id is None:
        return None
    if len(place) > MAX_KEY_LENGTH:
        raise InvalidArgument(f"webhook-id: an alias of {MAX_KEY_LENGTH} characters at most", field="webhook-id")
    # Of its own owner, because a given key could look like one.
    return PostKey("webhook-id", f"{identity.message_id}.{place}", "webhook-id")


async def record_once(db: Database, catalog: Catalog, key: PostKey, checked: Sequence[CheckedResult]) -> Recorded:
    """Store results unless the key was used; IdempotencyConflict when it was, with other results.

    Key and results are in one transaction: whatever breaks, both are there, or neither.
    """

    async def store() -> Recorded:
        async with db.write.transaction() as connection:
            claim = await _claim(connection, key, checked)
            if claim is None:
                return await _found(connection, key, checked)
            keys = _keys(claim)
            placed = [item._replace(id=k.id, recorded_at=k.recorded_at) for item, k in zip(checked, keys, strict=True)]
            await insert_results(connection, placed)
            return Recorded(keys)

    return await mending(db, catalog, checked, store)


async def forget_keys(db: Database, limit: int) -> int:
    """Delete some keys that are older than a day; how many there were."""
    return len(await db.write.fetch(FORGET_KEYS, age_s=KEPT_S, limit=limit))


def fingerprint(checked: Sequence[CheckedResult]) -> bytes:
    """What tells results from other ones."""
    return hashlib.sha256(msgspec.json.encode([item.result for item in checked])).digest()


async def _claim(connection: Connection, key: PostKey, checked: Sequence[CheckedResult]) -> Row | None:
    return await connection.fetchrow(
        CLAIM_KEY,
        owner=key.owner,
        key=key.key,
        fingerprint=fingerprint(checked),
        orchestrators=[item.result.orchestrator.lower() for item in checked],
    )


async def _found(connection: Connection, key: PostKey, checked: Sequence[CheckedResult]) -> Recorded:
    row = await connection.fetchrow(FIND_KEY, owner=key.owner, key=key.key)
    if row is None:  # old, and deleted just now
        raise Unavailable("the key has just been forgotten")
    if row.fingerprint != fingerprint(checked):
        raise IdempotencyConflict(key.field)
    return Recorded(_keys(row), is_replay=True)


def _keys(row: Row) -> list[ResultKey]:
    pairs = zip(row.orchestrators, row.ids, strict=True)
    return [ResultKey(orchestrator, row.created_at, id_) for orchestrator, id_ in pairs]

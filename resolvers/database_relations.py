"""What takes room in the database: podium's tables, partitions, indexes and sequences."""

from db.pool import Row
from db.statements import STATEMENTS
from resolvers.reading import NotingRunner, Reads

RELATIONS = STATEMENTS["server.relations"]


async def relations(db: NotingRunner, reads: Reads) -> list[Row]:
    """The relations (schema, name, kind, size_bytes, size), the largest first; sizes change without a word."""
    reads.is_of_the_present = True
    return await db.fetch(RELATIONS)

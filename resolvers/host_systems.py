"""The machines that benchmarks run on."""

from collections.abc import Sequence

import msgspec

from db.pool import Row, Runner
from db.statements import STATEMENTS
from resolvers.storable import check_int, check_text

HOST_SYSTEMS = STATEMENTS["benchmarks.host_systems"]
HOST_SYSTEMS_BY_ID = STATEMENTS["benchmarks.host_systems_by_id"]
ADD_HOST_SYSTEM = STATEMENTS["benchmarks.add_host_system"]


class NewHostSystem(msgspec.Struct, frozen=True):
    """A machine as it is described: the clock in MHz, the memory in MB."""

    description: str
    os: str
    cpu_qty: int
    cpu_clock: int
    ram_mb: int
    disk_info: str


async def all_host_systems(db: Runner) -> list[Row]:
    """Every host system (id, what it was created with, created_at), by id."""
    return await db.fetch(HOST_SYSTEMS)


async def host_systems_by_id(db: Runner, ids: Sequence[int]) -> list[Row | None]:
    """The host systems with these ids, in their order; None where there is none."""
    found = {row.id: row for row in await db.fetch(HOST_SYSTEMS_BY_ID, ids=ids)}
    return [found.get(id_) for id_ in ids]


async def create_host_system(db: Runner, new: NewHostSystem) -> Row:
    """Store a host system; InvalidArgument names the field that cannot be stored."""
    for field in ("description", "os", "disk_info"):
        check_text(field, getattr(new, field))
    for field in ("cpu_qty", "cpu_clock", "ram_mb"):
        check_int(field, getattr(new, field))
    (row,) = await db.fetch(ADD_HOST_SYSTEM, **msgspec.structs.asdict(new))
    return row

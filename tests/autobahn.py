"""The cases of the Autobahn suite, tried on each way in which a gateway takes messages: `make autobahn`."""

import asyncio
import sys
from pathlib import Path

from tests.echoes import WAYS, echoing
from tests.harness import serving_application

MAX_BYTES = 16 << 20
NOT_OFFERED = ("-x", "12.*", "-x", "13.*")  # compression


async def try_all(kosoku: str, reports: Path) -> int:
    """How many of the ways fail in a case; what each case was like is written to HTML pages."""
    async with serving_application(echoing(MAX_BYTES), MAX_BYTES) as url:
        address = url.replace("http", "ws", 1)
        return sum([await _fails(kosoku, f"{address}/{way}", *NOT_OFFERED, "-o", str(reports / way)) for way in WAYS])


async def _fails(*command: str) -> bool:
    process = await asyncio.create_subprocess_exec(*command)
    return await process.wait() != 0


if __name__ == "__main__":
    sys.exit(asyncio.run(try_all(sys.argv[1], Path(sys.argv[2]))))

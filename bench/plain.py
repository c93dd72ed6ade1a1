"""Plain Strawberry, for comparison: podium's schema, resolvers and context behind Strawberry's own application."""

import socket
import sys
from typing import Any

import orjson
import uvicorn
import uvloop
from strawberry.asgi import GraphQL

from gateway.app import Gateway
from gateway.parts import Urls
from gateway.settings import load_settings
from resolvers.identity import Identity
from schema.context import Backend, Context
from schema.root import schema


class Plain(GraphQL[Context, None]):
    """Executes every request as Strawberry does: parsed, validated, and completed by graphql-core."""

    def __init__(self, backend: Backend, identity: Identity) -> None:
        super().__init__(schema, graphql_ide=None)
        self._backend = backend
        self._identity = identity

    async def get_context(self, request: Any, response: Any) -> Context:
        """What podium's resolvers need."""
        return Context(self._backend, self._identity)


async def serve() -> None:
    """Serve on a free port until SIGTERM, with the settings of a gateway."""
    settings = load_settings()
    assert settings.postgres
    gateway = Gateway(settings, Urls(settings.postgres, settings.postgres_read or settings.postgres))
    await gateway.open()
    application = Plain(gateway.feeds.backend, await gateway.authenticator.identify(""))
    listening = socket.create_server(("127.0.0.1", 0), backlog=2048)
    ready = {"event": "ready", "url": f"http://127.0.0.1:{listening.getsockname()[1]}"}
    print(orjson.dumps(ready).decode(), file=sys.stderr, flush=True)
    config = uvicorn.Config(application, loop="uvloop", log_config=None, access_log=False, lifespan="off")
    await uvicorn.Server(config).serve(sockets=[listening])
    await gateway.db.close()


if __name__ == "__main__":
    uvloop.run(serve())

"""docs/streams.md: its operations are answered as they are printed."""

import re
from pathlib import Path

from tests.harness import TOKEN_SECRET, StartGateway
from tests.subscribers import hears, open_socket
from tests.viewers import ask, new_streams, new_viewer

PAGE = (Path(__file__).parents[2] / "docs" / "streams.md").read_text(encoding="utf-8")


async def test_the_printed_operations_are_answered(start_gateway: StartGateway) -> None:
    question, play, watch = re.findall(r"^```graphql\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    running = await start_gateway(jwt_secret=TOKEN_SECRET, anonymous_scopes="read,watch")
    viewer, streams = await new_viewer(running), await new_streams(running, 4)
    async with open_socket(running.url) as socket:
        await socket.subscribe(watch, viewer=viewer)
        await hears(running)
        for stream in streams[:3]:
            assert (await ask(running, viewer, stream)).status_code == 200
        assert (await socket.next())["viewerChanged"]["activeStreams"]
    shown = (await running.ask(question, viewer=viewer))["viewer"]
    assert [stream["id"] for stream in shown["activeStreams"]] == streams[:3]
    refused = (await running.ask(play, viewer=viewer, stream=streams[3]))["activateStream"]
    assert refused["limitReached"]["activeStreams"][0]["id"] == streams[0]
    (error,) = refused["errors"]
    assert all(f'"{name}":"{said}"' in PAGE for name, said in error.items())

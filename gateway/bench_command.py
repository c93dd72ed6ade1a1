"""`podium bench`: runs bench/, which a checkout has and an installed podium has not."""

import subprocess
import sys
from pathlib import Path

import typer

CHECKOUT = Path(__file__).resolve().parents[1]
NAMED = ("documents", "graphql", "growth", "probe", "purge", "streams", "subscribers", "telemetry")
PASS_ON = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}


def bench(context: typer.Context) -> None:
    """Measure how fast podium is on this machine; --help lists the options.

    `graphql` compares it with plain Strawberry and PostGraphile, `growth` with itself on ten and a hundred times the
    results, `subscribers` measures subscriptions, `documents` the memory that different documents take, `telemetry`
    what nodes send, `purge` how long it takes to let go of it, `streams` viewers that activate streams, and `probe`
    what a prober of many streams takes.
    """
    if not (CHECKOUT / "bench" / "run.py").exists():
        typer.echo("podium: only a checkout has the benchmarks: clone the repository and run make bench", err=True)
        raise typer.Exit(1)
    program, arguments = "run", context.args
    if arguments and arguments[0] in NAMED:
        program, *arguments = arguments
    command = (sys.executable, "-m", f"bench.{program}", *arguments)
    raise typer.Exit(subprocess.run(command, check=False).returncode)

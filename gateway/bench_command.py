"""`podium bench`: runs bench/, which a checkout has and an installed podium has not."""

import subprocess
import sys
from pathlib import Path

import typer

CHECKOUT = Path(__file__).resolve().parents[1]
PASS_ON = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}


def bench(context: typer.Context) -> None:
    """Measure how fast podium is on this machine; --help lists the options. `subscribers` measures subscriptions."""
    if not (CHECKOUT / "bench" / "run.py").exists():
        typer.echo("podium: only a checkout has the benchmarks: clone the repository and run make bench", err=True)
        raise typer.Exit(1)
    program, arguments = "bench.run", context.args
    if arguments[:1] == ["subscribers"]:
        program, arguments = "bench.subscribers", arguments[1:]
    command = (sys.executable, "-m", program, *arguments)
    raise typer.Exit(subprocess.run(command, check=False).returncode)

"""Becomes another program, one that dies with whoever started it: python tethered.py PARENT PROGRAM ARGUMENT…"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main(parent: int, program: list[str]) -> None:
    """Tell Linux to kill this process when its parent is gone, however that happens, then execute the program."""
    set_option = getattr(ctypes.CDLL(None), "prctl", None)
    if set_option is not None:
        set_option(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it died before it was asked for
        sys.exit(1)
    os.execvp(program[0], program)  # noqa: S606 (no shell)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])

"""A broker's process: ends with whoever started it, then becomes the broker.

`python -m agent.drill.broker_child PARENT exec PROGRAM ARG...` turns into that program;
`python -m agent.drill.broker_child PARENT iotcore CONFIG` runs the embedded broker here.
"""

from __future__ import annotations

import ctypes
import importlib
import logging
import os
import signal
import sys
from typing import NoReturn

_PR_SET_PDEATHSIG = 1  # prctl(2); kept across execve


def main(arguments: list[str]) -> NoReturn:
    """`arguments`: the parent's process id, what to become, and its arguments."""
    parent, kind, *rest = arguments
    _end_with(int(parent))
    if kind == "exec":
        os.execv(rest[0], rest)
    _serve_iotcore(rest[0])


def _end_with(parent: int) -> None:
    """Be killed when the parent dies, however it dies."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    if os.getppid() != parent:
        sys.exit(f"the process {parent} that started this broker has ended")


def _serve_iotcore(config: str) -> NoReturn:
    # rumqttd reports every packet it routes as an error.
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    logging.getLogger("rumqttd").setLevel(logging.CRITICAL)
    importlib.import_module("iotcore").Broker(config_path=config).run_forever()
    sys.exit("the embedded broker returned")


if __name__ == "__main__":
    main(sys.argv[1:])

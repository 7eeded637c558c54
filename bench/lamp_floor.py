"""The floor of bench/lamp.py: the smallest program that reads a frame and writes down when.

What the machine takes by itself (the pty's own work queue, who else wants a processor) is in it,
and nothing else.  `python -m bench.lamp_floor DEVICE FILE`
"""

from __future__ import annotations

import os
import select
import sys
import time
import tty


def main() -> None:
    device, file = sys.argv[1:]
    line = os.open(device, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    tty.setraw(line)
    out = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    while True:
        select.select([line], [], [])
        os.read(line, 4096)
        os.write(out, b"%d=1 %d\n" % (0, time.monotonic_ns()))


if __name__ == "__main__":
    main()

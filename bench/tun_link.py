"""Two network namespaces and one link between them: its rate is made by tbf, its loss by iptables,
its delay here, in user space, because a kernel may lack netem.  All traffic shares it.

`isolate()` first: the process moves into a namespace of its own (with a user namespace, so that no
root is needed).  The far end is a child in another one.
"""

from __future__ import annotations

import contextlib
import fcntl
import heapq
import os
import selectors
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import msgspec

NEAR, FAR = "10.77.0.1", "10.77.0.2"
DEVICE = "link0"
MTU = 1400
TUNSETIFF = 0x400454CA
"""linux/if_tun.h."""
IFF_TUN_NO_PI = 0x0001 | 0x1000
BURST_BYTES = 3000
QUEUE_MS = 500
"""What tbf holds before it drops: as much as its rate carries in this time."""
ISOLATED = "OUTPOST_BENCH_ISOLATED"


class Shape(msgspec.Struct, frozen=True):
    """Of each direction."""

    kbit_s: int
    delay_s: float = 0.0
    """One way."""
    loss: float = 0.0


def isolate(module: str) -> None:
    """Run `module` again in a network namespace of its own; returns inside it.  SystemExit."""
    if os.environ.get(ISOLATED):
        run("ip", "link", "set", "lo", "up")
        return
    done = subprocess.run(
        ["unshare", "-rn", sys.executable, "-m", module, *sys.argv[1:]],
        env=os.environ | {ISOLATED: "1"},
        check=False,
    )
    raise SystemExit(done.returncode)


def run(*command: str) -> None:
    """subprocess.CalledProcessError."""
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def open_device(address: str, peer: str) -> int:
    """A TUN device in this namespace; its file."""
    fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", DEVICE.encode(), IFF_TUN_NO_PI))
    run("ip", "addr", "add", address, "peer", peer, "dev", DEVICE)
    run("ip", "link", "set", DEVICE, "mtu", str(MTU), "up")
    run("ip", "route", "add", "default", "dev", DEVICE)
    return fd


def shape_here(shape: Shape) -> None:
    """What leaves this namespace from now on."""
    run(
        *("tc", "qdisc", "replace", "dev", DEVICE, "root", "tbf"),
        *("rate", f"{shape.kbit_s}kbit", "burst", str(BURST_BYTES), "latency", f"{QUEUE_MS}ms"),
    )
    run("iptables", "-F", "OUTPUT")
    if shape.loss:
        run(
            *("iptables", "-A", "OUTPUT", "-o", DEVICE, "-m", "statistic", "--mode", "random"),
            *("--probability", str(shape.loss), "-j", "DROP"),
        )


class Delay:
    """Carries packets between two TUN devices, each a while later."""

    def __init__(self, near: int, far: int) -> None:
        self.delay_s = 0.0
        self._other = {near: far, far: near}
        self._waiting: list[tuple[float, int, int, bytes]] = []
        self._count = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._carry, name="link", daemon=True)
        self._thread.start()

    def _carry(self) -> None:
        with selectors.DefaultSelector() as selector:
            for fd in self._other:
                selector.register(fd, selectors.EVENT_READ)
            while not self._over.is_set():
                wait_s = self._waiting[0][0] - time.monotonic() if self._waiting else 0.2
                for key, _ in selector.select(max(0.0, wait_s)):
                    self._take(key.fd)
                self._give()

    def _take(self, fd: int) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                packet = os.read(fd, 65536)
                self._count += 1
                due = time.monotonic() + self.delay_s
                heapq.heappush(self._waiting, (due, self._count, self._other[fd], packet))

    def _give(self) -> None:
        while self._waiting and self._waiting[0][0] <= time.monotonic():
            _, _, to, packet = heapq.heappop(self._waiting)
            with contextlib.suppress(BlockingIOError, OSError):
                os.write(to, packet)

    def close(self) -> None:
        self._over.set()
        self._thread.join()


@contextlib.contextmanager
def far_end(module: str, *arguments: str) -> Iterator[tuple[socket.socket, Delay]]:
    """`python -m module FD ...` in a namespace at the other end; a socket to it, and the link."""
    ours, theirs = socket.socketpair()
    near = open_device(NEAR, FAR)
    with theirs:
        process = subprocess.Popen(
            ["unshare", "-n", sys.executable, "-m", module, str(theirs.fileno()), *arguments],
            pass_fds=[theirs.fileno()],
        )
    try:
        _, (far,), _, _ = socket.recv_fds(ours, 16, 1)
        os.set_blocking(far, False)
        link = Delay(near, far)
        try:
            yield ours, link
        finally:
            link.close()
    finally:
        ours.close()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def far_device(fd: int) -> socket.socket:
    """For the module at the far end: its device goes to the near end, which carries the packets."""
    run("ip", "link", "set", "lo", "up")
    channel = socket.socket(fileno=fd)
    device = open_device(FAR, NEAR)
    socket.send_fds(channel, [b"device"], [device])
    return channel

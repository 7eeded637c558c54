"""A fresh Debian in a folder: commands run in it, and it boots, its own systemd as process 1."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import msgspec

from tests.waiting import wait_until

SUITE = "bookworm"
PACKAGES = "systemd,systemd-sysv,udev,dbus,make,git,python3,python3-venv,ca-certificates,procps"
ENTER = Path(__file__).parent / "enter.sh"
CGROUP = "outpost-install-test"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
KEPT = (
    "PIP_CERT",
    "PIP_INDEX",
    "PIP_EXTRA",
    "PIP_DEFAULT_TIMEOUT",
    "SSL_",
    "NODE_EXTRA_CA_CERTS",
    "REQUESTS_CA_BUNDLE",
    "http",
    "HTTP",
    "no_proxy",
)
"""What a person's environment says of the way to the package index."""


class Debian(msgspec.Struct, frozen=True):
    """One system; the namespaces of a command end with it."""

    root: Path

    @classmethod
    def make(cls, root: Path) -> Debian:
        """Half a minute with debootstrap, or a copy of the one that OUTPOST_DEBIAN names."""
        if base := os.environ.get("OUTPOST_DEBIAN"):
            subprocess.run(["cp", "-a", base, str(root)], check=True)
        else:
            subprocess.run(
                ["debootstrap", "--variant=minbase", f"--include={PACKAGES}", SUITE, str(root)],
                check=True,
                stdout=subprocess.DEVNULL,
            )
        shutil.copy("/etc/resolv.conf", root / "etc/resolv.conf")
        for name, value in environment().items():
            if value.startswith("/etc/") and Path(value).is_file() and name != "PATH":
                (root / value[1:]).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(value, root / value[1:])
        return cls(root)

    def run(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """One command as root.  CalledProcessError, with its words, unless `check` is false."""
        unshare = ["unshare", "--mount", "--pid", "--fork", "--kill-child"]
        return _run([*unshare, str(ENTER), str(self.root), *command], environment(), check)

    @contextlib.contextmanager
    def booted(self) -> Iterator[Booted]:
        """Process 1 is the system's own systemd, without any network but loopback."""
        group = cgroup_root() / CGROUP
        group.mkdir(exist_ok=True)
        unshare = "unshare --mount --pid --fork --kill-child --net --uts --ipc --cgroup"
        script = f'echo $$ >"$1" && exec {unshare} "$2" "$3" /lib/systemd/systemd --system'
        outer = subprocess.Popen(
            ["sh", "-c", script, "sh", str(group / "cgroup.procs"), str(ENTER), str(self.root)],
            env={"PATH": PATH, "container": "lxc"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            children = Path(f"/proc/{outer.pid}/task/{outer.pid}/children")
            wait_until(lambda: bool(children.read_text().split()), "the namespaces are made")
            system = Booted(int(children.read_text().split()[0]))
            wait_until(system.is_up, "systemd is up", timeout_s=60)
            yield system
        finally:
            outer.kill()
            outer.wait()
            wait_until(lambda: remove_cgroup(group), "its cgroups are empty")


class Booted(msgspec.Struct, frozen=True):
    """A system that runs; `pid` is its process 1 as seen from here."""

    pid: int

    def run(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """One command as root in it."""
        enter = ["nsenter", "--target", str(self.pid), "--all", "--root", "--wd=/"]
        return _run([*enter, *command], {"PATH": PATH}, check)

    def is_up(self) -> bool:
        said = self.run("systemctl", "is-system-running", check=False).stdout.strip()
        return said in ("running", "degraded")

    def show(self, unit: str, name: str) -> str:
        """One property of a unit."""
        return self.run("systemctl", "show", "--value", "-p", name, unit).stdout.strip()


def environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name.startswith(KEPT)}
    return {"PATH": PATH, "HOME": "/root", "LC_ALL": "C.UTF-8"} | kept


def cgroup_root() -> Path:
    """Where this machine has the unified hierarchy.  LookupError: nowhere."""
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, folder, kind, *_ = line.split()
        if kind == "cgroup2":
            return Path(folder)
    raise LookupError("no cgroup2 is mounted here")


def remove_cgroup(group: Path) -> bool:
    """Remove a tree of cgroups; False while processes are still ending in it."""
    with contextlib.suppress(OSError):
        for folder, _, _ in os.walk(group, topdown=False):
            os.rmdir(folder)
    return not group.exists()


def _run(command: list[str], env: dict[str, str], check: bool) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        command,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert not check or done.returncode == 0, f"{' '.join(command)}\n{done.stdout[-3000:]}"
    return done

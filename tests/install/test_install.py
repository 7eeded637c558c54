"""`install.sh` on a fresh Debian: install, boot, upgrade, a failed upgrade, removal.

Asked for by `pytest -m install` (root, debootstrap, some minutes); OUTPOST_DEBIAN may name a folder
with a system that debootstrap has made before.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.install.debian import Debian
from tests.waiting import wait_until

pytestmark = [pytest.mark.install, pytest.mark.timeout(900)]

ROOT = Path(__file__).parents[2]
UNITS = ("outpost.service", "outpost-console.service")
MOST_EXPOSED = 2.2
"""Of systemd's 0 (nothing) to 10; devices, network, DTLS's callbacks and reading NTP's state have
their price, which the unit names line by line."""


@pytest.fixture(scope="module")
def debian(tmp_path_factory: pytest.TempPathFactory) -> Debian:
    if os.geteuid() != 0 or shutil.which("debootstrap") is None:
        pytest.skip("needs root and debootstrap")
    subprocess.run(["make", "--silent", "dist/.wheel"], cwd=ROOT, check=True)
    system = Debian.make(tmp_path_factory.mktemp("debian") / "root")
    source = system.root / "opt/source"
    source.mkdir(parents=True)
    for wheel in (ROOT / "dist").glob("outpost-*.whl"):
        shutil.copy(wheel, source)
    for name in ("Makefile", "requirements.lock"):
        shutil.copy(ROOT / name, source)
    (source / "dist").mkdir()
    for wheel in source.glob("outpost-*.whl"):
        wheel.rename(source / "dist" / wheel.name)
    shutil.copytree(ROOT / "systemd", source / "systemd")
    return system


def make(debian: Debian, target: str, *variables: str, check: bool = True) -> str:
    return debian.run("make", "-C", "/opt/source", target, *variables, check=check).stdout


def test_installing(debian: Debian) -> None:
    said = make(debian, "install")
    assert "systemctl enable --now outpost.service" in said
    debian.run("outpost", "check", "/etc/outpost/agent.toml")
    assert debian.run("id", "-nG", "outpost").stdout.split() == [
        "outpost", "dialout", "audio", "video", "gpio",
    ]  # fmt: skip
    listed = debian.run("stat", "-c", "%a %U %n", "/var/lib/outpost", "/etc/outpost/credentials")
    assert listed.stdout.split("\n")[:2] == [
        "750 outpost /var/lib/outpost",
        "700 root /etc/outpost/credentials",
    ]


@pytest.mark.parametrize("unit", UNITS)
def test_systemd_has_nothing_to_say_of_the_units(debian: Debian, unit: str) -> None:
    said = debian.run("systemd-analyze", "verify", f"/usr/local/lib/systemd/system/{unit}")
    assert said.stdout.strip() == ""


@pytest.mark.parametrize("unit", UNITS)
def test_the_sandbox_holds(debian: Debian, unit: str) -> None:
    path = f"/usr/local/lib/systemd/system/{unit}"
    said = debian.run("systemd-analyze", "security", "--offline=true", path).stdout
    level = re.search(r"Overall exposure level for \S+: ([\d.]+)", said)
    assert level is not None
    assert float(level[1]) <= MOST_EXPOSED


def test_it_boots_without_a_login_and_comes_back(debian: Debian) -> None:
    debian.run("systemctl", "enable", *UNITS)
    shutil.copy(Path(__file__).parent / "probe.py", debian.root / "opt/probe.py")
    # The same sandbox, and the start fails where the probe does.
    drop_in = debian.root / "etc/systemd/system/outpost.service.d/probe.conf"
    drop_in.parent.mkdir(parents=True)
    drop_in.write_text("[Service]\nExecStartPre=/opt/outpost/bin/python -I /opt/probe.py\n")
    with debian.booted() as system:
        wait_until(
            lambda: system.show(UNITS[0], "ActiveState") in ("active", "failed"),
            "the agent has started",
            timeout_s=30,
        )
        journal = system.run("journalctl", "--no-pager", "-u", UNITS[0]).stdout
        assert system.show(UNITS[0], "NRestarts") == "0", journal
        page = "import urllib.request as u; print(u.urlopen('http://127.0.0.1:8765/').status)"
        wait_until(
            lambda: system.run("python3", "-c", page, check=False).stdout.strip() == "200",
            "the page is served",
            timeout_s=30,
        )
        assert system.show(UNITS[1], "NRestarts") == "0"
        first = system.show(UNITS[0], "MainPID")
        assert system.run("stat", "-c", "%U", f"/proc/{first}").stdout.strip() == "outpost"
        system.run("kill", "-9", first)
        wait_until(
            lambda: (
                system.show(UNITS[0], "MainPID") not in ("0", first)
                and system.show(UNITS[0], "ActiveState") == "active"
            ),
            "the agent is back after kill -9",
            timeout_s=30,
        )
        system.run("systemctl", "stop", *UNITS)
        assert system.show(UNITS[0], "Result") == "success"


def test_an_upgrade_keeps_the_configuration(debian: Debian) -> None:
    config = debian.root / "etc/outpost/agent.toml"
    config.write_text(config.read_text() + "\n# mine\n")
    assert "Upgraded" in make(debian, "install")
    assert config.read_text().endswith("# mine\n")


def test_an_upgrade_that_fails_leaves_the_old_version_at_work(debian: Debian) -> None:
    (debian.root / "opt/source/outpost-9.9.9-py3-none-any.whl").write_bytes(b"no wheel")
    said = debian.run(
        "/opt/source/systemd/install.sh", "install", "/opt/source/outpost-9.9.9-py3-none-any.whl",
        check=False,
    )  # fmt: skip
    assert said.returncode == 1
    assert "what was installed before is untouched" in said.stdout
    debian.run("outpost", "check", "/etc/outpost/agent.toml")


def test_staging_into_a_folder_leaves_no_trace_of_the_folder(debian: Debian) -> None:
    make(debian, "install", "DESTDIR=/var/stage", "EXTRAS=none")
    stage = debian.root / "var/stage"
    assert (stage / "usr/local/lib/systemd/system/outpost.service").is_file()
    assert (stage / "opt/outpost/bin/outpost").read_text().startswith("#!/opt/outpost/bin/python")
    traces = debian.run("grep", "-rlF", "/var/stage", "/var/stage", check=False).stdout.split()
    assert [trace for trace in traces if "direct_url.json" not in trace] == []


def test_removal_leaves_records_unless_purged(debian: Debian) -> None:
    (debian.root / "var/lib/outpost/records").write_text("kept")
    make(debian, "uninstall")
    assert not (debian.root / "opt/outpost").exists()
    assert not (debian.root / "usr/local/lib/systemd/system/outpost.service").exists()
    assert (debian.root / "var/lib/outpost/records").read_text() == "kept"
    assert (debian.root / "etc/outpost/agent.toml").is_file()
    make(debian, "uninstall", "PURGE=1")
    assert not (debian.root / "var/lib/outpost").exists()
    assert not (debian.root / "etc/outpost").exists()
    assert debian.run("getent", "passwd", "outpost", check=False).returncode != 0

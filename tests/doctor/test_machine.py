"""What the doctor reads of a machine, from folders that look like /sys, /proc and /dev."""

from __future__ import annotations

import os
import socket
import struct
import subprocess
import sys
from pathlib import Path
from string import Formatter

import pytest

from agent.doctor import machine, ports, words
from agent.doctor.finding import Finding, Level
from agent.doctor.holders import Holders


class Machine:
    """A root folder with a kernel's files in it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for folder in ("dev/serial/by-id", "dev/serial/by-path", "sys/class/tty", "proc"):
            (root / folder).mkdir(parents=True)

    def write(self, path: str, text: str) -> Path:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    def adapter(self, tty: str, socket: str, usb: str, title: str = "USB Serial") -> Path:
        vendor, product = usb.split(":")
        folder = f"sys/devices/usb1/{socket}"
        self.write(f"{folder}/idVendor", vendor + "\n")
        self.write(f"{folder}/idProduct", product + "\n")
        self.write(f"{folder}/product", title + "\n")
        interface = self.root / folder / f"{socket}:1.0"
        interface.mkdir(exist_ok=True)
        bus = self.root / "sys/bus/usb/devices"
        bus.mkdir(parents=True, exist_ok=True)
        (bus / socket).symlink_to(self.root / folder)
        if tty:
            (interface / tty).mkdir()
            (self.root / "sys/class/tty" / tty).mkdir()
            (self.root / "sys/class/tty" / tty / "device").symlink_to(interface / tty)
        return self.write(f"dev/{tty}", "") if tty else interface

    def process(self, pid: int, name: str, *opened: Path) -> None:
        self.write(f"proc/{pid}/comm", name + "\n")
        (self.root / f"proc/{pid}/fd").mkdir()
        for number, path in enumerate(opened):
            (self.root / f"proc/{pid}/fd/{number}").symlink_to(path)

    def ports(self) -> tuple[list[ports.SerialLine], list[Finding]]:
        holders = Holders(self.root / "proc")
        lines = ports.find(self.root, holders)
        return lines, list(ports.findings(lines, holders, self.root))


@pytest.fixture
def here(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def codes(findings: list[Finding]) -> list[str]:
    return [finding.code for finding in findings]


def said(finding: Finding, lang: str = "en") -> str:
    return words.say(finding, lang)


def test_an_adapter_with_a_serial_number_is_named_by_id(here: Machine) -> None:
    here.adapter("ttyUSB0", "1-1.2", "0403:6001", "FT232R")
    for link in ("by-id/usb-FTDI_A1-if00-port0", "by-path/pci-usb-0:1.2"):
        (here.root / "dev/serial" / link).symlink_to("../../ttyUSB0")
    (line,), (finding,) = here.ports()
    assert line.name == str(here.root / "dev/serial/by-id/usb-FTDI_A1-if00-port0")
    assert len(line.links) == 2
    assert (finding.code, finding.level) == ("port_free", Level.GOOD)
    assert said(finding) == f"+ {line.name} is free 0403:6001 FT232 FT232R"


def test_one_without_is_named_by_its_socket_because_by_id_collides(here: Machine) -> None:
    here.adapter("ttyUSB0", "1-1.2", "1a86:7523")
    (here.root / "dev/serial/by-id/usb-1a86-if00-port0").symlink_to("../../ttyUSB0")
    (here.root / "dev/serial/by-path/usb-0:1.2").symlink_to("../../ttyUSB0")
    (line,), _ = here.ports()
    assert line.name == str(here.root / "dev/serial/by-path/usb-0:1.2")


def test_a_name_of_udev_rules_comes_first(here: Machine) -> None:
    here.adapter("ttyACM0", "1-3", "1546:01a9")
    (here.root / "dev/outpost").mkdir()
    (here.root / "dev/outpost/gnss").symlink_to("../ttyACM0")
    (here.root / "dev/serial/by-id/usb-u-blox").symlink_to("../../ttyACM0")
    (line,), _ = here.ports()
    assert line.name == str(here.root / "dev/outpost/gnss")


def test_chips_that_are_not_there_are_no_ports(here: Machine) -> None:
    for name, kind in (("ttyS0", "4"), ("ttyS1", "0")):
        (here.root / "sys/class/tty" / name / "device").mkdir(parents=True)
        here.write(f"sys/class/tty/{name}/type", kind + "\n")
        here.write(f"dev/{name}", "")
    (here.root / "sys/class/tty/tty0").mkdir()
    lines, _ = here.ports()
    assert [line.device.name for line in lines] == ["ttyS0"]


def test_no_port_at_all_is_said(here: Machine) -> None:
    assert codes(here.ports()[1]) == ["no_ports"]


def test_ends_of_processes_while_they_are_looked_at_are_borne(here: Machine) -> None:
    (here.root / "proc/77").mkdir()
    here.write("proc/uptime", "1")
    assert Holders(here.root / "proc").names == {}


def test_brltty_makes_a_port_vanish(here: Machine) -> None:
    here.adapter("", "1-1.4", "1a86:7523")
    assert codes(here.ports()[1]) == ["no_ports", "adapter_without_port"]
    here.process(300, "brltty")
    _, findings = here.ports()
    assert codes(findings) == ["no_ports", "adapter_taken", "busybody"]
    assert said(findings[1]) == (
        "x 1a86:7523 CH340 in USB socket 1-1.4 has no port: brltty takes it; remove brltty"
    )
    assert "brltty 占用" in said(findings[1], "zh")


def test_modem_manager_is_warned_of(here: Machine) -> None:
    here.adapter("ttyUSB0", "1-1", "10c4:ea60")
    here.process(12, "ModemManager")
    _, findings = here.ports()
    assert codes(findings) == ["port_free", "busybody"]
    assert findings[1].data == {"name": "ModemManager"}


def test_a_camera_is_named_with_its_nodes(here: Machine) -> None:
    assert codes(list(machine.cameras(here.root))) == ["no_cameras"]
    for number, index in ((10, 1), (2, 0), (3, 0)):
        here.write(f"sys/class/video4linux/video{number}/name", "HD Camera\n")
        here.write(f"sys/class/video4linux/video{number}/index", f"{index}\n")
        if number != 3:
            here.write(f"dev/video{number}", "")
    found = list(machine.cameras(here.root))
    assert [said(finding) for finding in found] == [
        f"+ {here.root}/dev/video2 HD Camera (node 0)",
        f"+ {here.root}/dev/video10 HD Camera (node 1)",
    ]


def test_sound_cards_come_from_proc(here: Machine) -> None:
    assert codes(list(machine.sound(here.root))) == ["no_sound"]
    here.write("proc/asound/cards", "--- no soundcards ---\n")
    assert codes(list(machine.sound(here.root))) == ["no_sound"]
    text = " 0 [PCH            ]: HDA-Intel - HDA Intel PCH\n                      at 0xf1 irq 1\n"
    here.write("proc/asound/cards", text)
    (card,) = machine.sound(here.root)
    assert card.data == {"number": 0, "id": "PCH", "title": "HDA-Intel - HDA Intel PCH"}


@pytest.mark.parametrize(
    ("does", "code"),
    [
        ("playback 1 : capture 1", "sound_both"),
        ("playback 1", "sound_plays"),
        ("capture 1", "sound_records"),
        ("", "sound_card"),
    ],
)
def test_what_a_card_does_is_said(here: Machine, does: str, code: str) -> None:
    here.write("proc/asound/cards", " 1 [Device         ]: USB-Audio - USB Audio Device\n")
    here.write(
        "proc/asound/pcm",
        f"00-00: other : other : playback 1 : capture 1\n01-00: USB Audio : USB Audio : {does} \n",
    )
    (card,) = machine.sound(here.root)
    assert (card.code, card.level) == (code, Level.GOOD)


def test_a_card_that_may_not_be_opened_says_which_group(
    here: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    here.write("proc/asound/cards", " 1 [Device         ]: USB-Audio - USB Audio Device\n")
    here.write("dev/snd/pcmC1D0c", "")
    # Root may open everything.
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path).name != "pcmC1D0c")
    (card,) = machine.sound(here.root)
    assert (card.code, card.level) == ("sound_denied", Level.BAD)
    assert "group audio" in words.say(card, "en")


def test_gpio_chips_are_listed_whatever_they_are(here: Machine) -> None:
    assert codes(list(machine.gpio(here.root))) == ["no_gpio"]
    here.write("dev/gpiochip0", "")
    (chip,) = machine.gpio(here.root)
    assert (chip.code, chip.data["lines"]) == ("gpio_chip", 0)


def hexadecimal(address: str) -> str:
    return f"{struct.unpack('=I', socket.inet_aton(address))[0]:08X}"


def test_network_and_the_best_default_route(here: Machine) -> None:
    assert codes(list(machine.network(here.root))) == ["no_route"]
    for name, state, carrier in (
        ("eth7", "up", "1"),
        ("wlan7", "down", "0"),
        ("wg7", "unknown", "1"),
    ):
        here.write(f"sys/class/net/{name}/operstate", state + "\n")
        here.write(f"sys/class/net/{name}/carrier", carrier + "\n")
    here.write("sys/class/net/bonding_masters", "")
    here.write("sys/class/net/lo/operstate", "unknown\n")
    (here.root / "sys/class/net/wlan7/wireless").mkdir()
    head = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n"
    row = "{}\t00000000\t{}\t0003\t0\t0\t{}\t00000000\t0\t0\t0\n"
    here.write(
        "proc/net/route",
        head
        + row.format("wwan0", hexadecimal("10.0.0.1"), 700)
        + row.format("eth7", hexadecimal("192.168.7.1"), 100)
        + f"eth7\t{hexadecimal('192.168.7.0')}\t00000000\t1\t0\t0\t0\t00FFFFFF\t0\t0\t0\n",
    )
    found = list(machine.network(here.root))
    assert [said(finding) for finding in found] == [
        "+ eth7 is up",
        "+ wg7 is up",
        "  wlan7 wlan is down",
        "+ default route by eth7, gateway 192.168.7.1",
    ]


def test_the_disk_is_that_of_the_store_or_of_the_folder_above(tmp_path: Path) -> None:
    finding = machine.disk(tmp_path / "not" / "yet")
    assert finding.data["folder"] == str(tmp_path)
    assert 0 < finding.data["free_mb"] <= finding.data["total_mb"]


def test_the_clock_says_where_it_comes_from() -> None:
    assert machine.clock().code in ("clock_ntp", "clock_rtc", "clock_free")


def test_this_machine_can_be_looked_at_whatever_it_has() -> None:
    holders = Holders()
    found = [*ports.findings(ports.find(holders=holders), holders), *machine.findings()]
    assert {f.part for f in found} >= {"ports", "cameras", "sound", "gpio", "network", "clock"}
    for finding in found:
        assert said(finding, "zh")
        assert said(finding, "en")


def test_a_real_holder_is_found_under_every_name_of_the_device(
    tmp_path: Path, pty_pair: tuple[int, str]
) -> None:
    _, device = pty_pair
    link = tmp_path / "gas"
    link.symlink_to(device)
    program = "import os, sys; os.open(sys.argv[1], os.O_RDWR); print(flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", program, device], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"\n"
        (holder,) = Holders().of(link)
        child.communicate(b"\n")
    assert holder.pid == child.pid
    assert str(holder).endswith(f"(pid {child.pid})")


def test_every_sentence_is_there_in_both_languages() -> None:
    for code, pair in words.SENTENCES.items():
        chinese, english = pair
        assert set(fields(chinese)) == set(fields(english)), code


def fields(sentence: str) -> list[str]:
    return [name for _, name, _, _ in Formatter().parse(sentence) if name]


@pytest.mark.parametrize(
    ("environment", "lang"),
    [
        ({}, "en"), ({"LANG": "C.UTF-8"}, "en"), ({"LANG": "zh_CN.UTF-8"}, "zh"),
        ({"LANG": "zh_CN.UTF-8", "LC_ALL": "en_GB.UTF-8"}, "en"),
        ({"LC_MESSAGES": "zh_TW"}, "zh"), ({"LC_ALL": "", "LANG": "ZH_cn"}, "zh"),
    ],
)  # fmt: skip
def test_the_language_is_the_locale_s(environment: dict[str, str], lang: str) -> None:
    assert words.language(environment) == lang

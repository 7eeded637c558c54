"""`outpost selftest` against a real unit: chlorine and oxygen sensors on ptys, test gas, a
lock-out, a restart, a signature that another program can check."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from agent.incident.record import decode_line
from agent.selftest import sign
from drivers.sim import winsen
from drivers.sim.line import Line
from tests.agent.agent_process import ROOT, AgentProcess, agent
from tests.waiting import until

SOURCE = '[[source]]\nname = "{name}"\ndriver = "winsen"\nport = "{port}"\ngas = "{gas}"\n'
TABLES = (
    '[alarms]\nlimits = "responder"\n[person.selftest]\nbump_s = 20.0\non_overdue = "{late}"\n'
    'key_file = "{key}"\n'
)


class Bench:
    def __init__(self, unit: AgentProcess, twins: dict[str, winsen.Twin], key: str) -> None:
        self.unit = unit
        self.twins = twins
        self.key = key
        """The public one, base64."""

    @property
    def command(self) -> list[str]:
        return [sys.executable, "-m", "agent", "selftest", "--config", str(self.unit.config)]

    def start(self, *args: str, **over: Any) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [*self.command, *args], env=os.environ | {"PYTHONPATH": str(ROOT)},
            **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **over},
        )  # fmt: skip

    async def selftest(self, *args: str) -> tuple[int, dict[str, Any]]:
        """Exit status, and the report."""
        process = self.start("--json", "--by", "Chen", *args, stdin=subprocess.DEVNULL)
        out, err = await asyncio.to_thread(process.communicate)
        assert out, err.decode()
        return process.returncode, json.loads(out)["report"]

    async def bumped(
        self, name: str, gas: str, ppm: float, *args: str
    ) -> tuple[int, dict[str, Any]]:
        """With test gas given to a sensor while the program waits for it."""
        checking = asyncio.create_task(self.selftest("--bump", f"{name}={gas}:{ppm}", *args))
        while True:
            told = await self.status()
            if told.get("bumping") == f"{name}/{gas}":
                break
            assert not checking.done(), checking.result()
            await asyncio.sleep(0.02)
        self.twins[name].set(**{gas: ppm})
        result = await checking
        self.twins[name].set(**{gas: 0.0})
        return result

    async def status(self) -> dict[str, Any]:
        from agent import control

        answer = await control.ask(self.unit.store, "selftest.look")
        found: dict[str, Any] = answer["selftest"]
        return found

    async def ready_to_ask(self) -> None:
        """Both sensors have measured."""
        for _ in range(2000):
            with contextlib.suppress(OSError):
                if len((await self.status()).get("sensors", [])) == len(self.twins):
                    return
            await asyncio.sleep(0.01)
        raise TimeoutError("the sensors do not measure")

    def events(self, name: str) -> list[dict[str, Any]]:
        """Of the incident log."""
        lines = (self.unit.store / "incident.jsonl").read_bytes().splitlines()
        bodies = [msgspec.json.decode(decode_line(line).body) for line in lines]
        return [body for body in bodies if body.get("event") == name]


@contextlib.asynccontextmanager
async def bench(folder: Path, late: str = "warn") -> AsyncIterator[Bench]:
    key = Ed25519PrivateKey.generate()
    file = folder / "unit.key"
    file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )  # fmt: skip
    file.chmod(0o600)
    tables, twins, playing = TABLES.format(late=late, key=file), {}, []
    async with contextlib.AsyncExitStack() as stack:
        for name, gas, value in (("gas1", "cl2", 0.0), ("cell", "o2", 20.9)):
            line = await stack.enter_async_context(Line(folder / name))
            twins[name] = twin = winsen.Twin(line, gas=gas, period_s=0.2)
            twin.set(**{gas: value})
            playing.append(asyncio.create_task(twin.run()))
            tables = SOURCE.format(name=name, port=line.link, gas=gas) + tables
        try:
            unit = await stack.enter_async_context(agent(folder / "unit", tables))
            public = sign.sign(key, "x", {})["key"]
            made = Bench(unit, twins, public)
            await made.ready_to_ask()
            yield made
        finally:
            for task in playing:
                task.cancel()
            await asyncio.gather(*playing, return_exceptions=True)


def codes(report: dict[str, Any], item: str) -> dict[str, str]:
    """By source."""
    return {one.get("source", ""): one["code"] for one in report["items"] if one["item"] == item}


async def test_nothing_is_green_that_nobody_has_looked_at(tmp_path: Path) -> None:
    async with bench(tmp_path) as made:
        assert (await made.status())["state"] == "never"
        status, report = await made.selftest()
        assert (status, report["result"]) == (0, "ready_with_warnings")
        assert codes(report, "zero") == {"gas1": "zero_not_stated", "cell": "zero_not_stated"}
        assert codes(report, "bump") == {"gas1": "bump_missing", "cell": "bump_missing"}
        assert codes(report, "calibration")["gas1"] == "calibration_unknown"
        assert codes(report, "sensor") == {"gas1": "up", "cell": "up"}


async def test_a_bump_test_and_a_zero_are_recorded_signed_and_kept_over_kill_9(
    tmp_path: Path,
) -> None:
    async with bench(tmp_path) as made:
        _, report = await made.bumped("gas1", "cl2", 5.0, "--clean-air")
        assert codes(report, "zero") == {"gas1": "zero_good", "cell": "zero_good"}
        assert codes(report, "bump") == {"gas1": "bump_good", "cell": "bump_missing"}
        # While test gas is there, the alarm is a real one.
        alarms = {one["alarm"] for one in (await made.unit.status())["alarms"]}
        assert "gas1/cl2/high" in alarms
        (test,) = (await made.status())["bumps"]
        assert (test["passed"], test["concentration"], test["by"]) == (True, 5.0, "Chen")
        assert test["value"] >= 2.5
        assert 0 <= test["seconds"] < 20
        await until(lambda: bool(made.events("selftest")), "the log has it")
        (event,) = made.events("selftest")
        assert event["data"]["report"] == report
        assert event["data"]["signed"] == "ed25519"
        assert sign.holds(made.key, "ex-cv-01", event["data"])
        forged = json.loads(json.dumps(event["data"]))
        forged["report"]["result"] = "ready"
        assert not sign.holds(made.key, "ex-cv-01", forged)
        assert [one["data"]["passed"] for one in made.events("bump_test")] == [True]
        assert made.events("clean_air_stated")[0]["data"]["by"] == "Chen"
        verify = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-m", "agent", "log", "verify", "--dir", str(made.unit.store)],
            cwd=ROOT, capture_output=True, check=False,
        )  # fmt: skip
        assert verify.returncode == 0, verify.stdout + verify.stderr
        await made.unit.kill()
        made.unit.start()
        await made.ready_to_ask()
        after = await made.status()
        assert (after["state"], after["t"]) == ("ready_with_warnings", report["t"])
        assert (after["bumps"][0]["t"], after["signed"]) == (test["t"], "ed25519")


async def test_a_lock_out_withholds_ready_and_nothing_else(tmp_path: Path) -> None:
    async with bench(tmp_path, late="lock") as made:
        status, report = await made.selftest("--clean-air")
        assert (status, report["result"]) == (1, "not_ready")
        made.twins["gas1"].set(cl2=3.0)
        for _ in range(2000):
            told = await made.unit.status()
            if any(one["alarm"] == "gas1/cl2/high" for one in told["alarms"]):
                break
            await asyncio.sleep(0.01)
        else:
            raise TimeoutError("no alarm while locked out")
        # And it is written down.
        await until(lambda: b'"gas1/cl2/high"' in _log(made), "the alarm is in the log")
        made.unit.process.send_signal(signal.SIGTERM)  # type: ignore[union-attr]
        assert await made.unit.ends() == 0


def _log(made: Bench) -> bytes:
    return (made.unit.store / "incident.jsonl").read_bytes()


async def test_a_sensor_that_drifts_or_does_not_answer_is_not_ready(tmp_path: Path) -> None:
    async with bench(tmp_path) as made:
        # Chlorine: limit 0.5 ppm, steps of 0.1 or less.
        made.twins["gas1"].set(cl2=0.4)
        made.twins["cell"].set(o2=19.9)
        for _ in range(20):
            status, report = await made.selftest("--clean-air")
            if set(codes(report, "zero").values()) == {"zero_off"}:
                break
        assert (status, report["result"]) == (1, "not_ready")
        made.unit.config.write_text(
            made.unit.config.read_text().replace("bump_s = 20.0", "bump_s = 5.0")
        )
        made.twins["gas1"].set(cl2=0.0)
        await made.unit.kill()
        made.unit.start()
        await made.ready_to_ask()
        status, report = await made.selftest("--bump", "gas1=cl2:5")
        assert (status, report["result"]) == (1, "not_ready")
        assert codes(report, "bump")["gas1"] == "bump_failed"


async def test_on_a_terminal_it_asks(tmp_path: Path) -> None:
    async with bench(tmp_path) as made:
        master, slave = pty.openpty()
        process = made.start(stdin=slave, stdout=slave, stderr=slave)
        os.close(slave)
        os.set_blocking(master, False)
        said = bytearray()

        def says(text: str) -> bool:
            with contextlib.suppress(BlockingIOError, OSError):
                said.extend(os.read(master, 4096))
            return text in said.decode("utf-8", "replace")

        await until(lambda: says("[y/N]"), "it asks for clean air", 20)
        os.write(master, b"y\n")
        await until(lambda: says("cell/o2"), "and for test gas", 20)
        os.write(master, b"\n")
        await until(lambda: says("gas1/cl2"), "of each sensor", 20)
        os.write(master, b"much\n")
        await until(lambda: says("expected a number, read 'much'"), "it says what it wants", 20)
        os.write(master, b"\n")
        await until(lambda: says("可用，有警告 ready with warnings"), "the result", 30)
        await until(lambda: process.poll() == 0, "it ends")
        os.close(master)


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["--bump", "gas1=cl2"], "expected SOURCE=GAS:CONCENTRATION, as gas1=cl2:5"),
        (["--bump", "gas9=cl2:5"], "there is no gas sensor gas9/cl2; there are: cell/o2, gas1/cl2"),
        (["--bump", "cell=o2:20.9"], "20.9 /100 of o2 is no test gas"),
    ],
)  # fmt: skip
async def test_what_cannot_be_is_a_sentence(tmp_path: Path, args: list[str], says: str) -> None:
    async with bench(tmp_path) as made:
        process = made.start("--no-input", *args, stdin=subprocess.DEVNULL)
        _, err = await asyncio.to_thread(process.communicate)
        assert process.returncode in (1, 2)
        assert says in err.decode()


def test_without_an_agent_it_says_so(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "agent", "selftest", "--dir", str(tmp_path), "--no-input"],
        cwd=ROOT, capture_output=True, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode == 1
    assert b"no agent answers at" in done.stderr

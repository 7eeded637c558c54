"""A broker whose certificate is wrong, or that refuses the login: log and `doctor` say which, and
the unit goes on collecting."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from drivers.sim import winsen
from drivers.sim.line import Line
from tests.agent.agent_process import AgentProcess, agent
from tests.agent.brokers import Authority
from tests.agent.test_refused_topics import doctor, with_lines
from tests.agent.test_run import gas
from tests.mosquitto import Mosquitto

UNTRUSTED = "its certificate is not trusted: "
FAULTS = {
    "wrong CA": UNTRUSTED + "unable to get local issuer certificate",
    "expired": UNTRUSTED + "certificate has expired (this unit's clock says ",
    "wrong name": UNTRUSTED + "IP address mismatch, certificate is not valid for '127.0.0.1'.",
    "another pin": UNTRUSTED + "no certificate of its chain has a pinned fingerprint",
    "login": "refused the login: Not authorized",
    "no certificate of ours": "it wants a certificate of this unit (cert_file, key_file)",
    "our certificate of another CA": "it does not know who issued this unit's certificate",
    "our certificate expired": "this unit's certificate (cert_file) has expired",
}


def _broker(mosquitto: Mosquitto, folder: Path, fault: str) -> str:
    """It runs with this fault; the unit's table for it."""
    authority = Authority(folder, "ca")
    trusted = Authority(folder, "other").file if fault == "wrong CA" else authority.file
    certificate, key = authority.issue(
        "broker",
        host="broker.example" if fault == "wrong name" else "127.0.0.1",
        days=(-9.0, -1.0) if fault == "expired" else (-1.0, 9.0),
    )
    lines = [f"certfile {certificate}", f"keyfile {key}"]
    ours = ""
    if "of ours" in fault or "our certificate" in fault:
        lines += [f"cafile {authority.file}", "require_certificate true"]
    if "our certificate" in fault:
        theirs = Authority(folder, "foreign") if "another CA" in fault else authority
        mine = theirs.issue("unit", days=(-9.0, -1.0) if "expired" in fault else (-1.0, 9.0))
        ours = f'cert_file = "{mine[0]}"\nkey_file = "{mine[1]}"\n'
    if fault == "login":
        mosquitto.config.write_text(
            mosquitto.config.read_text().replace("allow_anonymous true", "allow_anonymous false")
        )
    with_lines(mosquitto, *lines)
    pins = f'pins = ["{"0" * 64}"]\n' if fault == "another pin" else ""
    return (
        f'[[uplink]]\nname = "center"\nhost = "127.0.0.1"\nport = {mosquitto.port}\n'
        f'ca_file = "{trusted}"\nkeepalive_s = 2\n{pins}{ours}'
    )


async def _made(unit: AgentProcess) -> int:
    return sum((await unit.status()).get("made", {}).values())


@pytest.mark.parametrize("fault", FAULTS)
async def test_the_reason_is_said_and_the_unit_goes_on(
    tmp_path: Path, mosquitto: Mosquitto, fault: str
) -> None:
    table = _broker(mosquitto, tmp_path, fault)
    async with Line(tmp_path / "line") as line:
        twin = winsen.Twin(line, gas="cl2", period_s=0.1)
        twin.set(cl2=0.1)
        playing = asyncio.create_task(twin.run())
        try:
            async with agent(tmp_path / "unit", gas(line.link) + table) as unit:
                await unit.says(f"uplink center: mqtts://127.0.0.1:{mosquitto.port}")
                assert FAULTS[fault] in unit.said
                assert FAULTS[fault] in await doctor(unit)
                before = await _made(unit)
                async with asyncio.timeout(20):
                    while await _made(unit) < before + 10:
                        pass
                status = await unit.status()
                assert status["pending"]["center"] >= 10
                assert status["uplinks"]["center"]["state"] == "down"
                assert FAULTS[fault] in status["uplinks"]["center"]["detail"]
                assert status["sources"][0]["state"] == "up"
        finally:
            playing.cancel()
            await asyncio.gather(playing, return_exceptions=True)

"""The parts that a configuration names: its sources' ports, its cameras, its brokers and their
certificates.  Nothing is sent to an instrument, and a running agent keeps its ports."""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
from cryptography import x509

from agent import control, topics
from agent.broker import why_refused
from agent.config import Config, SourceConfig
from agent.doctor import cameras, neighbours, sound, ways
from agent.doctor.finding import Finding, Level
from agent.doctor.holders import Holders
from agent.doctor.ports import describe, group_of
from agent.messages import Batch
from agent.mqtt import Connection, MqttError, connect
from agent.settings import evidence
from agent.settings.tables import UnitConfig, UplinkConfig
from drivers import ports

PART = "unit"
CONNECT_S = 5.0
REFUSED = 0x80
SOON = timedelta(days=30)
"""So long before its end a certificate is worth a word."""


async def findings(config: Config, holders: Holders) -> AsyncIterator[Finding]:
    """All of a unit.  Asks a running agent for its sources, else looks at their ports."""
    status = await _status(Path(config.store.dir))
    running = {source["name"]: source for source in status.get("sources", ())}
    yield Finding(
        part=PART, code="agent_runs" if status else "agent_rests",
        level=Level.GOOD if status else Level.NOTE, data={"unit": config.unit.id},
    )  # fmt: skip
    for source in config.sources:
        yield _evidence(source)
        if (told := running.get(source.name)) is not None:
            yield _told(source, told)
        elif source.module.INSTRUMENT.wire != "none":
            yield await _port(source, holders)
    for camera in config.cameras:
        if camera.source.startswith(("v4l2:", "file:")):
            yield _file("camera", camera.name, camera.source.partition(":")[2])
        elif camera.source.startswith("rtsp") and (seen := await cameras.finding(camera)):
            yield seen
    for finding in sound.findings(config.media, status.get("media", {}).get("voice", {})):
        yield finding
    for finding in await ways.findings(config):
        yield finding
    for finding in neighbours.findings(config, status.get("neighbours")):
        yield finding
    for uplink in config.uplinks:
        for finding in certificates(uplink):
            yield finding
    async for finding in _brokers(config):
        yield finding


async def _status(folder: Path) -> dict[str, Any]:
    """What the running agent says; empty: it does not run, or is another user's."""
    try:
        return await control.ask(folder, "status")
    except (OSError, TimeoutError):
        return {}


def _evidence(source: SourceConfig) -> Finding:
    sure = evidence.how_sure(source)
    unsure = sure.startswith(evidence.FROM_MEMORY)
    data = {"source": source.name, "driver": source.table.driver, "evidence": sure}
    return Finding(
        part=PART, code="evidence", level=Level.WARN if unsure else Level.GOOD, data=data
    )


def _told(source: SourceConfig, told: dict[str, Any]) -> Finding:
    up = told.get("state") == "up"
    counters = told.get("counters", {})
    return Finding(
        part=PART, code="source_up" if up else "source_down",
        level=Level.GOOD if up else Level.BAD,
        data={
            "source": source.name, "state": told.get("state", ""),
            "detail": told.get("detail", ""),
            "counters": ", ".join(f"{key} {value}" for key, value in counters.items()),
        },
    )  # fmt: skip


async def _port(source: SourceConfig, holders: Holders) -> Finding:
    port = source.table.port
    data: dict[str, Any] = {"source": source.name, "device": port}
    if ports.is_network(port):
        return await _network_port(source, data)
    device = Path(port)
    if code := describe(device):
        data["group"] = group_of(device)
        return Finding(part=PART, code=f"source_{code}", level=Level.BAD, data=data)
    if held := holders.of(device):
        data["holders"] = ", ".join(str(holder) for holder in held)
        return Finding(part=PART, code="source_port_held", level=Level.BAD, data=data)
    return Finding(part=PART, code="source_port_free", level=Level.GOOD, data=data)


async def _network_port(source: SourceConfig, data: dict[str, Any]) -> Finding:
    line = source.line
    try:
        async with ports.open_port(
            source.table.port, baudrate=line.baudrate, bytesize=line.bytesize,
            parity=line.parity, stopbits=line.stopbits,
        ):  # fmt: skip
            pass
    except OSError as error:
        data["detail"] = str(error)
        return Finding(part=PART, code="source_unreachable", level=Level.BAD, data=data)
    return Finding(part=PART, code="source_reachable", level=Level.GOOD, data=data)


def _file(kind: str, name: str, path: str) -> Finding:
    there = os.access(path, os.R_OK)
    return Finding(
        part=PART, code=f"{kind}_there" if there else f"{kind}_absent",
        level=Level.GOOD if there else Level.BAD, data={"name": name, "path": path},
    )  # fmt: skip


def certificates(uplink: UplinkConfig, now: datetime | None = None) -> Iterator[Finding]:
    """One for each file of certificates that is over, or soon will be, or cannot be read."""
    today = datetime.now(UTC) if now is None else now
    for path in filter(None, (uplink.ca_file, uplink.cert_file)):
        data = {"uplink": uplink.name, "path": path}
        try:
            found = x509.load_pem_x509_certificates(Path(path).read_bytes())
        except OSError as error:
            data["detail"] = error.strerror or str(error)
            yield Finding(part=PART, code="certificate_absent", level=Level.BAD, data=data)
            continue
        except ValueError:
            yield Finding(part=PART, code="certificate_malformed", level=Level.BAD, data=data)
            continue
        first = min(found, key=lambda certificate: certificate.not_valid_after_utc)
        data["until"] = f"{first.not_valid_after_utc:%Y-%m-%d}"
        if first.not_valid_after_utc <= today:
            yield Finding(part=PART, code="certificate_over", level=Level.BAD, data=data)
        elif first.not_valid_after_utc <= today + SOON:
            yield Finding(part=PART, code="certificate_soon", level=Level.WARN, data=data)
        else:
            yield Finding(part=PART, code="certificate", level=Level.GOOD, data=data)


async def _brokers(config: Config) -> AsyncIterator[Finding]:
    """All at once, as each may take its whole time; told in their order."""
    tasks = [
        asyncio.create_task(_broker(uplink, config.unit), name=f"doctor[{uplink.name}]")
        for uplink in config.uplinks
    ]
    try:
        for task in tasks:
            yield await task
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _topics(connection: Connection, uplink: UplinkConfig, unit: UnitConfig) -> None:
    """MqttError where the broker's access list forbids what the agent needs.  What is published to
    find out is a batch without a record; 3.1.1 does not tell what it does with that."""
    await connection.subscribe(topics.command_filters(unit.org, unit.id, exercise=unit.exercise))
    root = topics.unit_root(unit.org, unit.id, exercise=unit.exercise)
    batch = Batch(unit=unit.id, epoch="0-doctor", mark=unit.mark, records=[])
    for klass in uplink.classes:
        topic = f"{root}/{klass.value}"
        async with asyncio.timeout(CONNECT_S):
            code = await connection.publish(topic, msgspec.json.encode(batch))
        if code >= REFUSED:
            raise MqttError(f"{connection.broker} refused to take {topic}: {why_refused(code)}")


async def _broker(uplink: UplinkConfig, of: UnitConfig) -> Finding:
    unit = of.id
    data: dict[str, Any] = {"uplink": uplink.name}
    try:
        broker = uplink.broker()
        data["broker"] = str(broker)
        # A client id of its own: with the unit's, the broker would throw the agent out.
        async with connect(
            broker, client_id=f"{unit}-doctor-{secrets.token_hex(3)}",
            on_message=lambda message: None, timeout_s=CONNECT_S,
        ) as connection:  # fmt: skip
            await _topics(connection, uplink, of)
            data["protocol"] = {5: "MQTT 5", 4: "MQTT 3.1.1"}.get(connection.protocol, "MQTT")
    except OSError as error:
        data["detail"] = str(error) or f"{data.get('broker')} did not answer"
        return Finding(part=PART, code="broker_unreachable", level=Level.BAD, data=data)
    return Finding(part=PART, code="broker_reachable", level=Level.GOOD, data=data)

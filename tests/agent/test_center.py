"""docs/center.py, what an engineer at a center may begin with, against a real broker."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import msgspec

from agent.delivery import compression
from agent.messages import Class, Clock, Envelope, join_record
from agent.mqtt import Broker, Message, connect
from tests.mosquitto import Mosquitto

SCRIPT = Path(__file__).parents[2] / "docs" / "center.py"
ROOT = "outpost/v1/hubei/cv-01"
EPOCH = "1795519200000-9f3a"


def batch(*numbers: int) -> bytes:
    records = [
        msgspec.Raw(
            join_record(
                Envelope(seq=seq, prev=seq - 1, t=1795519200000 + seq, clock=Clock.NTP),
                b'{"source":"gas1","quantity":"cl2","value":1.5,"unit":"ppm","quality":"good"}',
            )
        )
        for seq in numbers
    ]
    message = {"unit": "cv-01", "epoch": EPOCH, "mark": "actual", "records": records}
    return msgspec.json.encode(message)


def retention(seq: int, first: int, last: int) -> bytes:
    data = {"epoch": EPOCH, "first": first, "last": last}
    record = {
        "seq": seq, "prev": 0, "t": 1795519200000, "clock": "ntp", "event": "retention",
        "data": data,
    }  # fmt: skip
    return msgspec.json.encode(
        {"unit": "cv-01", "epoch": EPOCH, "mark": "actual", "records": [record]}
    )


async def test_it_prints_each_record_once_and_asks_for_what_is_missing(
    mosquitto: Mosquitto,
) -> None:
    asked: asyncio.Queue[Any] = asyncio.Queue()

    def on_message(message: Message) -> None:
        asked.put_nowait(msgspec.json.decode(message.payload))

    script = await asyncio.create_subprocess_exec(
        sys.executable, str(SCRIPT), "127.0.0.1", str(mosquitto.port), "hubei",
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert script.stdout is not None
    try:
        broker = Broker.from_url(mosquitto.url)
        async with connect(broker, client_id="unit", on_message=on_message) as unit:
            await unit.subscribe([f"{ROOT}/cmd/resend"])
            # 0x10, nobody subscribed, until the script has come.
            # Only the broker knows it, so there is no event to wait for.
            while await unit.publish(f"{ROOT}/{Class.READINGS.value}", batch(1, 2)) != 0:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
            await unit.publish(f"{ROOT}/readings", batch(2, 5))
            status = {"unit": "cv-01", "epochs": [{"epoch": EPOCH, "last": 6}]}
            await unit.publish(f"{ROOT}/status", msgspec.json.encode(status))
            command = await asyncio.wait_for(asked.get(), 20)
            assert command["args"] == {"epoch": EPOCH, "from": 3, "to": 4}
            await unit.publish(f"{ROOT}/readings", batch(3, 4))
            command = await asyncio.wait_for(asked.get(), 20)
            assert command["args"] == {"epoch": EPOCH, "from": 6, "to": 6}
            await unit.publish(f"{ROOT}/readings", batch(6))
            # 7 and 9 to 12 do not come to this center, 14 is gone: it asks for 13, and for 8 first.
            skipped = {
                "unit": "cv-01",
                "epoch": EPOCH,
                "reason": "class",
                "ranges": [[7, 7], [9, 12]],
            }
            await unit.publish(f"{ROOT}/skipped", msgspec.json.encode(skipped))
            command = await asyncio.wait_for(asked.get(), 20)
            assert command["args"] == {"epoch": EPOCH, "from": 8, "to": 8}
            await unit.publish(f"{ROOT}/readings", batch(8, 15))
            await unit.publish(f"{ROOT}/events", retention(16, 14, 14))
            command = await asyncio.wait_for(asked.get(), 20)
            assert command["args"] == {"epoch": EPOCH, "from": 13, "to": 13}
            await unit.publish(f"{ROOT}/readings", compression.shrink(batch(13, *range(17, 27))))
            lines = [msgspec.json.decode(await script.stdout.readline()) for _ in range(20)]
            # A roll-up stands for 27 to 29: no gap, and no repeats when they come themselves.
            rollup = {"unit": "cv-01", "epoch": EPOCH, "mark": "actual", "period_s": 10}
            thinned = {**skipped, "reason": "thinned", "ranges": [[27, 29]]}
            await unit.publish(f"{ROOT}/skipped", msgspec.json.encode(thinned))
            await unit.publish(f"{ROOT}/rollups", msgspec.json.encode(rollup))
            await unit.publish(f"{ROOT}/readings", batch(28, 30, 28))
            lines += [msgspec.json.decode(await script.stdout.readline()) for _ in range(3)]
            # What a vehicle has let go the unit may have.
            let_go = {**skipped, "reason": "relay", "ranges": [[31, 32]]}
            await unit.publish(f"{ROOT}/skipped", msgspec.json.encode(let_go))
            command = await asyncio.wait_for(asked.get(), 20)
            assert command["args"] == {"epoch": EPOCH, "from": 31, "to": 32}
            await unit.publish(f"{ROOT}/readings", compression.MAGIC + b"damaged")
            assert script.stderr is not None
            while b"it is no zstd frame" not in await script.stderr.readline():
                pass
        rolled = [line for line in lines if "seq" not in line]
        assert rolled == [rollup]
        numbers = [line["seq"] for line in lines if "seq" in line]
        assert numbers == [1, 2, 5, 3, 4, 6, 8, 15, 16, 13, *range(17, 27), 28, 30]
        assert lines[0]["value"] == 1.5
    finally:
        script.kill()
        await script.communicate()

"""A small command center: subscribes to every unit of an org, prints each record once, finds gaps
and asks for them again.  It needs paho-mqtt, and zstandard where a unit compresses; nothing of
Outpost is imported.

    python center.py mqtt.example.org 1883 hubei [--exercise]

One JSON line a record on standard output; what it does about gaps on standard error.  It keeps
nothing on a disk: started again it asks for all that units still hold.
"""

from __future__ import annotations

import argparse
import heapq
import json
import sys
import time
import uuid
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

try:
    import zstandard
except ImportError:
    zstandard = None  # type: ignore[assignment]

ZSTD = b"\x28\xb5\x2f\xfd"
"""A compressed payload (content type application/json+zstd) begins with it."""
PAYLOAD_MAX = 1_000_000
"""Bytes that a compressed payload may become."""
LATER = ("thinned", "later")
"""Reasons on `skipped` of numbers that come all the same, when the link has room."""
RELAY = "relay"
"""The reason of numbers that a vehicle has let go: the unit behind it may have them; ask it."""
RECORDS = ("readings", "alarms", "events", "media", "ack")
GAP_AGE_S = 2.0
"""Records may overtake each other on their way: a younger hole closes by itself."""


class Epoch:
    """The numbers of one run of a unit: which have come, or will not, and up to which there are
    some."""

    def __init__(self) -> None:
        self.seen: set[int] = set()
        # All of 1..floor are settled, so that `seen` stays small.
        self.floor = 0
        self.known = 0
        # A heap of the ranges that the unit says will not come, or only later.
        self.void: list[tuple[int, int]] = []
        # Of those the numbers that come later: below the floor, and no repeat when they do.
        self.later: set[int] = set()
        self.asked_at: dict[int, float] = {}

    def take(self, seq: int) -> bool:
        """False: a repeat.  The first copy of a number counts."""
        self.known = max(self.known, seq)
        if seq in self.later:
            self.later.remove(seq)
            return True
        if seq <= self.floor or seq in self.seen:
            return False
        self.seen.add(seq)
        self._rise()
        return True

    def will_come_later(self, first: int, last: int) -> None:
        """The link has no room for them now: no gap, and no repeat when they come."""
        numbers = range(max(first, self.floor + 1), last + 1)
        self.later.update(seq for seq in numbers if seq not in self.seen)
        self.will_not_come(first, last)

    def will_not_come(self, first: int, last: int) -> None:
        """This center does not take them, or the unit does not hold them any more."""
        self.known = max(self.known, last)
        heapq.heappush(self.void, (first, last))
        self._rise()

    def _rise(self) -> None:
        while True:
            if self.floor + 1 in self.seen:
                last = self.floor + 1
            elif self.void and self.void[0][0] <= self.floor + 1:
                last = heapq.heappop(self.void)[1]
            else:
                return
            if last - self.floor < len(self.seen):
                self.seen.difference_update(range(self.floor + 1, last + 1))
            else:
                self.seen = {seq for seq in self.seen if seq > last}
            self.floor = max(self.floor, last)

    def gap(self) -> tuple[int, int] | None:
        """The first hole, both ends included."""
        if self.floor >= self.known:
            return None
        ends = [*self.seen, *(first for first, _ in self.void)]
        return self.floor + 1, min(ends, default=self.known + 1) - 1


def plain(payload: bytes) -> bytes:
    """The JSON of a payload.  ValueError: it cannot be had."""
    if not payload.startswith(ZSTD):
        return payload
    if zstandard is None:
        raise ValueError("it is compressed: pip install zstandard")
    try:
        data = (
            zstandard.ZstdDecompressor(max_window_size=1 << 23)
            .stream_reader(payload)
            .read(PAYLOAD_MAX + 1)
        )
    except zstandard.ZstdError as error:
        raise ValueError(f"it is no zstd frame: {error}") from error
    if len(data) > PAYLOAD_MAX:
        raise ValueError(f"it becomes more than {PAYLOAD_MAX} bytes")
    return data


class Center:
    def __init__(self, root: str, mark: str) -> None:
        self.root = root
        self.mark = mark
        self.epochs: dict[tuple[str, str], Epoch] = {}

    def on_connect(self, client: mqtt.Client, *_: Any) -> None:
        for name in (*RECORDS, "status", "skipped", "rollups"):
            client.subscribe(f"{self.root}/+/{name}", qos=1)

    def on_message(self, _client: Any, _data: Any, message: mqtt.MQTTMessage) -> None:
        if not message.payload:
            return
        try:
            body = json.loads(plain(bytes(message.payload)))
        except ValueError as error:
            sys.stderr.write(f"{message.topic}: {error}\n")
            return
        if message.topic.endswith("/status"):
            # A birth says how far each epoch goes: a hole at its end shows by this alone.
            for held in body.get("epochs", []):
                epoch = self.epochs.setdefault((body["unit"], held["epoch"]), Epoch())
                epoch.known = max(epoch.known, held["last"])
            return
        epoch = self.epochs.setdefault((body["unit"], body["epoch"]), Epoch())
        if message.topic.endswith("/skipped"):
            for first, last in body["ranges"]:
                if body["reason"] == RELAY:
                    epoch.known = max(epoch.known, last)
                elif body["reason"] in LATER:
                    epoch.will_come_later(first, last)
                else:
                    epoch.will_not_come(first, last)
            return
        if message.topic.endswith("/rollups"):
            # In place of thinned readings; it has no number, and is nothing to count.
            sys.stdout.write(json.dumps(body, ensure_ascii=False) + "\n")
            sys.stdout.flush()
            return
        for record in body["records"]:
            if record.get("event") == "retention" and "classes" not in record["data"]:
                gone = record["data"]
                epoch_gone = self.epochs.setdefault((body["unit"], gone["epoch"]), Epoch())
                epoch_gone.will_not_come(gone["first"], gone["last"])
            if epoch.take(record["seq"]):
                line = {
                    "unit": body["unit"],
                    "epoch": body["epoch"],
                    "mark": body["mark"],
                    **record,
                }
                sys.stdout.write(json.dumps(line, ensure_ascii=False) + "\n")
                sys.stdout.flush()

    def close_gaps(self, client: mqtt.Client, now_s: float) -> None:
        """Ask for a hole that is old enough, and not again before 10 s have passed."""
        for (unit, name), epoch in self.epochs.items():
            gap = epoch.gap()
            if gap is None:
                epoch.asked_at.clear()
                continue
            due = epoch.asked_at.setdefault(gap[0], now_s + GAP_AGE_S)
            if now_s < due:
                continue
            epoch.asked_at[gap[0]] = now_s + 10.0
            command = {
                "id": str(uuid.uuid4()),
                "by": "center.py",
                "issued": round(time.time() * 1000),
                "mark": self.mark,
                "args": {"epoch": name, "from": gap[0], "to": gap[1]},
            }
            client.publish(f"{self.root}/{unit}/cmd/resend", json.dumps(command), qos=1)
            sys.stderr.write(f"{unit}: asked for {gap[0]} to {gap[1]} of {name} again\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("host")
    parser.add_argument("port", type=int)
    parser.add_argument("org")
    parser.add_argument("--exercise", action="store_true")
    args = parser.parse_args()
    root = f"{'outpost-exercise' if args.exercise else 'outpost'}/v1/{args.org}"
    center = Center(root, "exercise" if args.exercise else "actual")
    client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
    client.on_connect = center.on_connect
    client.on_message = center.on_message
    client.connect(args.host, args.port)
    while True:
        if client.loop(timeout=0.5) == mqtt.MQTT_ERR_SUCCESS:
            center.close_gaps(client, time.monotonic())
            continue
        # What was missed meanwhile shows as gaps.
        time.sleep(1.0)
        try:
            client.reconnect()
        except OSError as error:
            sys.stderr.write(f"{args.host}: {error.strerror or error}; again in a second\n")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(0)

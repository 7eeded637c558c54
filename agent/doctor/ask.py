"""Asking a silent port.  Two questions only, which no instrument takes for an order:

* Winsen's read, `FF 01 86 00 00 00 00 00 79` (87, one bit further, is the zero calibration of half
  of that family, though another maker reads with it);
* Modbus functions 03 and 04, with the registers of our maps.

This list is closed on purpose, and stands here and not in the drivers: a new driver cannot add to
it.  A line that speaks by itself is never asked (a question silences some modules).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator, Sequence

import msgspec

from agent.doctor.listen import BYTES_MAX, Heard, gather
from agent.doctor.recognise import Candidate, candidates
from drivers import Port, Quality, Sample, modbus, modbus_map, ports
from drivers.checksum import crc16_modbus
from drivers.modbus_wire import question
from drivers.recording import Chunk

WINSEN_READ = bytes.fromhex("FF 01 86 00 00 00 00 00 79")
WINSEN_BAUDRATE = 9600
MODBUS_BAUDRATES = (9600, 4800, 19200)
REPLY_S = 0.3
GAP_S = 0.1
HEAD_GAP_S = 0.5
"""A six-in-one head wants half a second between questions (FIELD.md 2.2)."""
OWN_MAP = "/etc/outpost/instruments/NAME.toml"
"""What to name where no map of ours fits: one must be written by the device's manual."""
TIMES = 3
"""A nine-byte frame is believed when another follows it."""


async def ask(device: str, addresses: Sequence[int]) -> Heard | None:
    """Who answers; None: nobody.  OSError: the port cannot be opened, or is lost."""
    async with ports.open_port(device, baudrate=WINSEN_BAUDRATE) as port:
        chunks = await _ask_winsen(port)
    if found := await asyncio.to_thread(candidates, tuple(chunks), "query"):
        return Heard(baudrate=WINSEN_BAUDRATE, chunks=tuple(chunks), candidates=tuple(found))
    network = ports.is_network(device)
    for baudrate in MODBUS_BAUDRATES[:1] if network else MODBUS_BAUDRATES:
        async with ports.open_port(device, baudrate=baudrate) as port:
            units = [unit for unit in addresses if await _answers(port, unit)]
            if units:
                best = await _best_map(port, units)
                return Heard(baudrate=baudrate, candidates=(best,))
    return None


async def _ask_winsen(port: Port) -> list[Chunk]:
    """The replies, without the echo of a two-wire adapter."""
    began = asyncio.get_running_loop().time()
    chunks: list[Chunk] = []
    for _ in range(TIMES):
        port.discard_input()
        await port.write(WINSEN_READ)
        reply: list[Chunk] = []
        await gather(port, began, asyncio.get_running_loop().time() + REPLY_S, reply)
        if not reply:
            break
        data = b"".join(chunk.data for chunk in reply).replace(WINSEN_READ, b"")
        chunks.append(Chunk(reply[0].at, data))
    return chunks


def _reads() -> Iterator[tuple[str, modbus_map.Map]]:
    folder = modbus_map.default_dir()
    for path in sorted(folder.glob("*.toml")):
        yield path.stem, modbus_map.load(path.stem, folder)


async def _answers(port: Port, address: int) -> bool:
    """Whether a unit answers any map's first question, be it with an exception."""
    seen = set()
    for _, found in _reads():
        read = found.read[0]
        if (key := (read.function, read.start, read.count)) in seen:
            continue
        seen.add(key)
        if await _exchange(port, address, read):
            return True
    return False


async def _exchange(port: Port, address: int, read: modbus_map.Read) -> bytes:
    """The answer of `address`, whole and with a right CRC; empty: none came in time."""
    if read.function not in (3, 4):
        raise ValueError(f"only functions 03 and 04 may be asked, not {read.function:02}")
    port.discard_input()
    await port.write(question(address, read))
    data = b""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(REPLY_S):
            while not _answer(data, address, read):
                data = (data + await port.read())[-BYTES_MAX:]
    await asyncio.sleep(GAP_S)
    return _answer(data, address, read)


def _answer(data: bytes, address: int, read: modbus_map.Read) -> bytes:
    """The first such answer in `data`: the question's echo is none, as it has another length."""
    for start in range(len(data)):
        for length, head in (
            (5 + 2 * read.count, bytes((address, read.function, 2 * read.count))),
            (5, bytes((address, read.function | 0x80))),
        ):
            frame = data[start : start + length]
            if len(frame) == length and frame.startswith(head):
                if crc16_modbus(frame[:-2]) == int.from_bytes(frame[-2:], "little"):
                    return frame
    return b""


async def _best_map(port: Port, units: Sequence[int]) -> Candidate:
    """The map under which the first unit says most of what not every register would say; where it
    says nothing of the kind, the maps whose registers it has are left to choose from."""
    trials = [await _try_map(port, name, found, units) for name, found in _reads()]
    best = max(trials, key=lambda trial: (trial.values, trial.frames > 0, trial.explained))
    if best.values:
        return best
    fitting = tuple(trial.keys["map"] for trial in trials if trial.frames)
    return msgspec.structs.replace(
        best, keys={"addresses": list(units)}, quantities=(),
        choices={"map": fitting or (OWN_MAP,), "gases": ({str(unit): "co" for unit in units},)},
    )  # fmt: skip


async def _try_map(port: Port, name: str, found: modbus_map.Map, units: Sequence[int]) -> Candidate:
    address = units[0]
    nameless = found.quantity[0].name is None
    gases = {str(unit): "co" for unit in units} if nameless else {}
    keys = {"map": name, "addresses": list(units)}
    decoder = modbus.Decoder(modbus.Config(map=name, addresses=tuple(units), gases=gases))
    samples: list[Sample] = []
    for read in decoder.map.read:
        await asyncio.sleep(HEAD_GAP_S)
        frame = await _exchange(port, address, read)
        decoder.ask(address, read)
        samples += [s for s in decoder.feed(frame, 0.0) if isinstance(s, Sample)]
    good = [s for s in samples if s.value is not None and s.quality is not Quality.FAULT]
    telling = [s for s, q in zip(samples, found.quantity, strict=False) if s in good and _tells(q)]
    return Candidate(
        driver="modbus",
        keys=keys,
        choices={"gases": (gases,)} if nameless else {},
        frames=decoder.counters.frames,
        values=len(telling),
        explained=len(good) / max(1, len(found.quantity)),
        quantities=() if nameless else tuple(s.quantity for s in good),
        evidence=found.evidence,
    )


def _tells(quantity: modbus_map.Quantity) -> bool:
    """Whether not just any register would pass for it."""
    codes = (*quantity.states, quantity.name, quantity.unit)
    limits = (quantity.valid_min, quantity.valid_max)
    return any(isinstance(code, modbus_map.Code) for code in codes) or None not in limits

"""Records on their way to the database, in memory that outlives the process.

A commit costs two changes of threads, so a record is first put into a small file of a memory file
system (shm_overview(7)): nothing there waits for a disk, and `kill -9` takes nothing of it.  It may
go out at once.  The writer thread commits and syncs it right after; what a process that was killed
had not committed is put into the database when that is opened next.  A power cut takes this file,
as it takes what a database has not synced.  Where there is no such memory, or no room in it, a
record waits for its commit.
"""

from __future__ import annotations

import hashlib
import logging
import os
import stat
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import msgspec

from agent.delivery.rows import Epoch, Row

log = logging.getLogger(__name__)

MEMORY = Path("/dev/shm")
BYTES_MAX = 4 * 1024 * 1024
"""Of records that wait for the database; beyond it they wait in the old way."""

_HEAD = struct.Struct("<II")
"""Length and CRC-32 of an entry."""


class Entry(msgspec.Struct, frozen=True, array_like=True):
    """A record, and what a database must be told that has not heard of its epoch."""

    store: bytes
    """Of which database."""
    filling: int
    """Entries of an earlier filling lie behind those of the last one."""
    epoch: str
    boot: str
    row: Row
    ack_of: str


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Entry).decode


class Journal:
    """Of one database.  `open` and `begin` while nobody writes; then `take` and `close`."""

    def __init__(self, database: Path) -> None:
        name = hashlib.sha256(os.fsencode(database.resolve())).hexdigest()[:32]
        self.path = MEMORY / f"outpost-{os.geteuid()}" / name
        self._fd = -1
        self._at = 0
        self._store = b""
        self._filling = 0
        self._begun = False

    def open(self, store: bytes) -> list[Entry]:
        """What a killed process left of this database (its id is `store`), in order.  Where there
        is no such memory there is nothing, and nothing is taken."""
        self.close()
        try:
            self._fd = _open(self.path)
            left = [entry for entry in _read(self._fd) if entry.store == store]
        except OSError as error:
            self._give_up(error)
            return []
        self._store = store
        self._filling = (left[-1].filling if left else int.from_bytes(os.urandom(4))) + 1
        return left

    def begin(self) -> None:
        """What was left is in the database: from now on its place is taken."""
        self._at = 0
        self._begun = True

    def take(self, epoch: Epoch, row: Row, ack_of: str, *, empty: bool) -> bool:
        """True: the record outlives this process.  `empty`: all that was taken before is in the
        database."""
        if self._fd < 0 or not self._begun:
            return False
        if empty:
            self._at = 0
            self._filling += 1
        entry = _encode(Entry(self._store, self._filling, epoch.name, epoch.boot, row, ack_of))
        data = _HEAD.pack(len(entry), zlib.crc32(entry)) + entry
        if self._at + len(data) > BYTES_MAX:
            return False
        try:
            written = os.pwrite(self._fd, data, self._at)
        except OSError as error:
            self._give_up(error)
            return False
        # A part of it: no room.  It is no entry, and the next one takes its place.
        if written < len(data):
            return False
        self._at += len(data)
        return True

    def close(self, *, empty: bool = False) -> None:
        """`empty`: all of it is in the database."""
        self._begun = False
        if self._fd >= 0:
            if empty:
                self.path.unlink(missing_ok=True)
            os.close(self._fd)
            self._fd = -1

    def _give_up(self, error: OSError) -> None:
        log.warning("%s: %s; records wait for the disk instead", self.path, error.strerror)
        self.close()


def _open(path: Path) -> int:
    """OSError: it cannot be, or somebody else could have made it."""
    path.parent.mkdir(mode=0o700, exist_ok=True)
    found = path.parent.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
        raise PermissionError(0, f"{path.parent} is not a folder of this user alone")
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)


def _read(fd: int) -> Iterator[Entry]:
    """The entries of the last filling."""
    data = os.pread(fd, BYTES_MAX, 0)
    at, filling = 0, None
    while at + _HEAD.size <= len(data):
        length, checksum = _HEAD.unpack_from(data, at)
        at += _HEAD.size
        body = data[at : at + length]
        if len(body) < length or zlib.crc32(body) != checksum:
            return
        try:
            entry = _decode(body)
        except msgspec.DecodeError:
            return
        if filling not in (None, entry.filling):
            return
        filling = entry.filling
        yield entry
        at += length

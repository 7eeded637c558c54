"""`outpost media`: recordings on a disk are verified, listed and decrypted."""

from __future__ import annotations

import argparse
import sys
from datetime import UTC, datetime
from pathlib import Path

from agent.media.record import sidefile
from agent.media.record.sealing import SealError, read_key, unsealed
from agent.recordings.verify import verify

FAILED = 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(title="actions", required=True, metavar="ACTION")
    check = actions.add_parser("verify", help="digests and their chain 校验录像")
    check.add_argument("dir", type=Path, metavar="DIR")
    check.set_defaults(action=_verify)
    listed = actions.add_parser("list", help="what is in a folder 列出录像")
    listed.add_argument("dir", type=Path, metavar="DIR")
    listed.set_defaults(action=_list)
    clear = actions.add_parser("decrypt", help="an encrypted recording to an MP4 解密录像")
    clear.add_argument("file", type=Path, metavar="FILE")
    clear.add_argument("--key-file", type=Path, required=True, metavar="FILE")
    clear.add_argument("-o", "--output", type=Path, required=True, metavar="FILE")
    clear.set_defaults(action=_decrypt)


def main(args: argparse.Namespace) -> int:
    """0: done, 1: not, and why on stderr."""
    try:
        status: int = args.action(args)
    except (OSError, ValueError) as error:
        sys.stderr.write(f"{error}\n")
        return FAILED
    return status


def _verify(args: argparse.Namespace) -> int:
    found = verify(args.dir)
    for mistake in found.mistakes:
        sys.stderr.write(f"{mistake}\n")
    sys.stdout.write(
        f"{args.dir}: {found.recordings} recordings ({found.still_open} open), {found.bytes} "
        f"bytes, {found.deleted} deleted by the ring, {len(found.mistakes)} mistakes\n"
    )
    return FAILED if found.mistakes else 0


def _list(args: argparse.Namespace) -> int:
    for side in sidefile.scan(args.dir):
        began = datetime.fromtimestamp(side.start / 1000, UTC).isoformat(timespec="seconds")
        place = f"{side.track[0].lat:.5f},{side.track[0].lon:.5f}" if side.track else "-"
        alarms = sorted({alarm for note in side.notes for alarm in note.alarms})
        words = [
            side.state, *(["locked"] if side.locked else []), *(["sealed"] if side.sealed else []),
            *alarms,
        ]  # fmt: skip
        seconds = (side.end - side.start) / 1000
        sys.stdout.write(
            f"{side.id}  {side.camera}  {began}  {seconds:.1f} s  {side.size} bytes  {place}  "
            f"{' '.join(words)}\n"
        )
    return 0


def _decrypt(args: argparse.Namespace) -> int:
    key = read_key(args.key_file)
    try:
        with args.file.open("rb") as sealed, args.output.open("xb") as clear:
            for piece in unsealed(sealed, key):
                clear.write(piece)
    except SealError as error:
        args.output.unlink(missing_ok=True)
        raise ValueError(f"{args.file}: {error}") from error
    return 0

"""`outpost log`: is the incident log whole, and what leaves it as JSON, CSV or CAP 1.2."""

from __future__ import annotations

import argparse
import contextlib
import csv
import io
import re
import sys
import zipfile
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from agent.incident import cap
from agent.incident.check import Check
from agent.incident.record import Line
from agent.incident.words import LANGUAGES, word
from agent.settings.tables import StoreConfig

BROKEN = 1
USED_WRONGLY = 2
HEAD = re.compile(r"[0-9a-fA-F]{64}")
COLUMNS = (
    "n", "time", "clock", "unit", "mark", "kind", "what", "change", "state", "rank", "source",
    "quantity", "value", "value_unit", "limit", "limit_basis", "lat", "lon", "by", "detail",
    "data", "epoch", "seq",
)  # fmt: skip
WORDED = frozenset({"mark", "kind", "what", "change", "state", "quantity"})
"""Columns in which codes become words."""
FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What a spreadsheet takes for a formula; a text that came over a wire must not be one."""
NUMBERS = frozenset({"n", "rank", "value", "limit", "lat", "lon", "seq"})


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The two verbs of `outpost log`."""
    verbs = parser.add_subparsers(title="verbs", required=True, metavar="VERB")
    verify = verbs.add_parser("verify", help="is the chain whole? 校验")
    verify.add_argument("--head", metavar="DIGEST", help="a digest kept elsewhere must be in it")
    export = verbs.add_parser("export", help="as JSON, CSV or CAP 1.2 导出")
    export.add_argument("--format", required=True, choices=("json", "csv", "cap"))
    export.add_argument("--lang", choices=LANGUAGES, help="default: codes; for cap, both languages")
    export.add_argument(
        "-o", dest="output", type=Path, metavar="FILE",
        help="default: standard output; for cap a folder or FILE.zip",
    )  # fmt: skip
    for verb in (verify, export):
        verb.add_argument(
            "--dir", type=Path, default=Path(StoreConfig().dir), help="the unit's store"
        )


def main(args: argparse.Namespace) -> int:
    """0 good; 1 the chain is broken (what is there was still exported); 2 used wrongly."""
    check = Check(args.dir)
    try:
        if "format" not in args:
            return _verify(check, args.head)
        if args.format == "cap" and args.output is None:
            return _complain("CAP is one document a message: name a folder or FILE.zip with -o")
        check.paths()
        if args.format == "cap":
            _write_cap(check, args.output, args.lang)
        else:
            _write_one(check, args)
    except BrokenPipeError:
        sys.stderr.close()
        return BROKEN
    except OSError as error:
        return _complain(str(error) if error.strerror is None else _named(error))
    for mistake in check.mistakes:
        sys.stderr.write(f"{mistake}\n")
    return BROKEN if check.mistakes else 0


def _verify(check: Check, head: str | None) -> int:
    if head is not None:
        if HEAD.fullmatch(head) is None:
            return _complain(f"--head: expected 64 hex digits, read {head[:80]!r}")
        check.seek(head)
    for _ in check.lines():
        pass
    for text in (*check.remarks, *check.mistakes):
        sys.stdout.write(f"{text}\n")
    verdict = "BROKEN 已被改动或损坏" if check.mistakes else "whole 完整"
    sys.stdout.write(
        f"{check.folder}: {check.count} lines, {check.first} to {check.head.n}: {verdict}\n"
        f"head 末行摘要 {check.head.digest}\n"
    )
    return BROKEN if check.mistakes else 0


def _write_one(check: Check, args: argparse.Namespace) -> None:
    with contextlib.ExitStack() as stack:
        out: BinaryIO = (
            stack.enter_context(args.output.open("wb")) if args.output else sys.stdout.buffer
        )
        if args.format == "json":
            write_json(check, out)
        else:
            write_csv(check.lines(), out, args.lang)


def write_json(check: Check, out: BinaryIO) -> None:
    """One object: the lines as they are, then what the check says of them."""
    encode = msgspec.json.encode
    out.write(b'{"lines": [')
    for number, line in enumerate(check.lines()):
        out.write((b",\n" if number else b"\n") + encode(line))
    verdict = {
        "count": check.count, "first": check.first, "last": check.head.n,
        "digest": check.head.digest, "remarks": check.remarks, "mistakes": check.mistakes,
    }  # fmt: skip
    out.write(b'\n],\n"check": ' + encode(verdict) + b"}\n")


def write_csv(lines: Iterable[Line], out: BinaryIO, language: str | None) -> None:
    """RFC 4180, UTF-8 with the mark that spreadsheets need; codes, or words in `language`."""
    text = io.TextIOWrapper(out, encoding="utf-8-sig", newline="", write_through=True)
    try:
        writer = csv.writer(text)
        writer.writerow([word(name, language) if language else name for name in COLUMNS])
        for line in lines:
            row = _row(line)
            writer.writerow([_cell(name, row.get(name), language) for name in COLUMNS])
    finally:
        # `out` is not ours to close.
        text.detach()


def _cell(name: str, value: Any, language: str | None) -> str:
    if value is None:
        return ""
    if name in NUMBERS:
        return str(value)
    text = word(str(value), language) if language and name in WORDED else str(value)
    return f"'{text}" if text.startswith(FORMULA) else text


def _row(line: Line) -> dict[str, Any]:
    body = _object(msgspec.json.decode(line.body))
    reading, fix = _object(body.get("reading")), _object(body.get("fix"))
    data = _object(body.get("data")) if line.kind in ("alarm", "event") else body
    return {
        "n": line.n, "clock": line.clock.value, "unit": line.unit, "mark": line.mark.value,
        "time": datetime.fromtimestamp(line.t / 1000, UTC).isoformat(timespec="milliseconds"),
        "kind": line.kind, "what": body.get("code") or body.get("event") or line.kind,
        "change": body.get("change"), "state": body.get("state"), "rank": body.get("rank"),
        "source": body.get("source"), "quantity": body.get("quantity"),
        "value": reading.get("value"), "value_unit": reading.get("unit"),
        "limit": body.get("limit"), "limit_basis": body.get("limit_basis"),
        "lat": fix.get("lat"), "lon": fix.get("lon"), "by": body.get("by") or data.get("by"),
        "detail": body.get("detail"), "data": msgspec.json.encode(data).decode() if data else None,
        "epoch": line.epoch, "seq": line.seq,
    }  # fmt: skip


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _write_cap(check: Check, target: Path, language: str | None) -> None:
    """A document a message, in a folder or in a ZIP file."""
    messages = _cap(check.lines(), (language,) if language else LANGUAGES)
    if target.suffix.lower() == ".zip":
        with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
            for message in messages:
                archive.writestr(f"{message.identifier}.xml", message.xml)
        return
    target.mkdir(parents=True, exist_ok=True)
    for message in messages:
        (target / f"{message.identifier}.xml").write_bytes(message.xml)


def _cap(lines: Iterable[Line], languages: Iterable[str]) -> Iterator[cap.Message]:
    writer = cap.Writer(tuple(languages))
    for line in lines:
        yield from writer.messages(line)


def _named(error: OSError) -> str:
    return f"{error.filename}: {error.strerror}" if error.filename else str(error.strerror)


def _complain(sentence: str) -> int:
    sys.stderr.write(f"{sentence}\n")
    return USED_WRONGLY

"""What `outpost console` was told, checked."""

from __future__ import annotations

import argparse
from enum import StrEnum
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from agent import topics
from agent.console.access import Token
from agent.mqtt import Broker


class OptionError(ValueError):
    """An option that cannot serve; its text is one sentence."""


class MapKind(StrEnum):
    NONE = "none"
    PMTILES = "pmtiles"
    RASTER = "raster"


class Datum(StrEnum):
    """Datums that the page can draw WGS-84 positions on."""

    WGS84 = "wgs84"
    GCJ02 = "gcj02"


class MapSource(msgspec.Struct, frozen=True, kw_only=True):
    """The base map, as the page is told of it."""

    kind: MapKind = MapKind.NONE
    url: str = ""
    datum: Datum | None = None


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """One console."""

    broker: Broker
    org: str
    exercise: bool = False
    host: str = "127.0.0.1"
    port: int = 8765
    """0: any that is free."""
    token: str = ""
    """Everybody's; empty: none, or `operators`."""
    operators: tuple[Token, ...] = ()
    """A token of each person's own."""
    instructor_token: str = ""
    tls: tuple[Path, Path] | None = None
    """Certificate and key; None: plain HTTP."""
    lang: str = "zh"
    map: MapSource = MapSource()
    map_file: Path | None = None
    """Served as `map.url` where the map is a file of this machine."""
    ready_file: Path | None = None
    static_dir: Path


MAP_FILE_URL = "/map/file.pmtiles"


def read(args: argparse.Namespace, static_dir: Path) -> Options:
    """From the command line.  OptionError, or AccessError for a token file."""
    from agent.console.access import is_loopback, read_token, read_tokens

    try:
        broker = Broker.from_url(_read_broker(args))
    except ValueError as error:
        raise OptionError(str(error)) from error
    if not topics.is_slug(args.org):
        raise OptionError(f"--org must be 1 to 63 of a-z, 0-9 and inner hyphens: {args.org!r}")
    if not 0 <= args.port <= 65535:
        raise OptionError(f"--port must be 0 to 65535, but is {args.port}")
    if not is_loopback(args.host) and args.token_file is None:
        raise OptionError(
            f"--host {args.host} can be reached from other machines: name a --token-file, "
            "so that not everybody there can give commands"
        )
    tokens = read_tokens(args.token_file) if args.token_file else ()
    source, file = _read_map(args.map, args.map_datum)
    certificate = _read_tls(args)
    return Options(
        broker=broker,
        org=args.org,
        exercise=args.exercise,
        host=args.host,
        port=args.port,
        token=next((one.secret for one in tokens if not one.operator), ""),
        operators=tuple(one for one in tokens if one.operator),
        instructor_token=read_token(args.instructor_token_file)
        if args.instructor_token_file
        else "",
        tls=certificate,
        lang=args.lang,
        map=source,
        map_file=file,
        ready_file=args.ready_file,
        static_dir=static_dir,
    )


def _read_tls(args: argparse.Namespace) -> tuple[Path, Path] | None:
    """OptionError, TlsError."""
    from agent.console import tls

    if args.tls_self_signed is not None:
        if args.tls_cert is not None or args.tls_key is not None:
            raise OptionError("--tls-self-signed makes a certificate: drop --tls-cert, --tls-key")
        return tls.self_signed(args.tls_self_signed, args.host)
    if args.tls_cert is None and args.tls_key is None:
        return None
    if args.tls_cert is None or args.tls_key is None:
        raise OptionError("--tls-cert and --tls-key are given together")
    tls.context(args.tls_cert, args.tls_key)
    return args.tls_cert, args.tls_key


def _read_broker(args: argparse.Namespace) -> str:
    if args.broker_file is None:
        return str(args.broker)
    try:
        return str(args.broker_file.read_text(encoding="utf-8").strip())
    except OSError as error:
        raise OptionError(f"{args.broker_file}: cannot be read: {error.strerror}") from error


def _read_map(place: str | None, datum: str | None) -> tuple[MapSource, Path | None]:
    if place is None:
        if datum is not None:
            raise OptionError("--map-datum says which datum --map has, but there is no --map")
        return MapSource(), None
    if datum is None:
        raise OptionError(
            f"--map {place}: name its --map-datum ({' or '.join(Datum)}); "
            "positions drawn on a map of another datum would be hundreds of metres off"
        )
    if datum not in list(Datum):
        raise OptionError(f"--map-datum must be {' or '.join(Datum)}, but is {datum!r}")
    known = Datum(datum)
    if urlsplit(place).scheme in ("http", "https"):
        path = urlsplit(place).path
        if path.endswith(".pmtiles"):
            return MapSource(kind=MapKind.PMTILES, url=place, datum=known), None
        if all(part in place for part in ("{z}", "{x}", "{y}")):
            return MapSource(kind=MapKind.RASTER, url=place, datum=known), None
        raise OptionError(
            f"--map must be a .pmtiles file or address, or an address with {{z}}, {{x}} and {{y}}, "
            f"but is {place!r}"
        )
    file = Path(place)
    if not file.is_file():
        raise OptionError(f"--map: there is no file {place!r}")
    with file.open("rb") as head:
        magic = head.read(8)
    if magic != b"PMTiles\x03":
        raise OptionError(f"--map: {place!r} is no PMTiles 3 file (it begins {magic!r})")
    return MapSource(kind=MapKind.PMTILES, url=MAP_FILE_URL, datum=known), file.resolve()

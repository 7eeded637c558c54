"""`outpost provision`: sets up a unit from one signed file, or makes that file at the center.

Everything is checked before anything is written: the signature, the configuration, that its
certificates and keys are there and fit.  No secret is ever printed.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import pwd
import sys
import tempfile
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from agent import config, signing
from agent.broker import Tls, must_be_private
from agent.config import Config
from agent.neighbours import keyfile
from agent.settings.remote import FILE as REMOTE
from agent.settings.tables import UplinkConfig
from agent.settings.toml import ConfigError, Document
from agent.tools.bundle import CONFIG, SECRETS, BundleError, Manifest, pack, unpack

FOLDER = "etc/outpost"
USER = "outpost"
"""Who runs the agent; owns the credentials where root sets the unit up."""


class ProvisionError(Exception):
    """Why nothing was done; a sentence each."""

    def __init__(self, *sentences: str) -> None:
        super().__init__("\n".join(sentences))
        self.sentences = sentences


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("bundle", type=Path, metavar="BUNDLE")
    parser.add_argument(
        "--trust", metavar="KEY", help="public key that must have signed it: PEM file or base64"
    )
    parser.add_argument("--root", type=Path, default=Path("/"), metavar="DIR",
                        help="set up below DIR/etc/outpost (default /)")  # fmt: skip
    parser.add_argument("--replace", action="store_true", help="overwrite files that differ")
    parser.add_argument(
        "--make", type=Path, metavar="FOLDER",
        help="make BUNDLE of agent.toml, credentials/ and limits/ in FOLDER",
    )  # fmt: skip
    parser.add_argument("--key", type=Path, metavar="FILE", help="private key (PEM) for --make")
    parser.add_argument(
        "--at-unit", action="append", default=[], metavar="FILE",
        help="with --make: a file that is made at the unit and stays there (credentials/unit.key)",
    )  # fmt: skip
    parser.add_argument("--by", default="", help="who makes it, for the unit's record")


def main(args: argparse.Namespace) -> int:
    """0: done; 1: nothing was done, and standard error says why."""
    try:
        lines = _make(args) if args.make is not None else _set_up(args)
        sys.stdout.writelines(f"{line}\n" for line in lines)
    except ProvisionError as error:
        sys.stderr.writelines(f"{sentence}\n" for sentence in error.sentences)
        return 1
    except OSError as error:
        sys.stderr.write(f"{error.filename or args.bundle}: {error.strerror or error}\n")
        return 1
    return 0


# -- at the center -------------------------------------------------------------------------------


def _make(args: argparse.Namespace) -> Iterator[str]:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    if args.key is None:
        raise ProvisionError("--make needs --key, the private key (PEM) that signs")
    try:
        must_be_private(str(args.key))
        key = load_pem_private_key(args.key.read_bytes(), password=None)
    except (ValueError, TypeError) as error:
        raise ProvisionError(
            f"{args.key}: no private key as PEM without a password: {error}"
        ) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise ProvisionError(f"{args.key}: expected an Ed25519 private key as PEM")
    found = [args.make / CONFIG, *sorted(args.make.glob(f"{SECRETS}/*")),
             *sorted(args.make.glob("limits/*"))]  # fmt: skip
    files: dict[str, str] = {}
    for path in found:
        try:
            files[path.relative_to(args.make).as_posix()] = path.read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise ProvisionError(f"{path}: expected text (PEM, TOML, a password)") from error
    made = datetime.now(UTC).isoformat(timespec="seconds")
    manifest = Manifest(made=made, by=args.by, files=files)
    settings = _checked(manifest, None, args.at_unit)
    try:
        packed = pack(manifest, key)
    except BundleError as error:
        raise ProvisionError(f"{args.make}: {error}") from error
    _write(args.bundle, packed, 0o600)
    yield _summary(settings)
    yield f"made {args.bundle}: {len(files)} files; it holds the unit's secrets"


# -- at the unit ---------------------------------------------------------------------------------


def _set_up(args: argparse.Namespace) -> Iterator[str]:
    if args.trust is None:
        raise ProvisionError(
            "expected --trust KEY, the public key that must have signed the bundle"
        )
    try:
        trusted = signing.public_key(args.trust)
    except ValueError as error:
        raise ProvisionError(f"--trust: {error}") from error
    try:
        manifest = unpack(args.bundle.read_bytes(), trusted)
    except BundleError as error:
        raise ProvisionError(f"{args.bundle}: {error}; nothing was written") from error
    folder = args.root / FOLDER
    settings = _checked(manifest, args.root)
    known = {name: _same(folder / name, text) for name, text in manifest.files.items()}
    if differ := [name for name, same in known.items() if same is False and not args.replace]:
        raise ProvisionError(
            *(f"{folder / name}: it is there, and differs" for name in differ),
            "nothing was written; --replace overwrites",
        )
    yield f"signed by the trusted key; made {manifest.made} by {manifest.by or 'nobody named'}"
    yield _summary(settings)
    # The configuration last: until then the unit is as it was.
    for name in sorted(manifest.files, key=lambda name: (name == CONFIG, name)):
        yield _place(folder, name, manifest.files[name], known[name])
    changed = args.root / settings.store.dir.lstrip("/") / REMOTE
    if changed.exists():
        yield f"{changed}: what centers changed from afar still holds; remove it to undo that"
    yield f"remove {args.bundle} now: it holds the unit's secrets"


def _same(path: Path, text: str) -> bool | None:
    """None: nothing is there."""
    try:
        return path.read_bytes() == text.encode()
    except FileNotFoundError:
        return None


def _place(folder: Path, name: str, text: str, same: bool | None) -> str:
    path = folder / name
    mode = 0o600 if name.startswith(f"{SECRETS}/") else 0o644
    path.parent.mkdir(parents=True, exist_ok=True)
    if mode == 0o600:
        path.parent.chmod(0o700)
        _give(path.parent)
    if name == CONFIG and same is False:
        _write(path.with_name(f"{CONFIG}.old"), path.read_bytes(), mode)
    if not same:
        _write(path, text.encode(), mode)
    path.chmod(mode)
    if mode == 0o600:
        _give(path)
    verb = "left, it is the same:" if same else "wrote" if same is None else "replaced"
    return f"{verb} {path} (mode {mode:04o})"


def _give(path: Path) -> None:
    """To the agent's user, where root sets up and that user is known here."""
    if os.geteuid() == 0:
        with contextlib.suppress(KeyError):
            user = pwd.getpwnam(USER)
            os.chown(path, user.pw_uid, user.pw_gid)


def _write(path: Path, data: bytes, mode: int) -> None:
    """As a whole or not at all; never readable by more than `mode` says."""
    number, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with open(number, "wb") as file:
            os.fchmod(number, mode)
            file.write(data)
            file.flush()
            os.fsync(number)
        Path(name).replace(path)
    except OSError:
        Path(name).unlink(missing_ok=True)
        raise


# -- whether it would run ------------------------------------------------------------------------


def _checked(manifest: Manifest, root: Path | None, at_unit: Sequence[str] = ()) -> Config:
    """ProvisionError holds every mistake.  The files are tried in a folder of their own; those of
    `at_unit` cannot be."""
    with tempfile.TemporaryDirectory(prefix="outpost-") as name:
        stage = Path(name)
        for file, text in manifest.files.items():
            path = stage / FOLDER / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch(0o600)
            path.write_bytes(text.encode())
        text = manifest.files.get(CONFIG, "")
        moved = text.replace(f"/{FOLDER}/", f"{stage}/{FOLDER}/")
        try:
            tried = config.parse(Document(CONFIG, moved))
        except ConfigError as error:
            raise ProvisionError(*_unstaged(error.mistakes, stage)) from error
        found = [line for uplink in tried.uplinks for line in _credentials(uplink, stage, root)]
        found += _neighbours(tried, stage, root)
        tables = msgspec.to_builtins({"media": tried.media, "person": tried.person})
        found += _files(tables, stage, root)
        known = tuple(_lacks(f"{stage}/{FOLDER}/{name}") for name in at_unit)
        if found := [line for line in found if not line.endswith(known)]:
            raise ProvisionError(*_unstaged(found, stage))
    return tried


def _unstaged(sentences: Sequence[str], stage: Path) -> list[str]:
    return [sentence.replace(f"{stage}/", "/") for sentence in sentences]


def _credentials(uplink: UplinkConfig, stage: Path, root: Path | None) -> Iterator[str]:
    """What would keep this uplink from its center, as far as files say."""
    given: dict[str, str] = {}
    for key in ("ca_file", "cert_file", "key_file", "password_file"):
        path = getattr(uplink, key)
        there = _there(path, stage, root) if path else None
        given[key] = str(there or "")
        if path and there is None and Path(path).is_relative_to(stage):
            yield f"uplink {uplink.name}: {key}: {_lacks(path)}"
    for signer in uplink.signers:
        there = _there(signer, stage, root)
        try:
            signing.public_key(str(there) if there else signer)
        except ValueError as error:
            yield f"uplink {uplink.name}: signers: {error}"
    own = (("cert_file", uplink.cert_file), ("key_file", uplink.key_file))
    if uplink.tls and all(given[key] or not path for key, path in own):
        try:
            Tls(
                ca_file=given["ca_file"], cert_file=given["cert_file"], key_file=given["key_file"]
            ).context()  # fmt: skip
        except ValueError as error:
            yield f"uplink {uplink.name}: {error}"


def _neighbours(tried: Config, stage: Path, root: Path | None) -> Iterator[str]:
    """What would keep this unit from its neighbours."""
    near = tried.neighbours
    if not near.enabled:
        return
    there = _there(near.key_file, stage, root)
    if there is None:
        if Path(near.key_file).is_relative_to(stage):
            yield f"neighbours: key_file: {_lacks(near.key_file)}"
        return
    try:
        keyfile.read(msgspec.structs.replace(near, key_file=str(there)), tried.unit)
    except ValueError as error:
        yield f"neighbours: {near.key_file}: {error}"


def _files(tables: dict[str, Any], stage: Path, root: Path | None, at: str = "") -> Iterator[str]:
    """Files that tables name (secrets of TURN, tokens, keys), and that are not there."""
    for key, value in tables.items():
        where = f"{at}.{key}" if at else key
        for one in value if isinstance(value, list | tuple) else (value,):
            if isinstance(one, dict):
                yield from _files(one, stage, root, where)
            elif key.endswith("_file") and one and _there(one, stage, root) is None:
                if Path(one).is_relative_to(stage):
                    yield f"{at}: {key}: {_lacks(one)}"


def _lacks(path: str) -> str:
    return f"there is no {path}, and the bundle brings none"


def _there(path: str, stage: Path, root: Path | None) -> Path | None:
    """The file: in the bundle, else at the unit; None where it cannot be seen from here."""
    staged = Path(path)
    if staged.is_relative_to(stage):
        if staged.exists():
            return staged
        path = str(staged.relative_to(stage))
    at = None if root is None else root / path.lstrip("/")
    return at if at is not None and at.is_file() else None


def _summary(settings: Config) -> str:
    unit = settings.unit
    uplinks = ", ".join(f"{up.name} ({up.host}:{up.port})" for up in settings.uplinks) or "none"
    return (
        f"unit {unit.id} of {unit.org}, profile {unit.profile.value}, mark {unit.mark.value}; "
        f"uplinks: {uplinks}; limits: {Path(settings.alarms.limits).stem}"
    )

"""`outpost provision`: made at a center, set up at a unit; tampered, of another, onto other files;
and a unit that was set up by it delivers over mutual TLS to a real broker."""

from __future__ import annotations

import base64
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from agent import config, provision
from agent.__main__ import main
from agent.tools.bundle import BYTES_MAX, BundleError, Manifest, pack, unpack
from tests.agent.agent_process import AgentProcess
from tests.agent.brokers import Authority
from tests.agent.test_signing import KEY, OTHER, pem, public
from tests.mosquitto import Mosquitto, find_free_port

UNIT = """\
[unit]
id = "ex-cv-07"
org = "hubei"
profile = "vehicle"
mark = "exercise"
[alarms]
limits = "/etc/outpost/limits/own.toml"
[[uplink]]
name = "center"
host = "127.0.0.1"
port = PORT
ca_file = "/etc/outpost/credentials/ca.pem"
cert_file = "/etc/outpost/credentials/unit.crt"
key_file = "/etc/outpost/credentials/unit.key"
username = "ex-cv-07"
password_file = "/etc/outpost/credentials/password"
"""
LIMITS = """\
title = { zh = "自用", en = "Own" }
[[limit]]
quantity = "cl2"
unit = "ppm"
low = 0.5
high = 1.0
basis = "own"
"""
SECRET = "rosebud-7"


class Bench:
    """The center's folder, its keys, a bundle, and the root of a unit."""

    def __init__(self, folder: Path, port: int = 8883) -> None:
        self.source = folder / "units" / "ex-cv-07"
        self.bundle = folder / "ex-cv-07.json"
        self.root = folder / "root"
        self.etc = self.root / "etc" / "outpost"
        self.key = folder / "center.key"
        self.trust = pem(KEY, folder / "center.pem")
        self.authority = Authority(folder, "ca")
        certificate, key = self.authority.issue("unit")
        self.key.write_bytes(
            KEY.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )  # fmt: skip
        self.key.chmod(0o600)
        files = {
            "agent.toml": UNIT.replace("PORT", str(port)),
            "limits/own.toml": LIMITS,
            "credentials/ca.pem": self.authority.file.read_text(),
            "credentials/unit.crt": certificate.read_text(),
            "credentials/unit.key": key.read_text(),
            "credentials/password": f"{SECRET}\n",
        }
        for name, text in files.items():
            path = self.source / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    def make(self, *more: str) -> int:
        return main([
            "provision", str(self.bundle), "--make", str(self.source), "--key", str(self.key),
            "--by", "hq", *more,
        ])  # fmt: skip

    def set_up(self, *more: str, trust: str = "") -> int:
        return main([
            "provision", str(self.bundle), "--trust", trust or str(self.trust),
            "--root", str(self.root), *more,
        ])  # fmt: skip

    def there(self) -> list[str]:
        return sorted(p.relative_to(self.root).as_posix() for p in self.root.rglob("*")
                      if p.is_file())  # fmt: skip


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_it_is_made_and_set_up_with_right_modes_and_no_secret_is_printed(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bench.make() == 0
    assert stat.S_IMODE(bench.bundle.stat().st_mode) == 0o600
    assert bench.set_up() == 0
    output = capsys.readouterr()
    key = (bench.source / "credentials/unit.key").read_text()
    assert output.err == ""
    assert SECRET not in output.out
    assert not any(line in output.out for line in key.splitlines())
    lines = output.out.splitlines()
    unit = (
        "unit ex-cv-07 of hubei, profile vehicle, mark exercise; "
        "uplinks: center (127.0.0.1:8883); limits: own"
    )
    assert lines[:2] == [unit, f"made {bench.bundle}: 6 files; it holds the unit's secrets"]
    assert lines[2].startswith("signed by the trusted key; made 20")
    assert lines[2].endswith("+00:00 by hq")
    etc = bench.etc
    assert lines[3:] == [
        unit,
        f"wrote {etc}/credentials/ca.pem (mode 0600)",
        f"wrote {etc}/credentials/password (mode 0600)",
        f"wrote {etc}/credentials/unit.crt (mode 0600)",
        f"wrote {etc}/credentials/unit.key (mode 0600)",
        f"wrote {etc}/limits/own.toml (mode 0644)",
        f"wrote {etc}/agent.toml (mode 0644)",
        f"remove {bench.bundle} now: it holds the unit's secrets",
    ]
    assert bench.there() == sorted(
        f"etc/outpost/{path.relative_to(bench.source)}"
        for path in bench.source.rglob("*") if path.is_file()
    )  # fmt: skip
    for path in bench.etc.rglob("*"):
        mode = stat.S_IMODE(path.stat().st_mode)
        if path.is_file():
            assert path.read_bytes() == (bench.source / path.relative_to(bench.etc)).read_bytes()
            assert mode == (0o600 if path.parent.name == "credentials" else 0o644)
        elif path.name == "credentials":
            assert mode == 0o700


def test_the_key_that_neighbours_share_is_carried_and_looked_at(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    toml = bench.source / "agent.toml"
    key = "/etc/outpost/credentials/neighbours"
    toml.write_text(f'{toml.read_text()}[neighbours]\nenabled = true\nkey_file = "{key}"\n')
    assert bench.make() == 1
    assert f"neighbours: key_file: there is no {key}, and" in capsys.readouterr().err
    (bench.source / "credentials/neighbours").write_text("too short\n")
    assert bench.make() == 1
    assert "expected at least 16 bytes of secret, read 9" in capsys.readouterr().err
    (bench.source / "credentials/neighbours").write_text("a secret of twenty-eight byte\n")
    assert bench.make() == 0
    assert bench.set_up() == 0
    assert stat.S_IMODE((bench.etc / "credentials/neighbours").stat().st_mode) == 0o600


MEDIA = """
[[media.ice.server]]
urls = ["turn:turn.example.net"]
secret_file = "/etc/outpost/credentials/turn"
[[media.whip]]
name = "hq"
url = "https://media.example.net/whip"
token_file = "/etc/outpost/credentials/whip"
[media.whep]
token_file = "/etc/outpost/credentials/whep"
[[camera]]
name = "front"
source = "scene"
[person.selftest]
key_file = "/etc/outpost/credentials/selftest"
"""


def test_secrets_of_video_and_selftest_are_carried_and_missed(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    toml = bench.source / "agent.toml"
    toml.write_text(toml.read_text() + MEDIA)
    lacks = {"turn": "media.ice.server: secret_file", "whip": "media.whip: token_file",
             "whep": "media.whep: token_file", "selftest": "person.selftest: key_file"}  # fmt: skip
    assert bench.make() == 1
    assert sorted(capsys.readouterr().err.splitlines()) == sorted(
        f"{where}: there is no /etc/outpost/credentials/{name}, and the bundle brings none"
        for name, where in lacks.items()
    )
    for name in lacks:
        (bench.source / f"credentials/{name}").write_text(f"{SECRET}-{name}\n")
    assert bench.make() == 0
    assert bench.set_up() == 0
    assert SECRET not in capsys.readouterr().out
    for name in lacks:
        path = bench.etc / f"credentials/{name}"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert path.read_text() == f"{SECRET}-{name}\n"


def test_a_key_may_be_given_as_text(bench: Bench) -> None:
    assert bench.make() == 0
    assert bench.set_up(trust=public(KEY)) == 0


def tampered(change: Callable[[dict[str, Any]], None]) -> Callable[[bytes], bytes]:
    def apply(data: bytes) -> bytes:
        bundle = msgspec.json.decode(data)
        change(bundle)
        return msgspec.json.encode(bundle)

    return apply


UNSIGNED = (
    "the trusted key has not signed it: it was changed, or it is signed by another; "
    "nothing was written\n"
)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (tampered(lambda b: b.update(manifest=b["manifest"].replace("hubei", "henan"))), UNSIGNED),
        (tampered(lambda b: b.update(manifest="{}")), UNSIGNED),
        (tampered(lambda b: b.update(sig=base64.b64encode(bytes(64)).decode())), UNSIGNED),
        (tampered(lambda b: b.update(sig="")), "sig: expected 64 bytes as base64, read 0; nothing"),
        (tampered(lambda b: b.update(format="v2")),
         "expected a bundle of the format outpost-bundle-v1, read 'v2'; nothing"),
        (lambda data: data[:-20], "expected a bundle of outpost provision --make: "),
        (lambda data: b"\xff", "expected a bundle of outpost provision --make: "),
        (lambda data: b" " * (BYTES_MAX + 1), f"expected at most {BYTES_MAX} bytes, read "),
    ],
)  # fmt: skip
def test_what_was_tampered_with_writes_nothing(
    bench: Bench, capsys: pytest.CaptureFixture[str], change: Callable[[bytes], bytes],
    sentence: str,
) -> None:  # fmt: skip
    bench.make()
    bench.bundle.write_bytes(change(bench.bundle.read_bytes()))
    capsys.readouterr()
    assert bench.set_up("--replace") == 1
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith(f"{bench.bundle}: {sentence}")
    assert not bench.root.exists()


def test_another_s_key_and_no_key(
    bench: Bench, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bench.make()
    capsys.readouterr()
    assert bench.set_up(trust=str(pem(OTHER, tmp_path / "other.pem"))) == 1
    assert capsys.readouterr().err == f"{bench.bundle}: {UNSIGNED}"
    assert bench.set_up(trust="nonsense") == 1
    assert capsys.readouterr().err.startswith("--trust: nonsense: cannot be read: No such file")
    assert main(["provision", str(bench.bundle)]) == 1
    assert capsys.readouterr().err.startswith("expected --trust KEY, the public key that must")
    assert not bench.root.exists()


def test_nothing_that_differs_is_overwritten_unless_it_is_asked_for(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    bench.make()
    assert bench.set_up() == 0
    # The same again changes nothing.
    capsys.readouterr()
    assert bench.set_up() == 0
    assert capsys.readouterr().out.count("left, it is the same: ") == 6
    toml, key = bench.etc / "agent.toml", bench.etc / "credentials" / "unit.key"
    own = toml.read_text() + "# mine\n"
    toml.write_text(own)
    key.write_text("mine")
    (bench.etc / "limits" / "own.toml").unlink()
    assert bench.set_up() == 1
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.splitlines() == [
        f"{toml}: it is there, and differs", f"{key}: it is there, and differs",
        "nothing was written; --replace overwrites",
    ]  # fmt: skip
    assert (toml.read_text(), key.read_text()) == (own, "mine")
    assert not (bench.etc / "limits" / "own.toml").exists()
    assert bench.set_up("--replace") == 0
    assert f"replaced {toml} (mode 0644)" in capsys.readouterr().out
    assert toml.read_bytes() == (bench.source / "agent.toml").read_bytes()
    assert (bench.etc / "agent.toml.old").read_text() == own
    assert key.read_bytes() == (bench.source / "credentials" / "unit.key").read_bytes()


@pytest.mark.parametrize(
    ("file", "old", "new", "sentence"),
    [
        ("agent.toml", "port = 8883", "port = 0",
         "agent.toml:11: [uplink] port: expected 1 to 65535, read 0"),
        ("agent.toml", "credentials/unit.crt", "credentials/none.crt",
         "uplink center: cert_file: there is no /etc/outpost/credentials/none.crt, and the bundle"),
        ("agent.toml", 'username = "ex-cv-07"', 'signers = ["/etc/outpost/credentials/s.pem"]',
         "uplink center: signers: /etc/outpost/credentials/s.pem: cannot be read: No such file"),
        ("credentials/unit.key", "PRIVATE", "PRIVET",
         "uplink center: /etc/outpost/credentials/unit.crt and /etc/outpost/credentials/unit.key"),
        ("limits/own.toml", "low = 0.5", "low = 2.0",
         "/etc/outpost/limits/own.toml:5: [limit] low: expected at most high (1), read 2"),
    ],
)  # fmt: skip
def test_what_would_not_run_is_not_made(
    bench: Bench, capsys: pytest.CaptureFixture[str], file: str, old: str, new: str, sentence: str
) -> None:
    path = bench.source / file
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    assert bench.make() == 1
    output = capsys.readouterr()
    assert output.err.startswith(sentence)
    assert output.out == ""
    assert not bench.bundle.exists()


def test_what_the_bundle_does_not_bring_may_be_there(bench: Bench) -> None:
    """A key that was made at the unit and never left it."""
    path = bench.source / "credentials" / "unit.key"
    own = path.read_text()
    path.unlink()
    assert bench.make() == 1
    assert bench.make("--at-unit", "credentials/other.key") == 1
    assert bench.make("--at-unit", "credentials/unit.key") == 0
    assert bench.set_up() == 1
    (bench.etc / "credentials").mkdir(parents=True)
    (bench.etc / "credentials" / "unit.key").write_text(own)
    (bench.etc / "credentials" / "unit.key").chmod(0o600)
    assert bench.set_up() == 0


@pytest.mark.parametrize(
    "name",
    ["../x", "credentials/../../x", "/etc/passwd", "credentials/", "credentials/.x", "other/x",
     "credentials/a/b", "agent.toml\n", "limits/" + "x" * 65],
)  # fmt: skip
def test_no_name_leads_out_of_the_folder(name: str) -> None:
    manifest = Manifest(made="", by="", files={"agent.toml": "", name: ""})
    with pytest.raises(BundleError, match=r"expected agent.toml, credentials/NAME or limits/NAME"):
        pack(manifest, KEY)
    # Also where a trusted key has signed it.
    text = msgspec.json.encode(manifest).decode()
    sig = base64.b64encode(KEY.sign(f"outpost-bundle-v1\n{text}".encode())).decode()
    bundle = {"format": "outpost-bundle-v1", "manifest": text, "sig": sig}
    with pytest.raises(BundleError, match=r"expected agent.toml, credentials/NAME or limits/NAME"):
        unpack(msgspec.json.encode(bundle), KEY.public_key())


@pytest.mark.parametrize(
    ("mode", "data", "sentence"),
    [
        (0o644, None, "center.key is a secret that everybody may read (mode 0644): chmod 0600 it"),
        (0o600, b"no", "center.key: no private key as PEM without a password: "),
    ],
)
def test_a_key_that_cannot_sign(
    bench: Bench, capsys: pytest.CaptureFixture[str], mode: int, data: bytes | None, sentence: str
) -> None:
    if data is not None:
        bench.key.write_bytes(data)
    bench.key.chmod(mode)
    assert bench.make() == 1
    assert sentence in capsys.readouterr().err


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_root_gives_the_credentials_to_the_agent_s_user(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(provision, "USER", "nobody")
    bench.make()
    assert bench.set_up() == 0
    owners = {path.name: path.owner() for path in bench.etc.rglob("*")}
    assert (owners["unit.key"], owners["credentials"]) == ("nobody", "nobody")
    assert (owners["agent.toml"], owners["own.toml"]) == ("root", "root")


async def test_a_unit_that_was_set_up_delivers_over_mutual_tls(
    tmp_path: Path, mosquitto: Mosquitto
) -> None:
    bench = Bench(tmp_path, port := find_free_port())
    certificate, key = bench.authority.issue("broker")
    mosquitto.stop()
    mosquitto.config.write_text(
        mosquitto.config.read_text() + f"listener {port} 127.0.0.1\ncafile {bench.authority.file}\n"
        f"certfile {certificate}\nkeyfile {key}\nrequire_certificate true\n"
    )
    mosquitto.start()
    assert bench.make() == 0
    assert bench.set_up() == 0
    # The unit's /etc is below a folder of the test.
    text = (bench.etc / "agent.toml").read_text().replace("/etc/outpost", str(bench.etc))
    made = AgentProcess(tmp_path / "unit", "")
    made.config.write_text(text + f'[media]\nenabled = false\n[store]\ndir = "{made.store}"\n')
    assert config.load(made.config).uplinks[0].tls
    made.start()
    process = made.process
    assert process is not None
    try:
        await made.says(f"uplink center: connected to mqtts://127.0.0.1:{port}")
        assert await made.stop() == 0
    finally:
        process.kill()
        process.wait()
    # A key that everybody may read is not used, and the unit says so and goes on.
    (bench.etc / "credentials" / "unit.key").chmod(0o644)
    made.start()
    process = made.process
    assert process is not None
    try:
        await made.says("unit.key is a secret that everybody may read (mode 0644): chmod 0600 it")
        assert process.poll() is None
        assert await made.stop() == 0
    finally:
        process.kill()
        process.wait()


def test_a_stranger_s_signature_is_none() -> None:
    manifest = Manifest(made="", by="", files={"agent.toml": ""})
    packed = pack(manifest, Ed25519PrivateKey.generate())
    with pytest.raises(BundleError, match="the trusted key has not signed it"):
        unpack(packed, KEY.public_key())

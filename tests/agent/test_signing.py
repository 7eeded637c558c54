"""Signed commands through a real broker: what holds, and all that does not."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from agent import signing
from agent.messages import Class, Command, Mark
from tests.agent.rig import ROOT, Center, Unit, center, unit, uplink_config
from tests.mosquitto import Mosquitto
from tests.waiting import until

SCRIPT = Path(__file__).parents[2] / "docs" / "sign_command.py"
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
OTHER = Ed25519PrivateKey.from_private_bytes(bytes(32))
TOPIC = f"{ROOT}/cmd/sos.confirm"


def public(key: Ed25519PrivateKey) -> str:
    return base64.b64encode(key.public_key().public_bytes_raw()).decode()


def pem(key: Ed25519PrivateKey, path: Path) -> Path:
    path.write_bytes(
        key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )
    return path


def command(**over: Any) -> Command:
    now = time.time_ns() // 1_000_000
    given = {"id": "c1", "by": "duty officer", "issued": now, "mark": Mark.EXERCISE, **over}
    return Command(**given)


@pytest.fixture
async def signed(mosquitto: Mosquitto, tmp_path: Path) -> AsyncIterator[tuple[Unit, Center]]:
    """A unit in which an SOS stands; its uplink takes what OTHER (a file) or KEY has signed."""
    signers = (str(pem(OTHER, tmp_path / "other.pem")), public(KEY))
    async with (
        center(mosquitto.port) as heard,
        unit(tmp_path / "store", uplink_config(mosquitto.port, signers=signers)) as made,
    ):
        await until(lambda: made.uplink.state == "up", "the uplink is up")
        made.alarms(made.engine.sos(made.clock.now_ms()))
        yield made, heard


@pytest.mark.parametrize("key", [KEY, OTHER], ids=["base64", "file"])
async def test_what_a_signer_has_signed_is_carried_out(
    signed: tuple[Unit, Center], key: Ed25519PrivateKey
) -> None:
    made, heard = signed
    heard.command("sos.confirm", raw=signing.sign(key, TOPIC, command()))
    ack = await heard.ack()
    assert (ack["id"], ack["outcome"], ack["by"]) == ("c1", "done", "duty officer")
    assert made.engine.active() == ()


async def test_a_repeat_must_be_signed_as_well(signed: tuple[Unit, Center]) -> None:
    _, heard = signed
    asked = command(expires=time.time_ns() // 1_000_000 + 5000)
    for number in range(2):
        heard.command("sos.confirm", raw=signing.sign(KEY, TOPIC, asked))
        assert (await heard.ack(number))["outcome"] == "done"
    heard.command("sos.confirm", raw=msgspec.json.encode(asked))
    ack = await heard.ack(2)
    assert (ack["id"], ack["outcome"], ack["code"]) == ("c1", "refused", "unsigned")


async def test_what_is_not_signed_is_refused_whatever_it_is(signed: tuple[Unit, Center]) -> None:
    made, heard = signed
    heard.command("sos.confirm", {}, id="a")
    heard.command("no.such.verb", {}, id="b")
    for number, name in enumerate("ab"):
        ack = await heard.ack(number)
        assert (ack["id"], ack["outcome"], ack["code"]) == (name, "refused", "unsigned")
        assert ack["detail"] == "this uplink takes what is signed alone (signers)"
    assert len(made.engine.active()) == 1
    await until(
        lambda: [r.body["data"]["code"] for r in heard.of(Class.EVENTS)
                 if r.body["event"] == "command"] == ["unsigned"] * 2,
        "the audit arrives",
    )  # fmt: skip


def changed(payload: bytes, **over: Any) -> bytes:
    return msgspec.json.encode({**msgspec.json.decode(payload), **over})


GOOD = command(issued=1_795_519_261_000)
NOBODY = "none of this uplink's signers has signed this for this topic"


@pytest.mark.parametrize(
    ("over", "detail"),
    [
        ({"id": "c2"}, NOBODY),
        ({"by": "somebody"}, NOBODY),
        ({"issued": 1_795_519_261_001}, NOBODY),
        ({"expires": 2_000_000_000_000}, NOBODY),
        ({"mark": "actual"}, NOBODY),
        ({"args": {"alarm": "x"}}, NOBODY),
        ({"id": "c1\noutpost"}, "sig: what is signed holds printable characters alone"),
        ({"sig": "****"}, "sig: expected 64 bytes as base64, read '****'"),
        ({"sig": "AAAA"}, "sig: expected 64 bytes as base64, read 3"),
        ({"sig": "\u00e9"}, "sig: expected 64 bytes as base64, read '\u00e9'"),
        ({"sig": base64.b64encode(bytes(64)).decode()}, NOBODY),
    ],
    ids=lambda value: str(value)[:30],
)
async def test_a_changed_command_is_refused(
    signed: tuple[Unit, Center], over: dict[str, Any], detail: str
) -> None:
    made, heard = signed
    heard.command("sos.confirm", raw=changed(signing.sign(KEY, TOPIC, GOOD), **over))
    ack = await heard.ack()
    assert (ack["outcome"], ack["code"]) == ("refused", "bad_signature")
    assert ack["detail"].startswith(detail)
    assert len(made.engine.active()) == 1


async def test_a_signature_is_good_for_its_topic_and_its_signer_alone(
    signed: tuple[Unit, Center],
) -> None:
    made, heard = signed
    elsewhere = signing.sign(KEY, TOPIC.replace("ex-cv-01", "ex-cv-02"), command())
    heard.command("sos.confirm", raw=elsewhere)
    stranger = Ed25519PrivateKey.generate()
    heard.command("sos.confirm", raw=signing.sign(stranger, TOPIC, command()))
    for number in range(2):
        ack = await heard.ack(number)
        assert (ack["code"], ack["detail"]) == ("bad_signature", NOBODY)
    # And it takes no other check away.
    heard.command("sos.confirm", raw=signing.sign(KEY, TOPIC, GOOD))
    assert (await heard.ack(2))["code"] == "expired"
    assert len(made.engine.active()) == 1


async def test_a_key_that_cannot_be_read_opens_nothing(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    absent, text = tmp_path / "absent.pem", tmp_path / "text.pem"
    text.write_text("ssh-ed25519 AAAA")
    config = uplink_config(mosquitto.port, signers=(str(absent), str(text)))
    async with center(mosquitto.port) as heard, unit(tmp_path / "store", config) as made:
        await until(lambda: made.uplink.state == "up", "the uplink is up")
        heard.command("sos.confirm", raw=signing.sign(KEY, TOPIC, command()))
        ack = await heard.ack()
        assert (ack["code"], ack["detail"]) == (
            "bad_signature",
            f"{NOBODY}; {absent}: cannot be read: No such file or directory; "
            f"{text}: expected an Ed25519 public key as PEM",
        )  # fmt: skip


def test_an_entry_that_is_neither_key_nor_file_is_a_mistake() -> None:
    config = uplink_config(1, signers=("center", "AAAA", public(KEY), "keys/center", "a.pem"))
    assert list(config.mistakes()) == [
        ("signers",
         f"expected a public key of 32 bytes as base64, or a PEM file, read {word!r}")
        for word in ("center", "AAAA")
    ]  # fmt: skip


def test_the_example_of_the_manual_holds() -> None:
    """agent/README.md prints this key and this signature."""
    readme = (Path(signing.__file__).parent / "README.md").read_text(encoding="utf-8")
    payload = next(
        line for line in readme.splitlines() if line.startswith('{"id": "7c0d') and "sig" in line
    )
    asked = msgspec.json.decode(payload, type=Command)
    topic = "outpost/v1/hubei/cv-01/cmd/alarm.ack"
    signing.check([public(KEY)], topic, asked, payload.encode())
    lines = readme.split("```text\n")[1].split("```")[0].strip().splitlines()
    args = '{"alarm": "gas1/cl2/high"}'
    assert "\n".join(lines).encode() == signing.signed_bytes(topic, asked, args.encode())
    assert lines[-1] == hashlib.sha256(args.encode()).hexdigest()
    assert public(KEY) in readme


async def test_a_center_s_script_signs_what_a_unit_obeys(
    signed: tuple[Unit, Center], tmp_path: Path
) -> None:
    _, heard = signed
    path = tmp_path / "center.key"
    path.write_bytes(
        KEY.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )  # fmt: skip
    script = await asyncio.create_subprocess_exec(
        sys.executable, str(SCRIPT), str(path), TOPIC, "duty officer", '{"alarm":  ""}',
        "--exercise", stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    payload, _ = await script.communicate()
    assert json.loads(payload)["args"] == {"alarm": ""}
    heard.command("sos.confirm", raw=payload)
    assert (await heard.ack())["outcome"] == "done"

"""HTTPS of the console's own: with a certificate that was given, with one that it makes."""

from __future__ import annotations

import asyncio
import datetime as dt
import signal
import ssl
import subprocess
import sys
from pathlib import Path

import aiohttp
import pytest

from agent.console import tls
from agent.console.options import OptionError
from tests.waiting import until

from .test_command_line import parse


def made(folder: Path, host: str = "127.0.0.1") -> tuple[Path, Path]:
    return tls.self_signed(folder, host)


def test_a_certificate_is_made_once_and_only_its_owner_reads_the_key(tmp_path: Path) -> None:
    certificate, key = made(tmp_path / "new")
    before = tls.fingerprint(certificate)
    assert key.stat().st_mode & 0o777 == 0o600
    assert tls.fingerprint(made(tmp_path / "new")[0]) == before
    assert tls.fingerprint(made(tmp_path / "new", "console.example.org")[0]) != before


def test_one_that_soon_ends_is_made_anew(tmp_path: Path) -> None:
    certificate, _ = made(tmp_path)
    before = tls.fingerprint(certificate)
    late = dt.datetime.now(dt.UTC) + dt.timedelta(days=tls.VALID_DAYS - 10)
    assert tls.fingerprint(tls.self_signed(tmp_path, "127.0.0.1", late)[0]) != before


def test_openssl_shows_the_same_fingerprint(tmp_path: Path) -> None:
    certificate, _ = made(tmp_path)
    said = subprocess.run(
        ["openssl", "x509", "-noout", "-fingerprint", "-sha256", "-in", str(certificate)],
        check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    assert said.strip().partition("=")[2] == tls.fingerprint(certificate)


def test_what_cannot_serve_is_told(tmp_path: Path) -> None:
    certificate, key = made(tmp_path / "a")
    _, other = made(tmp_path / "b")
    locked = tmp_path / "locked.key"
    subprocess.run(
        ["openssl", "ec", "-in", str(key), "-aes256", "-passout", "pass:x", "-out", str(locked)],
        check=True, capture_output=True,
    )  # fmt: skip
    rubbish = tmp_path / "rubbish"
    rubbish.write_text("no certificate")
    for words, sentence in (
        (("--tls-cert", str(certificate)), "--tls-cert and --tls-key are given together"),
        (("--tls-cert", "/none", "--tls-key", str(key)), "--tls-cert: /none cannot be read"),
        (("--tls-cert", str(certificate), "--tls-key", str(other)), "is not the key of"),
        (("--tls-cert", str(certificate), "--tls-key", str(locked)), "needs a password"),
        (("--tls-cert", str(rubbish), "--tls-key", str(key)), "are no certificate and key in PEM"),
        (("--tls-self-signed", str(tmp_path), "--tls-key", str(key)), "drop --tls-cert"),
        (("--tls-self-signed", str(rubbish)), "--tls-self-signed: "),
    ):
        with pytest.raises((OptionError, tls.TlsError)) as caught:
            parse(*words)
        assert sentence in str(caught.value)


async def test_the_page_is_served_over_https_and_its_fingerprint_is_printed(tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "agent", "console", "--broker", "mqtt://127.0.0.1:1",
        "--org", "hubei", "--port", "0", "--ready-file", str(ready),
        "--tls-self-signed", str(tmp_path / "tls"), stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        await until(lambda: ready.is_file() and bool(ready.read_text()), "the page is served", 30)
        url = ready.read_text().strip()
        assert url.startswith("https://127.0.0.1:")
        certificate = tmp_path / "tls" / tls.CERTIFICATE
        trusting = ssl.create_default_context(cafile=str(certificate))
        async with aiohttp.ClientSession() as session:
            async with session.get(url + "api/state", ssl=trusting) as answer:
                assert answer.status == 200
            with pytest.raises(aiohttp.ClientError):
                await session.get(url + "api/state")  # a stranger's certificate
            with pytest.raises(aiohttp.ClientError):
                await session.get(url.replace("https", "http") + "api/state")
    finally:
        process.send_signal(signal.SIGTERM)
    _, stderr = await process.communicate()
    assert tls.fingerprint(certificate) in stderr.decode()
    assert process.returncode == 0

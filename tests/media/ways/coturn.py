"""A real TURN server (Debian's coturn) on loopback, with credentials that have an end."""

from __future__ import annotations

import asyncio
import shutil
import socket
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

TURNSERVER = shutil.which("turnserver")
SECRET = "only for this test"


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def make_certificate(folder: Path, address: str) -> tuple[Path, Path]:
    """A certificate for `address` that signs itself, and its key."""
    cert, key = folder / "cert.pem", folder / "key.pem"
    subprocess.run(
        [
            "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
            "-nodes", "-days", "2", "-subj", "/CN=test", "-addext", f"subjectAltName=IP:{address}",
            "-keyout", str(key), "-out", str(cert),
        ],
        check=True, capture_output=True,
    )  # fmt: skip
    return cert, key


class Turn:
    def __init__(self, folder: Path, address: str) -> None:
        self.address = address
        self.port, self.tls_port = free_port(), free_port()
        self.log = folder / "turn.log"
        self.secret = folder / "secret"
        self.secret.write_text(SECRET + "\n")
        self.cert, self.key = make_certificate(folder, address)

    def url(self, transport: str) -> str:
        if transport == "tls":
            return f"turns:{self.address}:{self.tls_port}"
        return f"turn:{self.address}:{self.port}?transport={transport}"

    def relayed(self) -> int:
        """Allocations that the server's log tells of."""
        return self.log.read_text(errors="replace").count("ALLOCATE processed, success")


@asynccontextmanager
async def running(folder: Path, address: str = "127.0.0.1") -> AsyncIterator[Turn]:
    turn = Turn(folder, address)
    assert TURNSERVER is not None, "looked for by who calls"
    process = await asyncio.create_subprocess_exec(
        TURNSERVER, "-n", "--verbose", "--lt-cred-mech", "--use-auth-secret",
        f"--static-auth-secret={SECRET}", "--realm=outpost.test",
        f"--listening-ip={address}", f"--relay-ip={address}", f"--listening-port={turn.port}",
        f"--tls-listening-port={turn.tls_port}", f"--cert={turn.cert}", f"--pkey={turn.key}",
        "--allow-loopback-peers", "--cli-port=0", "--no-cli", "--no-multicast-peers",
        f"--log-file={turn.log}", "--simple-log", f"--pidfile={folder / 'turn.pid'}",
        f"--userdb={folder / 'turn.db'}",
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        async with asyncio.timeout(15):
            for port in (turn.port, turn.tls_port):
                while True:
                    try:
                        _, writer = await asyncio.open_connection(address, port)
                    except OSError:
                        await asyncio.sleep(0.05)
                    else:
                        writer.close()
                        break
        yield turn
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()

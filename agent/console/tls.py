"""The console's own TLS: a certificate that was given, or one that it makes and signs itself.

Browsers give a microphone to pages of HTTPS and of loopback alone.
"""

from __future__ import annotations

import datetime as dt
import ipaddress
import os
import socket
import ssl
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

CERTIFICATE, KEY = "console.crt", "console.key"
VALID_DAYS = 397
"""The longest that browsers accept."""
RENEW_DAYS = 30


class TlsError(ValueError):
    """A certificate that cannot serve; its text is one sentence."""


def context(certificate: Path, key: Path) -> ssl.SSLContext:
    """For who serves.  TlsError."""
    for name, path in (("--tls-cert", certificate), ("--tls-key", key)):
        if not os.access(path, os.R_OK):
            raise TlsError(f"{name}: {path} cannot be read")
    made = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    made.minimum_version = ssl.TLSVersion.TLSv1_2

    def no_password() -> str:
        raise TlsError(f"--tls-key: {key} needs a password; the console can ask nobody for it")

    try:
        made.load_cert_chain(certificate, key, no_password)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise TlsError(f"--tls-key: {key} is not the key of {certificate}") from error
        raise TlsError(
            f"--tls-cert: {certificate} and {key} are no certificate and key in PEM "
            f"({error.reason or error})"
        ) from error
    return made


def self_signed(folder: Path, host: str, now: dt.datetime | None = None) -> tuple[Path, Path]:
    """The certificate and key in that folder, made where there are none or they soon end: the same
    each time, so that a browser that was told to trust it goes on doing so.  TlsError."""
    now = now or dt.datetime.now(dt.UTC)
    certificate, key = folder / CERTIFICATE, folder / KEY
    try:
        if not (key.is_file() and _serves(certificate, host, now)):
            folder.mkdir(parents=True, exist_ok=True)
            _make(certificate, key, host, now)
    except OSError as error:
        raise TlsError(f"--tls-self-signed: {folder}: {error.strerror}") from error
    return certificate, key


def fingerprint(certificate: Path) -> str:
    """SHA-256, as browsers show it."""
    found = x509.load_pem_x509_certificate(certificate.read_bytes())
    return found.fingerprint(hashes.SHA256()).hex(":").upper()


def _serves(certificate: Path, host: str, now: dt.datetime) -> bool:
    if not certificate.is_file():
        return False
    try:
        found = x509.load_pem_x509_certificate(certificate.read_bytes())
        named = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (ValueError, x509.ExtensionNotFound):
        return False
    enough = dt.timedelta(days=RENEW_DAYS)
    return found.not_valid_after_utc - now > enough and set(_names(host)) <= set(named)


def _names(host: str) -> list[x509.GeneralName]:
    """What browsers may call this machine."""
    names: list[x509.GeneralName] = [x509.DNSName("localhost"), x509.DNSName(socket.gethostname())]
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        if host not in ("localhost", socket.gethostname()):
            names.append(x509.DNSName(host))
    else:
        if not address.is_unspecified and not address.is_loopback:
            names.append(x509.IPAddress(address))
    return [*names, x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]


def _make(certificate: Path, key: Path, host: str, now: dt.datetime) -> None:
    private = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "outpost console")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))  # a laptop's clock may be behind
        .not_valid_after(now + dt.timedelta(days=VALID_DAYS - 1))
        .add_extension(x509.SubjectAlternativeName(_names(host)), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(private, hashes.SHA256())
    )
    with os.fdopen(os.open(key, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(
            private.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))

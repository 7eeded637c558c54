"""Makes DTLS work with a peer whose certificate is RSA.

aiortc (1.16) offers cipher suites for ECDSA certificates alone.  GStreamer's webrtcbin makes itself
an RSA certificate: as a DTLS client aiortc then finds no suite in common with it, and the session
ends after ICE.  RFC 8827, 6.5 asks for ECDSA; taking RSA beside costs nothing.
"""

from __future__ import annotations

from aiortc.rtcdtlstransport import RTCCertificate

CIPHERS = b":".join(
    f"ECDHE-{kind}-{suite}".encode()
    for suite in ("AES128-GCM-SHA256", "CHACHA20-POLY1305", "AES128-SHA", "AES256-SHA")
    for kind in ("ECDSA", "RSA")
)

_made_by_aiortc = RTCCertificate._create_ssl_context


def install() -> None:
    """For this process.  May be called twice."""

    def create(self, srtp_profiles):  # type: ignore[no-untyped-def]
        context = _made_by_aiortc(self, srtp_profiles)
        context.set_cipher_list(CIPHERS)
        return context

    RTCCertificate._create_ssl_context = create  # type: ignore[method-assign]

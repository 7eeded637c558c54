"""What a session carries: pictures, voice.  `Peer` negotiates, each part brings its sections."""

from __future__ import annotations

from typing import Protocol

from aiortc import RTCPeerConnection
from aiortc.sdp import SessionDescription


class Part(Protocol):
    """One use of a connection.  Called in this order, all in the loop's thread."""

    def check(self, offer: SessionDescription) -> None:
        """MediaError: what the offer lacks, or why this unit cannot serve it."""

    def attach(self, connection: RTCPeerConnection) -> None:
        """Before `setRemoteDescription` (or `createOffer`): tracks, transceivers, preferences."""

    def verify(self, answer: SessionDescription) -> None:
        """MediaError: the answer negotiated is not what will be sent."""

    def close(self) -> None:
        """Let go of devices and cameras.  May be called twice, and without `attach`."""

"""aioice asks again over a socket that it has closed: a check that was under way when a session
ended fails in a timer, and its task is never told.  What is closed sends nothing; the timer runs
out then.
"""

from __future__ import annotations

from typing import Any

from aioice import ice

_send = ice.StunProtocol.send_stun


def is_closed(transport: Any) -> bool:
    """A path's socket is, or is about to be."""
    # What goes through a TURN server has no socket of its own to ask.
    is_closing = getattr(transport, "is_closing", None)
    return is_closing is not None and bool(is_closing())


def send_stun(protocol: ice.StunProtocol, message: Any, addr: tuple[str, int]) -> None:
    """As aioice's; nothing where the socket is closed."""
    transport: Any = protocol.transport
    if transport is not None and not is_closed(transport):
        _send(protocol, message, addr)


def install() -> None:
    """For this process.  May be called twice."""
    ice.StunProtocol.send_stun = send_stun  # type: ignore[assignment,method-assign]

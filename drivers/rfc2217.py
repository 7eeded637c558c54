"""Telnet with the com port option (RFC 2217, RFC 854 to 856): a serial server's line and settings.

Pure: bytes of the connection in, bytes of the serial line and bytes to answer out.  Our own: a
library's handler serves each line with two threads, and this is all that an instrument needs.
"""

from __future__ import annotations

from collections.abc import Iterator

IAC, SE, SB = 255, 240, 250
WILL, WONT, DO, DONT = 251, 252, 253, 254
BINARY, SUPPRESS_GO_AHEAD, COM_PORT = 0, 3, 44

SET_BAUDRATE, SET_DATASIZE, SET_PARITY, SET_STOPSIZE, SET_CONTROL, PURGE_DATA = 1, 2, 3, 4, 5, 12
_ANSWER = 100
"""A server's answer is the client's command plus this."""
_NO_FLOW_CONTROL = 1
_PURGE_RECEIVED = 1
_PARITIES = {"N": 1, "O": 2, "E": 3, "M": 4, "S": 5}
_STOPS = {1: 1, 2: 2, 1.5: 3}
_NAMES = {
    SET_BAUDRATE: "bit/s",
    SET_DATASIZE: "data bits",
    SET_PARITY: "parity code",
    SET_STOPSIZE: "stop bit code",
}
_WANTED = frozenset((BINARY, SUPPRESS_GO_AHEAD, COM_PORT))
_NEGOTIATION_MAX = 256
"""Bytes of one subnegotiation; the longest of the com port option that anybody sends is a banner
(SIGNATURE)."""


class Telnet:
    """The client's side of one connection."""

    def __init__(
        self, *, baudrate: int = 9600, bytesize: int = 8, parity: str = "N", stopbits: float = 1
    ) -> None:
        self._settings = {
            SET_BAUDRATE: baudrate,
            SET_DATASIZE: bytesize,
            SET_PARITY: _PARITIES[parity],
            SET_STOPSIZE: _STOPS[stopbits],
        }
        self.refusal = ""
        """Why the server cannot serve this line; empty as long as it may."""
        self._confirmed: set[int] = set()
        self._answered: set[tuple[int, int]] = set()
        self._asked = False
        self._state = self._data
        self._command = 0
        self._negotiation = bytearray()

    @property
    def ready(self) -> bool:
        """Whether the server has confirmed all settings."""
        return self._confirmed == self._settings.keys()

    def hello(self) -> bytes:
        """What a client says first."""
        return bytes(
            byte
            for command, option in (
                (WILL, BINARY), (DO, BINARY), (WILL, SUPPRESS_GO_AHEAD), (DO, SUPPRESS_GO_AHEAD),
                (WILL, COM_PORT),
            )
            for byte in (IAC, command, option)
        )  # fmt: skip

    def feed(self, data: bytes) -> tuple[bytes, bytes]:
        """(bytes of the serial line, bytes to send back); never raises."""
        line, reply = bytearray(), bytearray()
        start = 0
        while start < len(data):
            if self._state == self._data:
                end = data.find(IAC, start)
                end = len(data) if end < 0 else end
                line += data[start:end]
                start = end
                if start == len(data):
                    break
            for kind, piece in self._state(data[start]):
                (line if kind == "line" else reply).extend(piece)
            start += 1
        return bytes(line), bytes(reply)

    # -- one function a state: what the next byte means ------------------------------------------

    def _data(self, byte: int) -> Iterator[tuple[str, bytes]]:
        self._state = self._after_iac
        yield from ()

    def _after_iac(self, byte: int) -> Iterator[tuple[str, bytes]]:
        self._state = self._data
        if byte == IAC:
            yield "line", bytes((IAC,))
        elif byte in (WILL, WONT, DO, DONT):
            self._command = byte
            self._state = self._option
        elif byte == SB:
            self._negotiation.clear()
            self._state = self._within

    def _option(self, byte: int) -> Iterator[tuple[str, bytes]]:
        self._state = self._data
        command = self._command
        if byte == COM_PORT and command == DONT:
            self.refusal = "it speaks Telnet but refuses the com port option of RFC 2217"
        elif byte == COM_PORT and command == DO:
            if not self._asked:
                self._asked = True
                yield "reply", self._questions()
        elif byte not in _WANTED and (command, byte) not in self._answered:
            # Once only: two sides that answer each answer never end.
            self._answered.add((command, byte))
            if command in (WILL, DO):
                yield "reply", bytes((IAC, DONT if command == WILL else WONT, byte))

    def _within(self, byte: int) -> Iterator[tuple[str, bytes]]:
        if byte == IAC:
            self._state = self._within_after_iac
        elif len(self._negotiation) < _NEGOTIATION_MAX:
            self._negotiation.append(byte)
        yield from ()

    def _within_after_iac(self, byte: int) -> Iterator[tuple[str, bytes]]:
        self._state = self._within
        if byte == IAC:
            if len(self._negotiation) < _NEGOTIATION_MAX:
                self._negotiation.append(byte)
        elif byte == SE:
            self._state = self._data
            self._confirm(bytes(self._negotiation))
        else:
            # Not in the standard: the negotiation was cut short, and this is a command.
            yield from self._after_iac(byte)

    def _confirm(self, said: bytes) -> None:
        if len(said) < 3 or said[0] != COM_PORT:
            return
        command, value = said[1] - _ANSWER, int.from_bytes(said[2:])
        if command not in self._settings:
            return
        wanted = self._settings[command]
        if value == wanted:
            self._confirmed.add(command)
        else:
            self.refusal = f"asked for {wanted} {_NAMES[command]}, it has set {value}"

    def _questions(self) -> bytes:
        sizes = {SET_BAUDRATE: 4}
        settings = {**self._settings, SET_CONTROL: _NO_FLOW_CONTROL, PURGE_DATA: _PURGE_RECEIVED}
        return b"".join(
            bytes((IAC, SB, COM_PORT, command))
            + escape(value.to_bytes(sizes.get(command, 1)))
            + bytes((IAC, SE))
            for command, value in settings.items()
        )


def escape(data: bytes) -> bytes:
    """Bytes of the serial line as Telnet sends them: 255 is doubled."""
    return data.replace(b"\xff", b"\xff\xff")

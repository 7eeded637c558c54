"""`application/trickle-ice-sdpfrag` (RFC 8840), as WHIP and WHEP carry it in PATCH.

Pure.  With max-bundle a fragment has one `m=` line: that of the bundle's first section.
"""

from __future__ import annotations

import re

import msgspec

TYPE = "application/trickle-ice-sdpfrag"
MAX_CHARS = 16 * 1024
MAX_CANDIDATES = 64

_CREDENTIAL = re.compile(r"[A-Za-z0-9+/]+")


class FragmentError(ValueError):
    """What was read, and what was expected."""


class Fragment(msgspec.Struct, frozen=True, kw_only=True):
    """ICE's part of one bundle."""

    ufrag: str
    pwd: str
    candidates: tuple[str, ...] = ()
    """Without `a=candidate:`, as aiortc and browsers know them."""
    complete: bool = False
    """No candidate will follow."""
    mid: str = "0"
    media: str = "video 9 UDP/TLS/RTP/SAVPF 0"
    """The rest of the `m=` line."""
    session: tuple[str, ...] = ()
    """Attributes above the `m=` line: `group:BUNDLE 0`, `ice-options:...`, `ice-lite`."""

    def text(self) -> str:
        lines = [f"a={line}" for line in self.session]
        lines += [f"m={self.media}", f"a=mid:{self.mid}"]
        lines += [f"a=ice-ufrag:{self.ufrag}", f"a=ice-pwd:{self.pwd}"]
        lines += [f"a=candidate:{candidate}" for candidate in self.candidates]
        if self.complete:
            lines.append("a=end-of-candidates")
        return "\r\n".join(lines) + "\r\n"

    @property
    def lite(self) -> bool:
        return "ice-lite" in self.session

    @classmethod
    def of_sdp(cls, sdp: str) -> Fragment:
        """The bundle's ICE part of a whole description.  FragmentError."""
        return _read(sdp, "a description")

    @classmethod
    def parse(cls, text: str) -> Fragment:
        """FragmentError: no fragment, or one without credentials."""
        if len(text) > MAX_CHARS:
            raise FragmentError(
                f"a fragment of {len(text)} characters, expected {MAX_CHARS} at most"
            )
        return _read(text, "a fragment")


_KEPT_ABOVE = ("group:BUNDLE", "ice-options:", "ice-lite", "ice-pacing:")


def _read(text: str, what: str) -> Fragment:
    found: dict[str, str] = {}
    session: list[str] = []
    candidates: list[str] = []
    media, sections, complete = "", 0, False
    for line in text.splitlines():
        if line.startswith("m="):
            sections += 1
            media = media or line[2:]
        elif line and not re.match(r"[a-z]=", line):
            raise FragmentError(f"expected lines of {what} such as a=mid:0, read {line[:60]!r}")
        elif line.startswith("a=") and sections <= 1:
            name, _, value = line[2:].partition(":")
            if name in ("ice-ufrag", "ice-pwd", "mid"):
                found.setdefault(name, value)
            elif name == "candidate":
                candidates.append(value)
            elif name == "end-of-candidates":
                complete = True
            elif line[2:].startswith(_KEPT_ABOVE) and line[2:] not in session:
                session.append(line[2:])
    for name in ("ice-ufrag", "ice-pwd"):
        if not _CREDENTIAL.fullmatch(found.get(name, "")):
            raise FragmentError(f"{what} needs a=ice-ufrag and a=ice-pwd, read {text[:60]!r}")
    if len(candidates) > MAX_CANDIDATES:
        raise FragmentError(f"{len(candidates)} candidates, expected {MAX_CANDIDATES} at most")
    return Fragment(
        ufrag=found["ice-ufrag"], pwd=found["ice-pwd"], candidates=tuple(candidates),
        complete=complete, mid=found.get("mid", "0"), session=tuple(session),
        media=media or "video 9 UDP/TLS/RTP/SAVPF 0",
    )  # fmt: skip

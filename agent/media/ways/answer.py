"""A media server's answer as aiortc can take it.  Pure text.

aiortc (1.16) knows no refused section (RFC 3264, 6: port 0), and of a bundle it believes the
candidates of the last section only, where servers write them into the first.
"""

from __future__ import annotations

_OF_TRANSPORT = (
    "c=",
    "a=candidate:",
    "a=end-of-candidates",
    "a=fingerprint:",
    "a=ice-",
    "a=setup:",
)
_DIRECTIONS = ("a=sendrecv", "a=sendonly", "a=recvonly", "a=inactive")
_OF_SESSION_TOO = ("a=fingerprint:", "a=ice-", "a=setup:")


def sections(sdp: str) -> list[list[str]]:
    """The session's lines first, then those of each `m=`."""
    parts: list[list[str]] = [[]]
    for line in sdp.splitlines():
        if line.startswith("m="):
            parts.append([])
        if line:
            parts[-1].append(line)
    return parts


def usable(answer: str, offer: str) -> str:
    """A refused section becomes one that sends nothing, of the offer's codecs; each section gets
    the bundle's candidates.  What is no such answer is handed back as it came: who reads it says
    why."""
    head, *media = sections(answer)
    offered = sections(offer)[1:]
    carrier = next((part for part in media if not _is_refused(part)), None)
    if carrier is None or len(media) != len(offered):
        return answer
    above = [line for line in head if line.startswith(_OF_SESSION_TOO)]
    transport = [line for line in carrier if line.startswith(_OF_TRANSPORT)]
    transport += [line for line in above if not _has(transport, line)]
    made = list(head)
    for part, ours in zip(media, offered, strict=True):
        if _is_refused(part):
            made += _silent(ours, transport)
        else:
            made += part
            if not _has(part, "a=candidate:"):
                made += [line for line in transport if line.startswith("a=candidate:")]
    return "\r\n".join(made) + "\r\n"


def refused(answer: str) -> tuple[str, ...]:
    """Kinds (`audio`, `video`) that the answer does not take."""
    return tuple(part[0][2:].split()[0] for part in sections(answer)[1:] if _is_refused(part))


def _is_refused(part: list[str]) -> bool:
    words = part[0].split()
    return len(words) > 1 and words[1] == "0" and "a=bundle-only" not in part


def _has(lines: list[str], like: str) -> bool:
    name = like.partition(":")[0]
    return any(line.partition(":")[0] == name for line in lines)


def _silent(ours: list[str], transport: list[str]) -> list[str]:
    """The offer's own section, inactive, on the answer's transport."""
    kept = [
        line
        for line in ours
        if not line.startswith((*_OF_TRANSPORT, "a=msid", "a=ssrc", *_DIRECTIONS))
    ]
    return [*kept, "a=inactive", *transport]

"""What has passed already, so that nothing goes round in a circle.  Pure but for the hash."""

from __future__ import annotations

import hashlib
from collections import OrderedDict


class Seen:
    """The last things that passed; each may pass again after `for_s` (0: never while it is
    remembered)."""

    def __init__(self, most: int, for_s: float = 0.0) -> None:
        self._most = most
        self._for_s = for_s
        self._at: OrderedDict[bytes, float] = OrderedDict()

    def again(self, *parts: str | bytes, now_s: float = 0.0) -> bool:
        """True: it passed not long ago.  It is remembered either way."""
        digest = hashlib.blake2b(digest_size=16)
        for part in parts:
            data = part.encode() if isinstance(part, str) else part
            digest.update(len(data).to_bytes(8, "big") + data)
        key = digest.digest()
        before = self._at.get(key)
        known = before is not None and (not self._for_s or now_s - before < self._for_s)
        if not known:
            self._at[key] = now_s
            self._at.move_to_end(key)
            while len(self._at) > self._most:
                self._at.popitem(last=False)
        return known

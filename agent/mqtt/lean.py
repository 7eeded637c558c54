"""paho without dnspython: it would load 80 modules of it (a fifth of a unit's start, 5 MB) to look
up SRV records, which nothing here does; where media is installed, dnspython is there."""

from __future__ import annotations

import sys

UNUSED = "dns"

_absent = UNUSED not in sys.modules
if _absent:
    # What Python is told of a module that is not there.
    sys.modules[UNUSED] = None  # type: ignore[assignment]
try:
    import paho.mqtt.client
finally:
    if _absent:
        del sys.modules[UNUSED]

__all__ = ["paho"]

"""How much of the disk is left alone."""

from __future__ import annotations

RESERVE_BYTES = 64_000_000
RESERVE_SHARE = 0.05
"""The larger of the two stays free, whatever a ceiling in megabytes says."""


def reserve_bytes(disk_total: int) -> int:
    """What the store leaves free, so that the system around it can go on."""
    return max(RESERVE_BYTES, round(disk_total * RESERVE_SHARE))

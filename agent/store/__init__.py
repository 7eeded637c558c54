"""The one SQLite connection and all tables: the only room that imports sqlite3."""

from agent.store.file import CHECKED_MB, SET_ASIDE_MAX
from agent.store.store import (
    REMEMBERED_COMMANDS,
    WAITING_MAX,
    WAITING_MAX_URGENT,
    Store,
    StoreError,
)

__all__ = [
    "CHECKED_MB", "REMEMBERED_COMMANDS", "SET_ASIDE_MAX", "WAITING_MAX", "WAITING_MAX_URGENT",
    "Store", "StoreError",
]  # fmt: skip

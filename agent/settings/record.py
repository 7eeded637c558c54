"""What a person may write of recordings, checked."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import msgspec

from agent.media.record import config

_MB = msgspec.Meta(ge=16, le=10_000_000, description="16 to 10000000 MB")
_FREE = msgspec.Meta(ge=0, le=10_000_000, description="0 to 10000000 MB")
_SEGMENT = msgspec.Meta(ge=2, le=600, description="2 to 600 seconds")
_ROLL = msgspec.Meta(ge=0, le=3600, description="0 to 3600 seconds")
_DAYS = msgspec.Meta(gt=0, le=3660, description="a number of days, up to 3660")


class RecordConfig(config.RecordConfig, frozen=True, kw_only=True):
    """`[media.record]`."""

    max_mb: Annotated[int, _MB] = 4096
    locked_mb: Annotated[int, _MB] = 2048
    free_mb: Annotated[int, _FREE] = 512
    days: Annotated[float, _DAYS] = 30.0
    segment_s: Annotated[float, _SEGMENT] = 30.0
    pre_s: Annotated[float, _ROLL] = 30.0
    post_s: Annotated[float, _ROLL] = 60.0

    def mistakes(self) -> Iterator[tuple[str, str]]:
        if self.locked_mb > self.max_mb:
            yield (
                "locked_mb", f"expected at most max_mb ({self.max_mb}), read {self.locked_mb}"
            )  # fmt: skip
        if self.key_file and Path(self.key_file).exists():
            # It brings 6 MB of cryptography, which few units need.
            from agent.media.record import sealing

            try:
                sealing.read_key(Path(self.key_file))
            except (OSError, ValueError) as error:
                yield "key_file", str(error)

    def placed(self, store: str) -> RecordConfig:
        """With the folder that it means."""
        return msgspec.structs.replace(self, dir=self.dir or str(Path(store) / config.FOLDER))

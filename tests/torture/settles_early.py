"""An agent with a wilful bug: it takes a record for delivered when it is sent, not when the broker
has acknowledged it.  The torture must find it."""

from __future__ import annotations

import sys
from typing import Any

from agent.delivery import lanes
from agent.delivery.batches import Batch
from agent.delivery.channel import Lane
from tests.torture import moved_clock

_publish = lanes.Lanes._publish


def publish(self: Any, batch: Batch, lane: Lane) -> None:
    self._cursor.settle(batch.rows[0].epoch, [row.seq for row in batch.rows])
    _publish(self, batch, lane)


lanes.Lanes._publish = publish  # type: ignore[method-assign]
# Nor does it let anybody ask again.
lanes.Lanes.resend = lambda self, epoch, first, last: 0  # type: ignore[method-assign]
sys.exit(moved_clock.main())

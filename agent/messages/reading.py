"""One quantity that was read, or one fix."""

from __future__ import annotations

from agent.messages.base import Wire
from agent.messages.position import FixBody
from drivers import Quality


class Reading(Wire, frozen=True, kw_only=True):
    """Body of a record of class `readings`: one quantity, or one fix."""

    source: str
    """The name of the `[[source]]` in the unit's configuration."""
    quantity: str
    """`cl2`, `temperature` ...; `position` where `fix` is given."""
    value: float | None = None
    unit: str = ""
    quality: Quality
    fix: FixBody | None = None
    raw: str = ""
    full_scale: float | None = None

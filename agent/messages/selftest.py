"""The pre-use check of a unit: what its status and its incident log say of it."""

from __future__ import annotations

from agent.messages.base import Wire


class BumpTest(Wire, frozen=True, kw_only=True):
    """Test gas at one sensor, and what it made of it."""

    source: str
    quantity: str
    unit: str
    concentration: float
    """Of the test gas, as the person said who applied it."""
    value: float | None = None
    """The value furthest towards it; None: the sensor gave none."""
    seconds: float | None = None
    """From the beginning to enough of a response; None: there was not enough."""
    passed: bool
    by: str
    t: int
    """UTC ms at its end."""
    age_s: float | None = None
    """As a status is made; None where no clock can tell."""


class SelftestItem(Wire, frozen=True, kw_only=True):
    """One thing that was looked at."""

    item: str
    """`sensor`, `zero`, `bump`, `calibration`, `battery`, `disk`, `log`, `camera`, `microphone`,
    `position`, `link`, `clock`, `signature`."""
    source: str = ""
    quantity: str = ""
    state: str
    """`ok`, `warn`, `fail`; `none`: the unit has none, and nothing was looked at."""
    code: str
    value: float | None = None
    unit: str = ""
    limit: float | None = None
    """What `value` is held against."""
    detail: str = ""


class SelftestReport(Wire, frozen=True, kw_only=True):
    """One pre-use check; what is signed into the incident log."""

    t: int
    by: str
    result: str
    """`ready`, `ready_with_warnings`, `not_ready`."""
    clean_air: bool
    """A person has stated that the air was clean."""
    items: tuple[SelftestItem, ...] = ()
    bumps: tuple[BumpTest, ...] = ()


class SelftestStatus(Wire, frozen=True, kw_only=True):
    """What the unit's status says of its last pre-use check."""

    state: str
    """Now: `never`, `running`, `expired` (too old, or something has become overdue since), else
    the result: `ready`, `ready_with_warnings`, `not_ready`."""
    t: int | None = None
    by: str = ""
    result: str = ""
    """Of that time."""
    not_ok: tuple[SelftestItem, ...] = ()
    """What was not right then, and what is overdue now."""
    bumps: tuple[BumpTest, ...] = ()
    """The last one of each sensor."""
    sensors: tuple[str, ...] = ()
    """What can be bump tested, as `source/quantity`."""
    bumping: str = ""
    """The sensor that waits for test gas now, as `source/quantity`."""
    signed: str = ""
    """`ed25519`: by the unit's own key; `chain`: by the log's chain alone."""

"""The verb table: what a center may ask of a unit, and what is done.  One noun a file: each brings
the types of its verbs' arguments (`ARGUMENTS`) and what makes their rows of the table (`verbs`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from agent.alarms.engine import Engine
from agent.clock import UnitClock
from agent.commands import Verb
from agent.media.host import MediaHost
from agent.messages import Alarm
from agent.outbox import Outbox
from agent.verbs import (
    alarms,
    configuration,
    delivery,
    orders,
    person,
    rates,
    selftest,
    talk,
    video,
    wearer,
    whip,
)
from agent.verbs import media as media_verbs

ARGUMENTS: dict[str, type[msgspec.Struct]] = {
    **delivery.ARGUMENTS,
    **alarms.ARGUMENTS,
    **video.ARGUMENTS,
    **whip.ARGUMENTS,
    **talk.ARGUMENTS,
    **wearer.ARGUMENTS,
    **person.ARGUMENTS,
    **orders.ARGUMENTS,
    **rates.ARGUMENTS,
    **media_verbs.ARGUMENTS,
    **configuration.ARGUMENTS,
    **selftest.ARGUMENTS,
}
"""What `args` of each verb must be."""


def verb_table(
    outbox: Outbox,
    engine: Engine,
    clock: UnitClock,
    media: MediaHost,
    on_alarms: Callable[[list[Alarm]], Any],
    silence: Callable[[str, str], None],
) -> dict[str, Verb]:
    """The verbs that every unit knows, by name; app.py adds those of the parts that it has."""
    return {
        **delivery.verbs(outbox),
        **alarms.verbs(engine, clock, on_alarms, silence),
        **video.verbs(media),
        **whip.verbs(media),
    }

"""The verbs of the parts that a unit has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.commands import Verb
from agent.verbs import media, orders, person, rates, selftest, talk, wearer

if TYPE_CHECKING:
    from agent.app import App


def verbs(app: App) -> dict[str, Verb]:
    """Beside what every unit knows (`verb_table`)."""
    desk = app.desk
    return {
        **(wearer.verbs(app.exposures) if app.exposures is not None else {}),
        **person.verbs(app.responder),
        **(talk.verbs(app.watching) if app.media.has_voice else {}),
        **orders.verbs(desk.orders, desk.incident),
        **rates.verbs(desk.rates, lambda: {quantity for _, quantity in app.hub.latest}),
        **selftest.verbs(desk.selftest),
        **media.verbs(
            desk.gallery,
            desk.pieces,
            desk.snapshots if app.config.cameras else None,
            desk.recordings if app.config.cameras else None,
        ),
    }

"""One run of a unit: all parts in start order, in one TaskGroup, and how it ends."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from pathlib import Path

from agent import __version__, control, health, media_share
from agent.app import App
from agent.config import Config
from agent.delivery.retention import keep_within
from agent.settings.reconfigure import Reconfigure
from agent.settings.remote import Remote
from agent.settings.restart import Stop
from agent.store import Store

log = logging.getLogger(__name__)


async def run(config: Config, remote: Remote) -> bool:
    """Run a unit until SIGTERM or SIGINT, or until it is to start again (True).  OSError where it
    cannot start."""
    stop = Stop()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.for_good)
    directory = Path(config.store.dir)
    async with contextlib.AsyncExitStack() as stack:
        store: Store = await stack.enter_async_context(Store.open(directory))
        group = await stack.enter_async_context(asyncio.TaskGroup())
        app = App(config, store, group)
        store.on_late.append(app.store_opened)
        stack.enter_context(app.incident)
        reconfigure = Reconfigure(config, remote, stop.restart, app.hub.event)
        app.commands.verbs |= reconfigure.verbs()
        await stack.enter_async_context(control.serve(directory, *app.says.answers()))
        if config.panel is not None:
            from drivers.panel import Panel

            spot = app.spot
            panel = Panel(
                config.panel, on_sos=spot.sos, on_ack=spot.acknowledge, on_clean=spot.clean_air,
                on_cancel=spot.cancel_sos, on_talk=app.watching.key,
            )  # fmt: skip
            spot.panel = await stack.enter_async_context(panel)
            app.watching.lamp = spot.panel.live
        await live(app, group, stop, reconfigure)
    return stop.again


async def live(app: App, group: asyncio.TaskGroup, stop: Stop, reconfigure: Reconfigure) -> None:
    """From the first event to the last, which the final status names."""
    if app.store.set_aside is not None:
        app.hub.event("store_set_aside", "store", f"damaged; kept as {app.store.set_aside.name}")
    app.hub.event("started", "agent", f"outpost {__version__}", incident=app.incident.anchor())
    for override, base in app.config.limit_changes:
        changes = override.changes(base)
        app.hub.event("limit_changed", override.source, override.basis,
                      quantity=override.quantity, changes=changes)  # fmt: skip
    app.restore_alarms()
    sources = [
        group.create_task(source.run(), name=f"source[{source.config.name}]")
        for source in app.sources
    ]
    makers = {
        "silence": app.watch_silence(),
        "clock": app.check_clock(),
        "media": app.media.run(),
        "speech": app.speech.run(),
        "neighbours": app.near.run(),
        "retention": keep_within(app.store, app.clock, app.config.store, app.deleted),
        "reconfigure": reconfigure.watch(app.store.flush),
    }
    if app.config.media.enabled:
        makers["overlay"] = app.draw_overlay()
        makers["media.share"] = media_share.share(app.media, app.uplinks)
    senders = {
        "status": app.rewrite_status(),
        "store": app.fail_with_store(),
        "figures": app.says.figures.run(app.uplinks),
        "watchdog": health.feed_watchdog(lambda: not app.store.failed.done()),
        **{f"uplink[{uplink.config.name}]": uplink.run() for uplink in app.uplinks},
    }
    if app.relay is not None:
        senders["relay"] = app.relay.run()
    making = [group.create_task(part, name=name) for name, part in makers.items()]
    sending = [group.create_task(part, name=name) for name, part in senders.items()]
    health.notify("READY=1")
    log.info("unit %s: %d sources, %d uplinks, epoch %s", app.config.unit.id, len(sources),
             len(app.uplinks), app.outbox.epoch.name)  # fmt: skip
    await stop.wait()
    if not stop.again:
        health.notify("STOPPING=1")
    # Nothing may make a record after the last one: a sensor that is stopped is not silent.
    await _end([*sources, *making])
    app.hub.event("stopping", "agent")
    if app.exposures is not None:
        app.exposures.keep()
    app.responder.keep()
    # Only what is committed counts as waiting, and as the last number in the final status.
    await app.store.flush()
    await app.drain()
    await _end([*sending, *app.signalling.tasks])
    for uplink in app.uplinks:
        uplink.cursor.save()
    await app.store.flush()


async def _end(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)

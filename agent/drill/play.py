"""`outpost drill`: everything that a drill needs, in start order, and its end."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import os
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

import msgspec

from agent import control
from agent.drill import PORT
from agent.drill import scenario as scenarios
from agent.drill.broker import BrokerError, LocalBroker, start_broker
from agent.drill.director import Director
from agent.drill.fleet import DrillError, Unit
from agent.drill.kit import Kit
from agent.drill.page import Page, choose_port
from agent.drill.proxy import Proxy
from agent.drill.recorder import Recorder, clear_retained
from agent.drill.report import Summary, make_table
from agent.drill.scenario import Scenario
from agent.drill.tally import make_summary
from agent.drill.viewers import Viewer
from agent.drill.world import World
from agent.mqtt import Broker, MqttError

log = logging.getLogger(__name__)

FAILED, USED_WRONGLY = 1, 2
CONNECT_S = 10.0
SETTLE_S = 30.0
"""How long a scenario's end waits until nothing is pending and nothing missing."""
STOP_S = 8.0
POLL_S = 0.1
HASTE_SETTLE_S, HASTE_ASK_S, HASTE_STOP_S, HASTE_CLEAR_S = 0.7, 0.1, 1.3, 0.3
"""Ctrl-C: drains for at most 2 s, and all is gone in less than 3."""
BROKER_RESTART_S = 0.5
SOCKET_PATH_MAX = 107  # sun_path of unix(7), without the NUL


def play(args: argparse.Namespace) -> int:
    """Play a drill; returns the exit status."""
    try:
        path = scenarios.find(args.scenario)
        scenario = scenarios.load(path)
        broker = Broker.from_url(args.broker) if args.broker else None
        if args.summary is not None and not args.summary.resolve().parent.is_dir():
            raise FileNotFoundError(f"{args.summary}: there is no such folder for the summary")
    except (FileNotFoundError, ValueError) as error:
        sys.stderr.write(f"{error}\n")
        return USED_WRONGLY
    logging.basicConfig(level=logging.ERROR, format="%(levelname)s %(name)s: %(message)s")
    folder = make_folder(max(len(unit.id) for unit in scenario.unit))
    drill = Drill(args, path.stem, scenario, broker, folder)
    try:
        status = asyncio.run(drill.run())
    except* (DrillError, MqttError, BrokerError) as group:
        for sentence in _sentences(group):
            sys.stderr.write(f"{sentence}\n")
        status = FAILED
    if status == FAILED:
        sys.stderr.write(f"logs are in {folder}\n")
    else:
        shutil.rmtree(folder, ignore_errors=True)
    return status


def make_folder(longest_id: int) -> Path:
    """A folder of this drill's own; a short one, as a Unix socket's path has at most 107 bytes."""
    base = tempfile.gettempdir()
    for candidate in (base, "/tmp"):
        example = f"{candidate}/outpost-drill-12345678/{'x' * longest_id}/state/{control.NAME}"
        if len(os.fsencode(example)) <= SOCKET_PATH_MAX:
            base = candidate
            break
    return Path(tempfile.mkdtemp(prefix="outpost-drill-", dir=base))


class Drill:
    """One run, from the broker to the report."""

    def __init__(
        self, args: argparse.Namespace, name: str, scenario: Scenario, broker: Broker | None,
        folder: Path,
    ) -> None:  # fmt: skip
        self.args, self.name, self.scenario, self.folder = args, name, scenario, folder
        self.seed: int = scenario.seed if args.seed is None else args.seed
        self.video: bool = not args.no_video
        self.units: dict[str, Unit] = {}
        self.viewers: dict[str, Viewer] = {}
        self.exits: dict[str, int | None] = {}
        self.started = time.time()
        self.director: Director | None = None
        self.page: Page | None = None
        self._named_broker = broker
        self._stop = asyncio.Event()
        """Ctrl-C."""

    async def run(self) -> int:
        """The exit status.  DrillError, MqttError, BrokerError: why it could not be played."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._stop.set)
        async with contextlib.AsyncExitStack() as stack:
            own: LocalBroker | None = None
            if self._named_broker is None:
                own = await stack.enter_async_context(start_broker(self.folder / "broker"))
                broker, url = Broker.from_url(own.url), own.url
                self.say(f"broker 消息服务器: {own.name} {own.url}")
                if own.lacks:
                    self.say(f"  {own.name}: {own.lacks}")
            else:
                broker, url = self._named_broker, self.args.broker
            await clear_retained(broker, self.scenario.org)
            await self._set_up_units(stack, broker)
            return await self._play(broker, url, own)

    def say(self, text: str) -> None:
        """A line for the terminal, with the scenario's time once it runs."""
        clock = f"[{self.director.t_s:6.1f} s] " if self.director is not None else ""
        _print(f"{clock}{text}")

    async def _set_up_units(self, stack: contextlib.AsyncExitStack, broker: Broker) -> None:
        tls = broker.tls.context() if broker.tls is not None else None
        for spec in self.scenario.unit:
            proxy = await stack.enter_async_context(Proxy(broker.host, broker.port, tls=tls))
            kit = await stack.enter_async_context(Kit(spec, self.scenario, self.folder / spec.id))
            kit.write_config(
                proxy.port, video=self.video, username=broker.username, password=broker.password
            )
            self.units[spec.id] = Unit(kit, proxy, self.say, self._start_viewer_over)

    def _start_viewer_over(self, unit: str) -> None:
        if (viewer := self.viewers.get(unit)) is not None:
            viewer.start_over()

    async def _play(self, broker: Broker, url: str, own: LocalBroker | None) -> int:
        world = World(self.scenario, self.seed)
        director = Director(
            self.scenario, self.name, world, self.units, speed=self.args.speed,
            duration_s=self._duration_s(), broker=own, say=self.say,
        )  # fmt: skip
        recorder = Recorder(broker, self.scenario.org, list(self.units), director.obey)
        director.hang_up = recorder.hang_up
        for unit in self.units.values():
            unit.kit.feel(world)
        if self.video or not self.args.headless:
            self.page = self._make_page(url)
        summary: Summary | None = None
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(recorder.run(), name="recorder")]
            if own is not None:
                tasks.append(group.create_task(self._watch_broker(own), name="broker"))
            if self.page is not None:
                tasks.append(group.create_task(self.page.run(), name="page"))
            for unit in self.units.values():
                tasks.append(group.create_task(unit.kit.run(), name=f"kit[{unit.id}]"))
                tasks.append(group.create_task(unit.run(), name=f"unit[{unit.id}]"))
            try:
                await self._direct(group, director, recorder, tasks)
                await self._finish(director, recorder)
                summary = make_summary(self, director, recorder)
            finally:
                await self._end_processes(0.0)
                for task in tasks:
                    task.cancel()
                # Also where the drill failed: what it retained would outlive it.
                with contextlib.suppress(MqttError, TimeoutError):
                    async with asyncio.timeout(HASTE_CLEAR_S if self._stop.is_set() else STOP_S):
                        await clear_retained(broker, self.scenario.org)
        assert summary is not None
        return self._hand_over(summary)

    def _duration_s(self) -> float:
        """In the scenario's time."""
        if self.args.duration is None:
            return self.scenario.duration_s
        return float(self.args.duration * self.args.speed)

    def _make_page(self, url: str) -> Page:
        host = "127.0.0.1" if self.args.headless else self.args.host
        port = 0 if self.args.headless else choose_port(host, self.args.port, PORT)
        return Page(url, self.scenario.org, host, port, self.args.lang, self.folder, self.say)

    async def _watch_broker(self, broker: LocalBroker) -> None:
        while True:
            code = await broker.wait()
            self.say(f"the broker ended with {code}, started again")
            await asyncio.sleep(BROKER_RESTART_S)
            await broker.restart()

    # -- the scenario ------------------------------------------------------------------------

    async def _direct(
        self, group: asyncio.TaskGroup, director: Director, recorder: Recorder,
        tasks: list[asyncio.Task[None]],
    ) -> None:  # fmt: skip
        """Until the scenario's end, or Ctrl-C."""
        ready = asyncio.create_task(self._get_ready(recorder), name="ready")
        if not await self._first(ready):
            director.end("interrupted")
            return
        self.director = director
        self._announce()
        if self.args.headless and self.video:
            tasks.append(group.create_task(self._view(group, recorder, tasks), name="viewers"))
        await self._first(
            asyncio.create_task(director.run(recorder.publish_state), name="director")
        )
        if self._stop.is_set():
            director.end("interrupted")

    async def _first(self, task: asyncio.Task[None]) -> bool:
        """Whether `task` was done before Ctrl-C came; it is cancelled otherwise.  What it raises
        is raised here."""
        stop = asyncio.create_task(self._stop.wait(), name="stop")
        try:
            await asyncio.wait([task, stop], return_when=asyncio.FIRST_COMPLETED)
            done = task.done()
        finally:
            for other in (task, stop):
                other.cancel()
            await asyncio.wait([task, stop])
        if done:
            task.result()
        return done

    async def _get_ready(self, recorder: Recorder) -> None:
        try:
            async with asyncio.timeout(CONNECT_S):
                await recorder.connected.wait()
        except TimeoutError as error:
            raise DrillError(f"the broker is not there: {recorder.trouble}") from error
        if self.page is not None:
            await self.page.ready()

    def _announce(self) -> None:
        title = self.scenario.title
        self.say(f"EXERCISE 演练: {title.zh}  {title.en} (seed {self.seed})")
        if self.page is not None and not self.args.headless:
            self.say(f"page 页面:        {self.page.address}")
            self.say(f"instructor 导调: {self.page.instructor_address}")
            self.say("Ctrl-C ends it. 按 Ctrl-C 结束。")

    async def _view(
        self, group: asyncio.TaskGroup, recorder: Recorder, tasks: list[asyncio.Task[None]]
    ) -> None:
        """One viewer a unit, as soon as that has said that it has a camera."""
        assert self.page is not None
        waiting = {unit.id for unit in self.units.values() if unit.kit.spec.camera}
        while waiting:
            for unit in sorted(waiting & recorder.statuses.keys()):
                waiting.discard(unit)
                camera = self.units[unit].kit.spec.camera[0].name
                log_file = self.folder / f"viewer-{unit}.log"
                viewer = Viewer(self.page.url, unit, camera, log_file, self.page.token)
                self.viewers[unit] = viewer
                tasks.append(group.create_task(viewer.run(), name=f"viewer[{unit}]"))
            await asyncio.sleep(POLL_S)

    # -- the end -----------------------------------------------------------------------------

    async def _finish(self, director: Director, recorder: Recorder) -> None:
        """Lift the faults, drain, and end the agents in order."""
        director.lift_faults()
        if not self._stop.is_set():
            self.say("the end: faults lifted, draining 结束: 解除故障, 排空")
            await self._stop_viewers(STOP_S)
            await self._first(asyncio.create_task(self._settle(recorder, SETTLE_S), name="settle"))
        if self._stop.is_set():
            await asyncio.gather(
                self._stop_viewers(HASTE_SETTLE_S), self._settle(recorder, HASTE_SETTLE_S)
            )
        haste = self._stop.is_set()
        await self._end_processes(HASTE_STOP_S if haste else STOP_S)
        await self._hear_last_words(recorder, HASTE_ASK_S if haste else SETTLE_S / 10)

    async def _settle(self, recorder: Recorder, timeout_s: float) -> None:
        """Until no unit holds anything and nothing is missing, for so long at most."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while True:
                    await asyncio.gather(*(unit.ask() for unit in self.units.values()))
                    if all(self._is_settled(unit, recorder) for unit in self.units.values()):
                        return
                    await asyncio.sleep(POLL_S)

    def _is_settled(self, unit: Unit, recorder: Recorder) -> bool:
        """Records go on being made, so `pending` may be above 0 for a moment; the count of
        encoded pictures lags by a heartbeat, and what a killed agent had not told is lost."""
        viewer = self.viewers.get(unit.id)
        counted = viewer is None or unit.starts > 1 or viewer.frames_decoded <= unit.frames_encoded
        return counted and unit.pending == 0 and recorder.counts(unit.id).missing == 0

    async def _hear_last_words(self, recorder: Recorder, timeout_s: float) -> None:
        """Until all units have said that they stopped, and what they said has arrived."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while True:
                    if all(_has_said_all(unit, recorder) for unit in self.units):
                        return
                    await asyncio.sleep(POLL_S / 4)

    async def _stop_viewers(self, timeout_s: float) -> None:
        await asyncio.gather(*(viewer.stop(timeout_s) for viewer in self.viewers.values()))

    async def _end_processes(self, timeout_s: float) -> None:
        """End all children at once; what is gone already stays as it was counted."""
        agents = [unit for unit in self.units.values() if unit.id not in self.exits]
        others = [self._stop_viewers(timeout_s)]
        if self.page is not None:
            others.append(self.page.stop(timeout_s))
        await asyncio.gather(*(self._end_agent(unit, timeout_s) for unit in agents), *others)

    async def _end_agent(self, unit: Unit, timeout_s: float) -> None:
        self.exits[unit.id] = await unit.stop(timeout_s)

    def _hand_over(self, summary: Summary) -> int:
        if self.args.summary is not None:
            text = msgspec.json.format(msgspec.json.encode(summary), indent=2)
            self.args.summary.write_bytes(text + b"\n")
        _print(make_table(summary, self.args.lang))
        return 0 if summary.ok or self._stop.is_set() else FAILED


def _print(text: str) -> None:
    """To whoever reads it; a terminal or pipe that is gone (EIO, EPIPE) ends no drill."""
    try:
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()
    except OSError:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), sys.stdout.fileno())


def _has_said_all(unit: str, recorder: Recorder) -> bool:
    status = recorder.statuses.get(unit)
    stopped = status is not None and status.state == "stopped"
    return stopped and recorder.counts(unit).missing == 0


def _sentences(group: BaseExceptionGroup[BaseException]) -> list[str]:
    found: list[str] = []
    for error in group.exceptions:
        found += _sentences(error) if isinstance(error, BaseExceptionGroup) else [str(error)]
    return list(dict.fromkeys(found))

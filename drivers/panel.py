"""The unit's own panel: two buttons, a lamp and a buzzer, on pins driven by gpiozero.

    async with Panel(config, on_sos=..., on_ack=...) as panel:
        panel.show("high")

Callbacks come on the event loop, whatever thread gpiozero calls from.  The pin factory is named in
the configuration and never guessed: a panel that fell back to another one would be dead without a
word.  With the factory `mock`, the pins' levels travel as text over a pseudo-terminal (`wire`), so
that a drill can press and watch them: `PIN=LEVEL` and a line feed, both ways.

The only importer of gpiozero.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import logging
from collections import deque
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, Literal, Self

import gpiozero  # type: ignore[import-untyped]
from gpiozero.exc import GPIOZeroError  # type: ignore[import-untyped]
from gpiozero.pins.mock import MockFactory, MockPin  # type: ignore[import-untyped]

from drivers import DriverConfig
from drivers.port import SerialPort, open_port

log = logging.getLogger(__name__)

Step = tuple[bool, bool, float]
"""Lamp, buzzer, and for how many seconds; 0: for good."""

_CHIRP: tuple[Step, ...] = ((True, True, 0.1), (False, False, 1.9))
_WINK: tuple[Step, ...] = ((True, False, 0.1), (False, False, 1.9))
PATTERNS: dict[str, tuple[Step, ...]] = {
    "off": ((False, False, 0.0),),
    "acknowledged": ((True, False, 0.0),),
    "low": ((True, True, 0.5), (False, False, 0.5)),
    "high": ((True, True, 0.1), (False, False, 0.1)),
    "sos": ((True, True, 0.15), (False, False, 0.15)) * 3 + ((False, False, 0.6),),
    "fault": _CHIRP + _WINK * 4,
}
"""What people expect of a portable detector: high fast (5 Hz), low slow (1 Hz), a fault chirps each
10 s while its lamp winks each 2 s, a seen alarm is a steady lamp."""

BOUNCE_S = 0.02
_PIN_MAX = 53
_EDGES_MAX = 256
_LINE_MAX = 64
_REOPEN_S = 1.0
_FLUSH_S = 0.2
_MOCK_REVISION = 0xA02082
"""The board that the mock is: a Raspberry Pi 3."""


class PanelError(OSError):
    """The panel cannot work; the text is a whole sentence."""


class PanelConfig(DriverConfig, frozen=True, kw_only=True):
    """The table `[panel]`.  Pins are GPIO (BCM) numbers; one that is left out is not there."""

    factory: Literal["mock", "lgpio"]
    """`lgpio` on boards, `mock` in drills and on laptops."""
    wire: str | None = None
    """With `mock`: the pseudo-terminal on which the pins are pressed and watched."""
    chip: int | None = None
    """With `lgpio`: N of /dev/gpiochipN, where it is not the one of the header."""
    sos_pin: int | None = None
    """A button to ground, with the pin's own pull-up."""
    ack_pin: int | None = None
    """A button to ground, with the pin's own pull-up."""
    lamp_pin: int | None = None
    buzzer_pin: int | None = None
    active_high: bool = True
    """False where the lamp and buzzer are driven by a low level (most relay boards)."""
    sos_hold_s: float = 3.0
    """How long the SOS button must be held."""
    clean_hold_s: float = 5.0
    """How long the acknowledge button must be held to say that the air is clean."""

    def mistakes(self) -> Iterator[tuple[str, str]]:
        """(key, sentence) for all that types cannot say."""
        pins = {
            key: pin
            for key in ("sos_pin", "ack_pin", "lamp_pin", "buzzer_pin")
            if (pin := getattr(self, key)) is not None
        }
        for key, pin in pins.items():
            if not 0 <= pin <= _PIN_MAX:
                yield key, f"expected 0 to {_PIN_MAX}, read {pin}"
            same = [other for other in pins if pins[other] == pin]
            if key != same[0]:
                yield key, f"pin {pin} is {same[0]} already"
        if not pins:
            yield "sos_pin", "missing, as are ack_pin, lamp_pin and buzzer_pin"
        for key in ("sos_hold_s", "clean_hold_s"):
            if not 0 < (value := getattr(self, key)) <= 60:
                yield key, f"expected more than 0, up to 60, read {value:g}"
        if self.wire is not None and self.factory != "mock":
            yield "wire", f'only with factory = "mock", not "{self.factory}"'
        if self.chip is not None and self.factory != "lgpio":
            yield "chip", f'only with factory = "lgpio", not "{self.factory}"'


class _WiredPin(MockPin):  # type: ignore[misc]
    """A mock pin that tells its factory about each edge of an output."""

    def _change_state(self, value: bool) -> bool:
        changed: bool = super()._change_state(value)
        if changed and self.function == "output":
            self.factory.on_edge(int(self.info.name.removeprefix("GPIO")), int(value))
        return changed


class _WiredFactory(MockFactory):  # type: ignore[misc]
    def __init__(self, on_edge: Callable[[int, int], None]) -> None:
        # Named, as gpiozero would look into the environment.
        super().__init__(revision=f"{_MOCK_REVISION:x}", pin_class=_WiredPin)
        self.on_edge = on_edge


class Panel:
    """Buttons in, lamp and buzzer out; use as `async with`, which leaves the outputs off.

    ValueError: a configuration with mistakes.  Entering raises PanelError where the factory, a pin
    or the wire cannot be had.
    """

    def __init__(
        self,
        config: PanelConfig,
        *,
        on_sos: Callable[[], None],
        on_ack: Callable[[], None],
        on_clean: Callable[[], None] | None = None,
    ) -> None:
        """`on_clean`: the acknowledge button is still held after `clean_hold_s`."""
        self.config = config.check()
        self.pattern = "off"
        self._on_sos = on_sos
        self._on_ack = on_ack
        self._on_clean = on_clean
        self._buttons: list[Any] = []
        self._outputs: list[Any] = [None, None]
        self._factory: Any = None
        self._holding: dict[str, asyncio.TimerHandle] = {}
        """By button: what happens when it is held long enough."""
        self._stepping: asyncio.TimerHandle | None = None
        self._wire: _Wire | None = None

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        async with contextlib.AsyncExitStack() as undo:
            undo.push_async_callback(self._close)
            if self.config.wire is not None:
                self._wire = _Wire(self.config.wire, self._press, self._levels)
                self._wire.open()
            with _as_sentences(self.config):
                self._factory = self._make_factory()
                self._make_devices()
            if self._wire is not None:
                self._wire.start()
            undo.pop_all()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._close()

    def show(self, pattern: str) -> None:
        """Drive lamp and buzzer by a pattern of PATTERNS from now on; the first step at once.

        The same pattern again does not begin anew.  ValueError: no such pattern.
        """
        if pattern not in PATTERNS:
            raise ValueError(f"pattern: expected one of {', '.join(PATTERNS)}, read {pattern!r}")
        if pattern != self.pattern:
            self.pattern = pattern
            self._step(0)

    def _step(self, number: int) -> None:
        if self._stepping is not None:
            self._stepping.cancel()
            self._stepping = None
        steps = PATTERNS[self.pattern]
        *levels, duration_s = steps[number % len(steps)]
        for output, level in zip(self._outputs, levels, strict=True):
            if output is not None and output.value != level:
                output.value = level
        if duration_s:
            self._stepping = self._loop.call_later(duration_s, self._step, number + 1)

    def _make_factory(self) -> Any:
        if self.config.factory == "mock":
            return _WiredFactory(self._on_edge)
        return importlib.import_module("gpiozero.pins.lgpio").LGPIOFactory(chip=self.config.chip)

    def _make_devices(self) -> None:
        config, at = self.config, self._loop.call_soon_threadsafe
        for pin, pressed, released in (
            (config.sos_pin, self._sos_down, self._sos_up),
            (config.ack_pin, self._ack_down, self._ack_up),
        ):
            if pin is None:
                continue
            button = gpiozero.Button(pin, bounce_time=BOUNCE_S, pin_factory=self._factory)
            self._buttons.append(button)
            button.when_pressed = lambda call=pressed: at(call)
            button.when_released = lambda call=released: at(call)
            # A person who holds SOS while the agent starts again is not told to let go first.
            if pin == config.sos_pin and button.is_pressed:
                pressed()
        for place, pin in enumerate((config.lamp_pin, config.buzzer_pin)):
            if pin is not None:
                self._outputs[place] = gpiozero.DigitalOutputDevice(
                    pin, active_high=config.active_high, pin_factory=self._factory
                )

    # Not gpiozero's own hold_time: its thread looks ten times a second, and leaving would wait for
    # a button that is still held.
    def _sos_down(self) -> None:
        self._sos_up()
        self._holding["sos"] = self._loop.call_later(self.config.sos_hold_s, self._on_sos)

    def _sos_up(self) -> None:
        self._let_go("sos")

    def _ack_down(self) -> None:
        self._ack_up()
        self._on_ack()
        if self._on_clean is not None:
            self._holding["ack"] = self._loop.call_later(self.config.clean_hold_s, self._on_clean)

    def _ack_up(self) -> None:
        self._let_go("ack")

    def _let_go(self, button: str) -> None:
        if (timer := self._holding.pop(button, None)) is not None:
            timer.cancel()

    async def _close(self) -> None:
        self._sos_up()
        self._ack_up()
        self.pattern = "off"
        self._step(0)
        for device in (*self._buttons, *self._outputs):
            if device is not None:
                device.close()
        self._buttons.clear()
        self._outputs = [None, None]
        if self._factory is not None:
            self._factory.close()
        if self._wire is not None:
            await self._wire.close()

    def _on_edge(self, pin: int, level: int) -> None:
        if self._wire is not None:
            self._wire.send(pin, level)

    def _press(self, pin: int, level: int) -> bool:
        """A level that came over the wire; False where it is no input of ours."""
        for button in self._buttons:
            if button.pin.info.name == f"GPIO{pin}":
                (button.pin.drive_high if level else button.pin.drive_low)()
                return True
        return False

    def _levels(self) -> Iterator[tuple[int, int]]:
        for output in self._outputs:
            if output is not None:
                yield int(output.pin.info.name.removeprefix("GPIO")), int(output.pin.state)


@contextlib.contextmanager
def _as_sentences(config: PanelConfig) -> Iterator[None]:
    """What a factory raises, as PanelError."""
    failures: tuple[type[BaseException], ...] = (GPIOZeroError, OSError)
    if config.factory == "lgpio":
        try:
            failures += (importlib.import_module("lgpio").error,)
        except ImportError as error:
            raise PanelError(
                f"panel: factory: lgpio cannot be loaded ({error}); install outpost[board], or"
                " python3-lgpio in a venv made with --system-site-packages"
            ) from error
    try:
        yield
    except failures as error:
        text = str(error).strip("'")  # lgpio's error quotes itself
        hint = ""
        if config.factory == "lgpio":
            chip = "N" if config.chip is None else config.chip
            hint = f"; is /dev/gpiochip{chip} there, and this user in the group gpio?"
        raise PanelError(f"panel: factory {config.factory}: {text}{hint}") from error


class _Wire:
    """The mock panel's pins as text on a pseudo-terminal."""

    def __init__(
        self,
        device: str,
        press: Callable[[int, int], bool],
        levels: Callable[[], Iterator[tuple[int, int]]],
    ) -> None:
        self._device = device
        self._press = press
        self._levels = levels
        self._port: SerialPort | None = None
        # Ceiling: a drill that does not read its panel loses the oldest edges, not the agent.
        self._edges: deque[tuple[int, int]] = deque(maxlen=_EDGES_MAX)
        self._news = asyncio.Event()
        self._idle = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def open(self) -> None:
        """PanelError: it cannot be opened."""
        try:
            self._port = open_port(self._device)
        except OSError as error:
            raise PanelError(f"panel: wire: {error}") from error

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name=f"panel wire {self._device}")

    def send(self, pin: int, level: int) -> None:
        self._edges.append((pin, level))
        self._idle.clear()
        self._news.set()

    async def close(self) -> None:
        """Give the last edges a moment to leave, then let go."""
        if self._task is not None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._idle.wait(), _FLUSH_S)
            self._task.cancel()
            await asyncio.wait({self._task})
        if self._port is not None:
            self._port.close()

    async def _run(self) -> None:
        while True:
            try:
                if self._port is None:
                    self._port = open_port(self._device)
                for pin, level in self._levels():
                    self.send(pin, level)
                await self._serve(self._port)
            except OSError as error:
                if self._port is not None:
                    log.warning("panel: wire: %s; trying again", error)
                    self._port.close()
                    self._port = None
            await asyncio.sleep(_REOPEN_S)

    async def _serve(self, port: SerialPort) -> None:
        """Both ways, until the wire is lost: OSError."""
        tasks = {
            asyncio.create_task(self._read(port), name="panel wire: read"),
            asyncio.create_task(self._write(port), name="panel wire: write"),
        }
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _read(self, port: SerialPort) -> None:
        held = b""
        while True:
            *lines, held = (held + await port.read()).split(b"\n")
            for line in lines:
                self._take(line.strip()[:_LINE_MAX])
            held = held[-_LINE_MAX:]

    def _take(self, line: bytes) -> None:
        pin, _, level = line.partition(b"=")
        known = pin.isdigit() and level in (b"0", b"1") and self._press(int(pin), int(level))
        if line and not known:
            log.warning(
                "panel: wire: expected PIN=0 or PIN=1 of an input pin, read %r",
                line.decode("ascii", "replace"),
            )

    async def _write(self, port: SerialPort) -> None:
        while True:
            while self._edges:
                pin, level = self._edges.popleft()
                await port.write(b"%d=%d\n" % (pin, level))
            self._idle.set()
            self._news.clear()
            await self._news.wait()

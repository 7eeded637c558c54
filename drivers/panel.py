"""The unit's own panel: two buttons, a lamp, a buzzer and a heartbeat lamp, on pins that gpiozero
drives.

    async with Panel(config, on_sos=..., on_ack=...) as panel:
        panel.show("high")

Callbacks come on the event loop, whatever thread gpiozero calls from.  The pin factory is named in
the configuration and never guessed: a panel that fell back to another one would be dead without a
word.  With the factory `mock`, the pins' levels travel as text over a pseudo-terminal (`wire`), so
that a drill can press and watch them: `PIN=LEVEL` and a line feed, both ways.  `record` names a
file that gets each edge of an output with its time and outlives the process.

Leaving is no darkness: whatever ends the agent, the lamp stays lit where the board holds a level
that nobody drives any more (`on_exit`), and the heartbeat ends.

The only importer of gpiozero.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import threading
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, Self

import gpiozero  # type: ignore[import-untyped]
from gpiozero.exc import GPIOZeroError  # type: ignore[import-untyped]
from gpiozero.pins.mock import MockFactory, MockPin  # type: ignore[import-untyped]

from drivers.lights import Lights
from drivers.panelconfig import OUTPUTS, PanelConfig, PanelError
from drivers.panelwire import EdgeFile, Wire

__all__ = ["Panel", "PanelConfig", "PanelError"]

BOUNCE_S = 0.02
_MOCK_REVISION = 0xA02082
"""The board that the mock is: a Raspberry Pi 3."""


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
    """Buttons in, lights out; use as `async with`.

    ValueError: a configuration with mistakes.  Entering raises PanelError where the factory, a pin
    or the wire cannot be had.
    """

    def __init__(
        self,
        config: PanelConfig,
        *,
        on_sos: Callable[[bool], None],
        on_ack: Callable[[], None],
        on_clean: Callable[[], None] | None = None,
        on_cancel: Callable[[], None] | None = None,
        on_talk: Callable[[bool], None] | None = None,
    ) -> None:
        """`on_sos`: SOS was held; True where the acknowledge button is down too (a silent call).
        `on_clean`: the acknowledge button is still held after `clean_hold_s`.  `on_cancel`: SOS is
        still held after `cancel_hold_s`."""
        self.config = config.check()
        self._on_sos = on_sos
        self._on_ack = on_ack
        self._on_clean = on_clean
        self._on_cancel = on_cancel
        self._on_talk = on_talk
        self._buttons: dict[str, Any] = {}
        self._outputs: dict[str, Any] = {}
        self._factory: Any = None
        self._holding: dict[str, list[asyncio.TimerHandle]] = {}
        """By button: what happens when it is held long enough."""
        self._wire: Wire | None = None
        self._record: EdgeFile | None = None
        self.lights: Lights

    async def __aenter__(self) -> Self:
        self._loop, self._thread = asyncio.get_running_loop(), threading.get_ident()
        async with contextlib.AsyncExitStack() as undo:
            undo.push_async_callback(self._close)
            self._open_wire()
            with _as_sentences(self.config):
                self._factory = self._make_factory()
                self._make_devices()
            self.lights = Lights(*(self._outputs.get(key) for key in OUTPUTS[:3]))
            self.lights.start()
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

    @property
    def pattern(self) -> str:
        return self.lights.pattern

    def show(self, pattern: str, *, lamp_only: bool = False) -> None:
        """As `Lights.show`."""
        self.lights.show(pattern, lamp_only=lamp_only)

    def live(self, on: bool) -> None:
        """Whether somebody from afar watches or listens."""
        if (lamp := self._outputs.get("live_lamp_pin")) is not None:
            lamp.value = float(on)

    def _talk(self, down: bool) -> None:
        if self._on_talk is not None:
            self._on_talk(down)

    def _open_wire(self) -> None:
        if self.config.record is not None:
            try:
                self._record = EdgeFile(self.config.record)
            except OSError as error:
                raise PanelError(
                    f"panel: record: cannot open {self.config.record}: {error.strerror}"
                ) from error
        if self.config.wire is not None:
            wire = Wire(self.config.wire, self._press, self._levels)
            try:
                wire.open()
            except OSError as error:
                raise PanelError(str(error)) from error
            self._wire = wire

    def _make_factory(self) -> Any:
        if self.config.factory == "mock":
            return _WiredFactory(self._on_edge)
        return importlib.import_module("gpiozero.pins.lgpio").LGPIOFactory(chip=self.config.chip)

    def _make_devices(self) -> None:
        config, at = self.config, self._loop.call_soon_threadsafe
        for key, pressed, released in (
            ("sos_pin", self._sos_down, lambda: self._let_go("sos")),
            ("ack_pin", self._ack_down, lambda: self._let_go("ack")),
            ("talk_pin", lambda: self._talk(True), lambda: self._talk(False)),
        ):
            if (pin := getattr(config, key)) is None:
                continue
            button = gpiozero.Button(pin, bounce_time=BOUNCE_S, pin_factory=self._factory)
            self._buttons[key] = button
            button.when_pressed = lambda call=pressed: at(call)
            button.when_released = lambda call=released: at(call)
            # A person who holds SOS while the agent starts again is not told to let go first.
            if key == "sos_pin" and button.is_pressed:
                pressed()
        for key in OUTPUTS:
            if (pin := getattr(config, key)) is not None:
                self._outputs[key] = gpiozero.DigitalOutputDevice(
                    pin, active_high=config.active_high, pin_factory=self._factory
                )

    # Not gpiozero's own hold_time: its thread looks ten times a second, and leaving would wait for
    # a button that is still held.
    def _sos_down(self) -> None:
        self._hold("sos", self.config.sos_hold_s, self._sos_held)
        if self._on_cancel is not None:
            self._hold("sos", self.config.cancel_hold_s, self._on_cancel, more=True)

    def _sos_held(self) -> None:
        ack = self._buttons.get("ack_pin")
        self._on_sos(ack is not None and bool(ack.is_pressed))

    def _ack_down(self) -> None:
        self._let_go("ack")
        self._on_ack()
        if self._on_clean is not None:
            self._hold("ack", self.config.clean_hold_s, self._on_clean)

    def _hold(
        self, button: str, after_s: float, call: Callable[[], None], *, more: bool = False
    ) -> None:
        if not more:
            self._let_go(button)
        timers = self._holding.setdefault(button, [])
        timers.append(self._loop.call_later(after_s, call))

    def _let_go(self, button: str) -> None:
        for timer in self._holding.pop(button, []):
            timer.cancel()

    async def _close(self) -> None:
        self._let_go("sos")
        self._let_go("ack")
        self.live(False)
        stays = self.config.on_exit == "fault"
        if hasattr(self, "lights"):
            self.lights.end(lamp=stays)
        for button in self._buttons.values():
            button.close()
        if not stays:
            for output in self._outputs.values():
                output.close()
        if self._factory is not None:
            if stays:
                # Each pin's own close() would make an input of it: the lamp would go dark.
                self._factory.pins.clear()
            self._factory.close()
        if self._wire is not None:
            await self._wire.close()
        if self._record is not None:
            self._record.close()
        self._buttons, self._outputs, self._factory = {}, {}, None

    def _on_edge(self, pin: int, level: int) -> None:
        if self._record is not None:
            self._record.write(pin, level)
        if self._wire is None:
            return
        if threading.get_ident() == self._thread:
            self._wire.send(pin, level)
        else:
            # The guard of a loop that stands still.
            self._loop.call_soon_threadsafe(self._wire.send, pin, level)

    def _press(self, pin: int, level: int) -> bool:
        """A level that came over the wire; False where it is no input of ours."""
        for button in self._buttons.values():
            if button.pin.info.name == f"GPIO{pin}":
                (button.pin.drive_high if level else button.pin.drive_low)()
                return True
        return False

    def _levels(self) -> Iterator[tuple[int, int]]:
        for output in self._outputs.values():
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

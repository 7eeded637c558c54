"""The table `[panel]`: apart from the panel, so that a unit without one does without gpiozero."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from drivers import DriverConfig

_PIN_MAX = 53
PINS = (
    "sos_pin", "ack_pin", "talk_pin", "lamp_pin", "buzzer_pin", "heartbeat_pin", "live_lamp_pin",
)  # fmt: skip
OUTPUTS = PINS[3:]


class PanelError(OSError):
    """The panel cannot work; the text is a whole sentence."""


class PanelConfig(DriverConfig, frozen=True, kw_only=True):
    """The table `[panel]`.  Pins are GPIO (BCM) numbers; one that is left out is not there."""

    factory: Literal["mock", "lgpio"]
    """`lgpio` on boards, `mock` in drills and on laptops."""
    wire: str | None = None
    """With `mock`: the pseudo-terminal on which the pins are pressed and watched."""
    record: str | None = None
    """With `mock`: a file to which each edge of an output is appended, with its time."""
    chip: int | None = None
    """With `lgpio`: N of /dev/gpiochipN, where it is not the one of the header."""
    sos_pin: int | None = None
    """A button to ground, with the pin's own pull-up."""
    ack_pin: int | None = None
    """A button to ground, with the pin's own pull-up."""
    lamp_pin: int | None = None
    buzzer_pin: int | None = None
    heartbeat_pin: int | None = None
    """A lamp that blinks only while every required sensor is fresh."""
    talk_pin: int | None = None
    """A button to ground: while it is held the unit's microphone is open."""
    live_lamp_pin: int | None = None
    """Lit while somebody from afar watches or listens."""
    active_high: bool = True
    """False where the lamp and buzzer are driven by a low level (most relay boards)."""
    sos_hold_s: float = 3.0
    """How long the SOS button must be held."""
    clean_hold_s: float = 5.0
    """How long the acknowledge button must be held to say that the air is clean."""
    cancel_hold_s: float = 5.0
    """How long SOS must be held, while a call stands, to begin the code that cancels it."""
    on_exit: Literal["fault", "off"] = "fault"
    """What the lamp is left at: lit, as nobody is protected any more, or off."""

    def mistakes(self) -> Iterator[tuple[str, str]]:
        """(key, sentence) for all that types cannot say."""
        pins = {key: pin for key in PINS if (pin := getattr(self, key)) is not None}
        for key, pin in pins.items():
            if not 0 <= pin <= _PIN_MAX:
                yield key, f"expected 0 to {_PIN_MAX}, read {pin}"
            same = [other for other in pins if pins[other] == pin]
            if key != same[0]:
                yield key, f"pin {pin} is {same[0]} already"
        if not pins:
            yield "sos_pin", "missing, as are ack_pin, lamp_pin and buzzer_pin"
        for key in ("sos_hold_s", "clean_hold_s", "cancel_hold_s"):
            if not 0 < (value := getattr(self, key)) <= 60:
                yield key, f"expected more than 0, up to 60, read {value:g}"
        if 0 < self.cancel_hold_s <= self.sos_hold_s:
            yield (
                "cancel_hold_s",
                f"expected more than sos_hold_s ({self.sos_hold_s:g}), "
                f"read {self.cancel_hold_s:g}",
            )  # fmt: skip
        for key in ("wire", "record"):
            if getattr(self, key) is not None and self.factory != "mock":
                yield key, f'only with factory = "mock", not "{self.factory}"'
        if self.chip is not None and self.factory != "lgpio":
            yield "chip", f'only with factory = "lgpio", not "{self.factory}"'

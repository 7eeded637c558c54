"""What lamp and buzzer do: each pattern a row of steps, repeated.  Pure.

What people expect of a portable detector: high fast (5 Hz), low slow (1 Hz), a fault chirps each
10 s while its lamp winks each 2 s, a seen alarm is a steady lamp.  A call for help has a rhythm for
each thing that its caller must know; no two of all of them are alike.
"""

from __future__ import annotations

Step = tuple[bool, bool, float]
"""Lamp, buzzer, and for how many seconds; 0: for good."""

_CHIRP: tuple[Step, ...] = ((True, True, 0.1), (False, False, 1.9))
_WINK: tuple[Step, ...] = ((True, False, 0.1), (False, False, 1.9))
_BEEP: tuple[Step, ...] = ((True, True, 0.15), (False, False, 0.15))
_LONG: tuple[Step, ...] = ((True, True, 0.6), (False, False, 0.2))
PATTERNS: dict[str, tuple[Step, ...]] = {
    "off": ((False, False, 0.0),),
    "acknowledged": ((True, False, 0.0),),
    "low": ((True, True, 0.5), (False, False, 0.5)),
    "high": ((True, True, 0.1), (False, False, 0.1)),
    # three calls and a pause: written down here, on its way
    "sos": _BEEP * 3 + ((False, False, 0.6),),
    # two calls and a long pause: a broker has it
    "sos_reached": _BEEP * 2 + ((False, False, 2.0),),
    # long and short in turn: nobody has confirmed it
    "sos_unconfirmed": _LONG + _BEEP + ((False, False, 0.3),),
    # one long tone, then a steady lamp: a person has confirmed it
    "sos_confirmed": ((True, True, 1.5), (True, False, 60.0)),
    # a full alarm tone with a gap: somebody does not move
    "no_motion": ((True, True, 1.0), (False, False, 0.25)),
    # ever the same double tick: move, or press the button
    "prealarm": ((True, True, 0.05), (False, False, 0.1), (True, True, 0.05), (False, False, 0.8)),
    # a tick each 3 s: press the button
    "prompt": ((True, True, 0.05), (False, False, 2.95)),
    # two soft ticks each 5 s: a message or a task waits
    "message": ((True, True, 0.05), (True, False, 0.25), (True, True, 0.05), (False, False, 4.65)),
    # even short blinks without sound: the code is being entered
    "code": ((True, False, 0.25), (False, False, 0.25)),
    # three quick ticks, far apart, and a lamp that stays on: danger at another, not here
    "neighbour": ((True, True, 0.05), (True, False, 0.1)) * 3 + ((True, False, 2.0),),
    "fault": _CHIRP + _WINK * 4,
}

HEARTBEAT: tuple[tuple[bool, float], ...] = ((True, 0.1), (False, 1.9))
"""Of the lamp whose blinking means: protected.  Dark or steady, it means the contrary."""
WINK_S = 0.06
"""A discreet confirmation: so many winks of so many seconds, and no sound."""

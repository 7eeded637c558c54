"""What a center may be allowed to ask: the names of all verbs (agent/verbs says what each does)."""

DEFAULT_VERBS = (
    "alarm.ack",
    "resend",
    "sos.confirm",
    "video.start",
    "video.stop",
)
"""Of an uplink that names none."""
VERBS = (
    *DEFAULT_VERBS,
    "air.clean",
    "check_in",
    "config.confirm",
    "config.get",
    "config.set",
    "restart",
    "sos.cancel",
    "sos.raise",
    "talk",
    "wearer",
)
"""What an uplink can be allowed."""

"""What a center may be allowed to ask: the names of all verbs (agent/verbs says what each does)."""

DEFAULT_VERBS = (
    "alarm.ack",
    "message",
    "resend",
    "snapshot",
    "sos.confirm",
    "task",
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
    "incident",
    "media.get",
    "media.list",
    "message.confirm",
    "profile",
    "rate",
    "record",
    "restart",
    "selftest",
    "selftest.bump",
    "sos.cancel",
    "sos.raise",
    "talk",
    "task.step",
    "wearer",
    "whip.start",
    "whip.stop",
    "zone",
)
"""What an uplink can be allowed."""

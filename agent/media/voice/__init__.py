"""Voice: the unit's microphone to whoever may listen, one talker at a time to its speaker.

`config` and `floor` are read by the core too and import no media library.
"""

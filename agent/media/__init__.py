"""Pictures: a process of its own that captures, encodes once and fans out.

`host` and `wire` are the core's side and import no media library; all else here runs in the media
process (`python -m agent.media`, or `agent.media.viewer`) and needs the extra `media`.
"""

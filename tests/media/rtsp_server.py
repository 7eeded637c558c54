"""An RTSP camera of its own process: GStreamer's server, run by Debian's Python, which has its
bindings.  `python3 rtsp_server.py PORT PATH=PIPELINE ...` serves until killed."""

from __future__ import annotations

import sys


def main() -> None:
    import gi  # type: ignore[import-not-found]

    gi.require_version("GstRtspServer", "1.0")
    from gi.repository import (  # type: ignore[import-not-found]
        GLib,
        Gst,
        GstRtspServer,
    )

    Gst.init(None)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(sys.argv[1])
    for word in sys.argv[2:]:
        path, _, pipeline = word.partition("=")
        factory = GstRtspServer.RTSPMediaFactory()
        factory.set_launch(f"( {pipeline} )")
        factory.set_shared(True)
        server.get_mount_points().add_factory(f"/{path}", factory)
    server.attach(None)
    print("ready", flush=True)  # noqa: T201
    GLib.MainLoop().run()


if __name__ == "__main__":
    main()

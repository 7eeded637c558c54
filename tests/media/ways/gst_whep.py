"""A WHEP player made of GStreamer's webrtcbin: `python3 gst_whep.py URL TOKEN FRAMES`.

Run by the system's Python, which has the bindings (python3-gi); prints the frames it decoded.
"""

import sys
import urllib.request
from typing import Any

import gi  # type: ignore[import-not-found]

gi.require_version("Gst", "1.0")
gi.require_version("GstWebRTC", "1.0")
gi.require_version("GstSdp", "1.0")
from gi.repository import (  # type: ignore[import-not-found]  # noqa: E402
    GLib,
    Gst,
    GstSdp,
    GstWebRTC,
)

CAPS = (
    "application/x-rtp,media=video,encoding-name=H264,payload=96,clock-rate=90000,"
    "packetization-mode=(string)1,profile-level-id=(string)42e01f"
)


class Player:
    def __init__(self, url: str, token: str, wanted: int) -> None:
        self.url, self.token, self.wanted = url, token, wanted
        self.frames = 0
        self.loop = GLib.MainLoop()
        self.pipe = Gst.Pipeline.new("whep")
        self.rtc = Gst.ElementFactory.make("webrtcbin", "rtc")
        self.rtc.set_property("bundle-policy", GstWebRTC.WebRTCBundlePolicy.MAX_BUNDLE)
        self.pipe.add(self.rtc)
        self.rtc.connect("pad-added", self.pad_added)
        self.rtc.connect("notify::ice-gathering-state", self.gathering)
        direction = GstWebRTC.WebRTCRTPTransceiverDirection.RECVONLY
        self.rtc.emit("add-transceiver", direction, Gst.Caps.from_string(CAPS))
        self.pipe.set_state(Gst.State.PLAYING)
        self.rtc.emit("create-offer", None, Gst.Promise.new_with_change_func(self.offered, None))

    def offered(self, promise: Any, _data: Any) -> None:
        # The description lives no longer than the reply that it is in.
        self.promise, self.reply = promise, promise.get_reply()
        offer = self.reply.get_value("offer")
        self.rtc.emit("set-local-description", offer, Gst.Promise.new())

    def gathering(self, *_: Any) -> None:
        state = self.rtc.get_property("ice-gathering-state")
        if state == GstWebRTC.WebRTCICEGatheringState.COMPLETE:
            GLib.idle_add(self.exchange)

    def exchange(self) -> bool:
        offer = self.rtc.get_property("local-description").sdp.as_text()
        request = urllib.request.Request(
            self.url,
            offer.encode(),
            {"Content-Type": "application/sdp", "Authorization": f"Bearer {self.token}"},
        )
        with urllib.request.urlopen(request, timeout=10) as response:
            answer = response.read()
        _, message = GstSdp.SDPMessage.new()
        GstSdp.sdp_message_parse_buffer(answer, message)
        description = GstWebRTC.WebRTCSessionDescription.new(
            GstWebRTC.WebRTCSDPType.ANSWER, message
        )
        self.rtc.emit("set-remote-description", description, Gst.Promise.new())
        return False

    def pad_added(self, _rtc: Any, pad: Any) -> None:
        if pad.direction != Gst.PadDirection.SRC:
            return
        chain = (
            "queue ! rtph264depay ! h264parse ! avdec_h264 ! "
            "fakesink name=sink signal-handoffs=1 sync=0"
        )
        decode = Gst.parse_bin_from_description(chain, True)
        decode.get_by_name("sink").connect("handoff", self.decoded)
        self.pipe.add(decode)
        decode.sync_state_with_parent()
        pad.link(decode.get_static_pad("sink"))

    def decoded(self, *_: Any) -> None:
        self.frames += 1
        if self.frames >= self.wanted:
            self.loop.quit()

    def run(self) -> int:
        GLib.timeout_add_seconds(20, self.loop.quit)
        self.loop.run()
        self.pipe.set_state(Gst.State.NULL)
        return self.frames


Gst.init(None)
sys.stdout.write(f"{Player(sys.argv[1], sys.argv[2], int(sys.argv[3])).run()}\n")

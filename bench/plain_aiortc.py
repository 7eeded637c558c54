"""The same scene as aiortc sends it by itself: a track, a relay, an H.264 encoder a viewer.

JSON lines `{"session", "sdp"}`: offers in, answers out.  `python -m bench.plain_aiortc WIDTH HEIGHT
FPS`
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from fractions import Fraction

from aiortc import MediaStreamTrack, RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.contrib.media import MediaRelay
from av import VideoFrame

from agent.media import loopback
from agent.media.codecs import h264_preferences
from agent.media.scene import Scene


class SceneTrack(MediaStreamTrack):
    """Real time; a late picture is left out."""

    kind = "video"

    def __init__(self, width: int, height: int, fps: float) -> None:
        super().__init__()
        self._scene = Scene(width, height)
        self._fps = fps
        self._start = time.monotonic()
        self._number = 0

    async def recv(self) -> VideoFrame:
        late_s = time.monotonic() - self._start - self._number / self._fps
        if late_s < 0:
            await asyncio.sleep(-late_s)
        else:
            self._number += int(late_s * self._fps)
        picture = self._scene.draw(self._number, self._number / self._fps)
        frame = VideoFrame.from_numpy_buffer(picture.planes, "yuv420p")
        frame.pts, frame.time_base = round(self._number * 90_000 / self._fps), Fraction(1, 90_000)
        self._number += 1
        return frame


async def main() -> None:
    width, height, fps = (int(word) for word in sys.argv[1:4])
    loopback.install()
    track, relay = SceneTrack(width, height, fps), MediaRelay()
    connections = []
    reader = asyncio.StreamReader(limit=1 << 20)
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    while line := await reader.readline():
        offer = json.loads(line)
        connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        connections.append(connection)
        connection.addTrack(relay.subscribe(track, buffered=False))
        connection.getTransceivers()[0].setCodecPreferences(h264_preferences())
        await connection.setRemoteDescription(RTCSessionDescription(offer["sdp"], "offer"))
        await connection.setLocalDescription(await connection.createAnswer())
        answer = {"session": offer["session"], "sdp": connection.localDescription.sdp}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main())

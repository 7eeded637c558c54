"""Media servers that are no part of this project, each as child processes on loopback that can be
killed.  A program is named by an environment variable, or found on the PATH."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from tests.mosquitto import find_free_port, is_listening

READY_S = 20.0
USER, PASSWORD = "unit", "correct-horse"
ROOM = 1234


class Plan(msgspec.Struct, kw_only=True):
    """One server, ready to start."""

    commands: list[tuple[list[str], Path]]
    """Each with the folder that it runs in."""
    ports: list[int]
    """TCP ports that listen when it is up, one for each command."""
    whip: str
    token: str = ""
    """Empty: it asks for none."""
    read: str = ""
    """Where what was published is read: `rtsp://`, `http://` (WHEP), or a file of SDP for RTP."""
    pulled: str = ""
    """Where what it pulls from our WHEP server is read."""
    prepare: Callable[[], None] = lambda: None
    """After each start."""


class Kind(msgspec.Struct, frozen=True):
    """How a server is started: (folder, address of a WHEP server of ours) -> its plan."""

    title: str
    variable: str
    program: str
    plan: Callable[[str, Path, str], Plan]
    version: Callable[[str], str]

    @property
    def path(self) -> str | None:
        """None: it is not there."""
        named = os.environ.get(self.variable, self.program)
        return named if Path(named).exists() else shutil.which(named)


def said(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return (done.stdout or done.stderr).strip()


class Running:
    """`kill` is a real kill -9, `start` begins anew."""

    def __init__(self, plan: Plan, folder: Path) -> None:
        self.plan = plan
        self._log = folder / "server.log"
        self._processes: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        """RuntimeError with its own words where it does not listen."""
        deadline = time.monotonic() + READY_S
        for (command, folder), port in zip(self.plan.commands, self.plan.ports, strict=True):
            with self._log.open("ab") as log:
                process = subprocess.Popen(
                    command, stdout=log, stderr=log, cwd=folder, start_new_session=True
                )
            self._processes.append(process)
            while not is_listening(port):
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"it did not start: {self._log.read_text()[-400:]}")
                time.sleep(0.05)
        self.plan.prepare()

    def kill(self) -> None:
        for process in self._processes:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        self._processes = []


def _mediamtx(path: str, folder: Path, whep: str) -> Plan:
    web, rtsp, udp = find_free_port(), find_free_port(), find_free_port()
    everybody = {"user": "any", "ips": [], "permissions": [{"action": "read"}]}
    unit = {"user": USER, "pass": PASSWORD, "ips": [], "permissions": [{"action": "publish"}]}
    open_to_all = {
        "user": "any", "ips": [], "permissions": [{"action": "publish", "path": "open"}],
    }  # fmt: skip
    config = {
        "rtmp": False, "hls": False, "srt": False, "moq": False,
        "rtsp": True, "rtspTransports": ["tcp"], "rtspAddress": f"127.0.0.1:{rtsp}",
        "webrtc": True, "webrtcAddress": f"127.0.0.1:{web}",
        "webrtcLocalUDPAddress": f":{udp}", "webrtcICEServers2": [],
        "authInternalUsers": [everybody, unit, open_to_all],
        "paths": {
            "pulled": {"source": whep.replace("http://", "whep://"), "sourceOnDemand": True},
            "all_others": {},
        },
    }  # fmt: skip
    (folder / "mediamtx.json").write_text(json.dumps(config))
    return Plan(
        commands=[([path, str(folder / "mediamtx.json")], folder)], ports=[web],
        whip=f"http://127.0.0.1:{web}/cv-01/whip", token=f"{USER}:{PASSWORD}",
        read=f"rtsp://127.0.0.1:{rtsp}/cv-01", pulled=f"rtsp://127.0.0.1:{rtsp}/pulled",
    )  # fmt: skip


def _pion(path: str, folder: Path, _: str) -> Plan:
    # The example's port is its own.
    return Plan(
        commands=[([path], folder)], ports=[8080], whip="http://127.0.0.1:8080/whip",
        read="http://127.0.0.1:8080/whep",
    )  # fmt: skip


def _pion_version(path: str) -> str:
    for line in said("go", "version", "-m", path).splitlines():
        if "github.com/pion/webrtc/v4" in line:
            return line.split()[2]
    return ""


SDP = """v=0
o=- 0 0 IN IP4 127.0.0.1
s=forwarded
c=IN IP4 127.0.0.1
t=0 0
m=audio {audio} RTP/AVP 96
a=rtpmap:96 opus/48000/2
m=video {video} RTP/AVP 99
a=rtpmap:99 H264/90000
a=fmtp:99 packetization-mode=1
"""


def _janus(path: str, folder: Path, _: str) -> Plan:
    """simple-whip-server before Janus's videoroom, which forwards RTP."""
    socket, web = find_free_port(), find_free_port()
    audio, video = find_free_port(), find_free_port()
    libraries = next(Path("/usr/lib").glob("*/janus"))
    (folder / "nothing").mkdir(exist_ok=True)
    (folder / "janus.jcfg").write_text(
        f'general: {{ configs_folder = "{folder}"\n plugins_folder = "{libraries}/plugins"\n'
        f' transports_folder = "{libraries}/transports"\n events_folder = "{folder}/nothing"\n'
        f' loggers_folder = "{folder}/nothing" }}\nnat: {{ full_trickle = true }}\n'
        'transports: { disable = "libjanus_http.so,libjanus_mqtt.so,libjanus_nanomsg.so,'
        'libjanus_rabbitmq.so,libjanus_pfunix.so" }\n'
    )
    (folder / "janus.transport.websockets.jcfg").write_text(
        f'general: {{ ws = true\n ws_port = {socket}\n ws_ip = "127.0.0.1" }}\n'
    )
    (folder / "janus.plugin.videoroom.jcfg").write_text(
        f"room-{ROOM}: {{ publishers = 6\n bitrate = 2000000\n fir_freq = 2\n"
        ' videocodec = "h264"\n audiocodec = "opus"\n secret = "adminpwd" }\n'
    )
    front = folder / "front"
    ignored = shutil.ignore_patterns("config.js")
    shutil.copytree(Path(path) / "src", front / "src", dirs_exist_ok=True, ignore=ignored)
    if (modules := Path(path) / "node_modules").exists():
        (front / "node_modules").symlink_to(modules)
    settings = {
        "janus": {"address": f"ws://127.0.0.1:{socket}"}, "port": web, "rest": "/whip",
        "allowTrickle": True, "strictETags": True, "iceServers": [],
    }  # fmt: skip
    (front / "src" / "config.js").write_text(f"module.exports = {json.dumps(settings)};\n")
    (folder / "forwarded.sdp").write_text(SDP.format(audio=audio, video=video))

    def make_endpoint() -> None:
        body = {
            "id": "cv-01", "room": ROOM, "secret": "adminpwd", "token": PASSWORD,
            "recipient": {"host": "127.0.0.1", "audioPort": audio, "videoPort": video},
        }  # fmt: skip
        request = urllib.request.Request(
            f"http://127.0.0.1:{web}/whip/create",
            json.dumps(body).encode(),
            {"Content-Type": "application/json"},
        )
        urllib.request.urlopen(request, timeout=5).close()

    return Plan(
        commands=[
            (["janus", "-F", str(folder), "-C", str(folder / "janus.jcfg")], folder),
            (["node", "src/server.js"], front),
        ],
        ports=[socket, web],
        whip=f"http://127.0.0.1:{web}/whip/endpoint/cv-01", token=PASSWORD,
        read=str(folder / "forwarded.sdp"), prepare=make_endpoint,
    )  # fmt: skip


KINDS = (
    Kind("MediaMTX", "MEDIAMTX", "mediamtx", _mediamtx, lambda path: said(path, "--version")),
    Kind(
        "Janus with simple-whip-server",
        "SIMPLE_WHIP_SERVER",
        "/usr/share/simple-whip-server",
        _janus,
        lambda _: said("dpkg-query", "-W", "-f", "${Version}", "janus"),
    ),
    Kind("Pion's whip-whep example", "PION_WHIP_WHEP", "whip-whep", _pion, _pion_version),
)


@contextlib.contextmanager
def running(kind: Kind, path: str, folder: Path, whep: str) -> Iterator[Running]:
    server = Running(kind.plan(path, folder, whep), folder)
    try:
        server.start()
        yield server
    finally:
        server.kill()

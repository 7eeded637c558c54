"""`serve_whep.py PORT TOKEN_FILE`: a media process with its own WHEP, until it is ended."""

import asyncio
import json
import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3]))

from agent.media.host import MediaHost
from agent.media.ways.config import WhepConfig
from agent.media.wire import CameraConfig, MediaConfig, MediaEvent
from agent.messages import Mark


async def main() -> None:
    camera = CameraConfig(name="front", source="scene", width=640, height=360, fps=25)
    whep = WhepConfig(port=int(sys.argv[1]), host="0.0.0.0", token_file=sys.argv[2])
    config = MediaConfig(unit="ex-cv-01", mark=Mark.EXERCISE, cameras=(camera,), whep=whep)

    def said(event: MediaEvent) -> None:
        if event.event == "whep" and event.state == "up":
            sys.stdout.write(json.dumps("up") + "\n")
            sys.stdout.flush()

    host = MediaHost(config, lambda *_: None, said, lambda _: None)
    running = asyncio.create_task(host.run())
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, running.cancel)
    await asyncio.wait({running})


asyncio.run(main())

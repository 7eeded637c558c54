"""What the unit says aloud, in Chinese and English: alarms first.

Optional: each utterance is one `espeak-ng`, which may be slow, stuck or absent without holding
anything up.  `say` returns at once; what waits has a ceiling, and what is more urgent goes before
it and cuts short what is less so.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import itertools
import logging
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from agent.incident.words import LANGUAGES, word
from agent.messages import Alarm, NeighbourAlarm
from agent.settings.person import SpeechConfig

log = logging.getLogger(__name__)

WAITING_MAX = 16
TIMEOUT_S = 20.0
"""No sentence takes so long: the device hangs."""
REST_S = 30.0
"""After a failure, before the program is tried again."""
CUTS_SHORT = 2.5
"""From this rank on (and below) an alarm interrupts what is being said."""
LEAST = 9.0
"""The rank of what is no alarm."""
TEXT_MAX = 300
VOICES = {"zh": "cmn", "en": "en"}

SENTENCES: dict[str, tuple[str, str]] = {
    "alarm": ("{what}{code}", "{what} {code}"),
    "sos_queued": ("求救已记录，正在发送", "call for help recorded, sending"),
    "sos_reached": ("求救已送达服务器", "call for help has reached the broker"),
    "sos_unconfirmed": ("求救尚无人确认，再次呼叫", "call for help not confirmed, calling again"),
    "sos_confirmed": ("求救已有人确认", "call for help confirmed by a person"),
    "sos_cancelled": ("求救已取消", "call for help cancelled"),
    "sos_code": ("请按键输入取消码", "enter the code to cancel"),
    "no_motion_soon": ("请活动或按键，即将发出静止报警", "move or press the button"),
    "check_in_due": ("请按键报平安", "press the button to check in"),
    "neighbour": ("附近{who}{what}{code}{where}", "{who} nearby: {what} {code}{where}"),
    "message": ("收到消息：{text}", "message: {text}"),
    "camera_on": ("摄像机已开启", "camera is on"),
    "camera_off": ("摄像机已关闭", "camera is off"),
    "microphone_on": ("话筒已开启", "microphone is on"),
    "microphone_off": ("话筒已关闭", "microphone is off"),
}  # fmt: skip
"""By key: Chinese and English.  The page has its own words; these are for ears."""


class _Utterance(msgspec.Struct, frozen=True, order=True):
    rank: float
    number: int
    key: str
    texts: tuple[tuple[str, str], ...]
    """(language, text)."""


class Speech:
    """`run` goes on until cancelled; without it, and where not enabled, `say` does nothing."""

    def __init__(
        self, config: SpeechConfig, on_event: Callable[..., object] = lambda *_, **__: None
    ) -> None:
        self._config = config
        self._on_event = on_event
        self._waiting: list[_Utterance] = []
        self._count = itertools.count(1)
        self._news = asyncio.Event()
        self._hushed = asyncio.Event()
        self._saying: tuple[_Utterance, asyncio.subprocess.Process] | None = None
        self._troubled = False
        self.dropped = 0
        """Utterances that found no room."""

    def say(self, key: str, rank: float = LEAST, **values: str) -> None:
        """Say a sentence of SENTENCES.  KeyError: no such key, or a value that it needs."""
        zh, en = SENTENCES[key]
        templates = dict(zip(LANGUAGES, (zh, en), strict=True))
        self._put(rank, key, {
            language: templates[language].format(**values) for language in self._config.languages
        })  # fmt: skip

    def alarm(self, alarm: Alarm) -> None:
        """Say what an alarm is."""
        own = alarm.source in ("panel", "person") or alarm.code.startswith("zone")
        self._put(float(alarm.rank), "alarm", {
            language: SENTENCES["alarm"][LANGUAGES.index(language)].format(
                what="" if own else word(alarm.quantity, language),
                code=word(alarm.code, language),
            ).strip()
            for language in self._config.languages
        })  # fmt: skip

    def neighbour(self, near: NeighbourAlarm, rank: float) -> None:
        """Say what stands at units nearby, and where."""
        where = ("", "")
        if near.distance_m is not None and near.bearing_deg is not None:
            metres, degrees = max(10, round(near.distance_m, -1)), round(near.bearing_deg)
            where = (f"，方位{degrees}度，{metres:g}米", f", bearing {degrees}, {metres:g} metres")
        person = near.code in ("sos", "no_motion")
        zh, en = SENTENCES["neighbour"]
        templates = dict(zip(LANGUAGES, ((zh, where[0]), (en, where[1])), strict=True))
        self._put(rank, "neighbour", {
            language: templates[language][0].format(
                who=near.units[0], what="" if person else word(near.quantity, language),
                code=word(near.code, language), where=templates[language][1],
            )
            for language in self._config.languages
        })  # fmt: skip

    async def quiet(self) -> None:
        """Wait until nothing is being said, and nothing waits; at once where nothing ever is."""
        while self._config.enabled and (self._waiting or self._saying is not None):
            self._hushed.clear()
            await self._hushed.wait()

    async def run(self) -> None:
        while self._config.enabled:
            await self._news.wait()
            self._news.clear()
            while self._waiting:
                utterance = heapq.heappop(self._waiting)
                for language, text in utterance.texts:
                    if not await self._speak(utterance, language, text):
                        break
            self._hushed.set()

    # -- within ----------------------------------------------------------------------------

    def _put(self, rank: float, key: str, texts: Mapping[str, str]) -> None:
        if not self._config.enabled:
            return
        told = tuple((language, text[:TEXT_MAX]) for language, text in texts.items())
        if any(one.texts == told for one in self._waiting):
            return
        heapq.heappush(self._waiting, _Utterance(rank, next(self._count), key, told))
        if len(self._waiting) > WAITING_MAX:
            # The least urgent of the latest goes.
            self._waiting.remove(max(self._waiting))
            heapq.heapify(self._waiting)
            self.dropped += 1
        self._news.set()
        if self._saying is not None and rank <= CUTS_SHORT and rank < self._saying[0].rank:
            _end(self._saying[1])

    async def _speak(self, utterance: _Utterance, language: str, text: str) -> bool:
        """False where the rest of it need not be tried."""
        config = self._config
        where = ["-d", config.device] if config.device else []
        if config.folder:
            name = f"{utterance.number:04d}-{utterance.key}-{language}.wav"
            where = ["-w", str(Path(config.folder) / name)]
        try:
            process = await asyncio.create_subprocess_exec(
                config.program, "-v", VOICES[language], "-s", str(config.words_a_minute),
                *where, "--stdin", stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
            )  # fmt: skip
        except OSError as error:
            await self._failed(f"{config.program}: {error.strerror}")
            return False
        self._saying = (utterance, process)
        why = ""
        try:
            async with asyncio.timeout(TIMEOUT_S):
                _, said = await process.communicate(text.encode())
            if process.returncode and process.returncode > 0:
                why = f"{config.program}: {said.decode(errors='replace')[:200].strip()}"
        except TimeoutError:
            why = f"{config.program} has not ended within {TIMEOUT_S:g} s"
        finally:
            self._saying = None
            _end(process)
            await process.wait()
        if why:
            await self._failed(why)
            return False
        self._troubled = False
        # Cut short by what is more urgent: its second language is not said either.
        return process.returncode == 0

    async def _failed(self, why: str) -> None:
        """Once an event, then try less often; alarms are seen and heard without it."""
        if not self._troubled:
            self._troubled = True
            log.warning("speech: %s", why)
            self._on_event("speech_failed", "speech", why)
        self._waiting.clear()
        await asyncio.sleep(REST_S)


def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.kill()

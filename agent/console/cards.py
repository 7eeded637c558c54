"""Action cards: what to do about a substance, from `config/cards`, with no network.

A card is Markdown with front matter (`key: value` lines between two `---`).  A wrong number on it
may cost a life: a card with a number is served only where it names who has checked it.
"""

from __future__ import annotations

import logging
import re
from pathlib import Path

import msgspec
from aiohttp import web

from agent.console.problem import problem
from agent.settings.places import config_dir

log = logging.getLogger("console.cards")

FILE = re.compile(r"([a-z0-9_]+)\.(zh|en)\.md")
KEYS = ("title", "quantities", "source", "revision", "checked_by")
CARD_MAX = 64 * 1024
NOT_CHECKED = {
    "zh": "未经署名人员核对，因此不含数值。仅供参考，以本单位预案和指挥员命令为准。",
    "en": "Checked by no named person, so it holds no numbers. Your own plan and the officer in "
    "charge come first.",
}
CHECKED = {"zh": "核对人：{name}", "en": "Checked by {name}"}
HEAD = {"zh": "来源：{source}\n修订：{revision}", "en": "Source: {source}\nRevision: {revision}"}


class Card(msgspec.Struct, frozen=True):
    """One card in one language."""

    quantities: tuple[str, ...]
    language: str
    title: str
    source: str
    revision: str
    checked_by: str
    """Who has compared it with the printed source; empty: nobody."""
    text: str

    def page(self) -> str:
        """The card as it is read: what it is, how sure it is, what to do."""
        head = HEAD[self.language].format(source=self.source, revision=self.revision)
        who = (
            CHECKED[self.language].format(name=self.checked_by)
            if self.checked_by
            else NOT_CHECKED[self.language]
        )
        return f"# {self.title}\n\n{who}\n\n{self.text}\n\n{head}\n"


def parse(text: str, language: str) -> Card:
    """ValueError says what is missing, or that an unchecked card holds a number."""
    begin, found, rest = text.partition("---\n")
    head, ended, body = rest.partition("\n---\n")
    if begin or not found or not ended:
        raise ValueError("expected front matter between two lines '---' at the beginning")
    values = {}
    for line in head.splitlines():
        key, colon, value = line.partition(":")
        if not colon or key not in KEYS:
            raise ValueError(f"expected one of {', '.join(KEYS)}, read {line[:60]!r}")
        values[key] = value.strip()
    missing = [key for key in KEYS if key not in values or not (values[key] or key == KEYS[-1])]
    if missing:
        raise ValueError(f"the front matter lacks {', '.join(missing)}")
    if not values["checked_by"] and (number := re.search(r"\d", body)):
        raise ValueError(f"it holds {number[0]!r}, and no checked_by names who has checked it")
    names = tuple(values.pop("quantities").split())
    return Card(names, language, text=body.strip(), **values)


def _read(path: Path) -> Card:
    if (found := FILE.fullmatch(path.name)) is None:
        raise ValueError("expected a name such as cl2.zh.md")
    with path.open(encoding="utf-8") as file:
        return parse(file.read(CARD_MAX), found[2])


class Cards:
    """All cards of a folder.  A file that is none is told in the log and passed over."""

    def __init__(self, folder: Path | None = None) -> None:
        self.mistakes: list[str] = []
        self._cards: dict[tuple[str, str], Card] = {}
        for path in sorted((folder or config_dir() / "cards").glob("*.md")):
            try:
                card = _read(path)
            except (ValueError, OSError) as error:
                self.mistakes.append(f"{path}: {error}")
                log.error("the card %s is not served: %s", path, error)
                continue
            for quantity in card.quantities:
                self._cards[quantity, card.language] = card

    @property
    def quantities(self) -> list[str]:
        """What there is a card for."""
        return sorted({quantity for quantity, _ in self._cards})

    def find(self, quantity: str, language: str) -> Card | None:
        return self._cards.get((quantity, language))

    def add_routes(self, router: web.UrlDispatcher) -> None:
        router.add_get("/api/cards/{gas}/{lang}", self.get)

    async def get(self, request: web.Request) -> web.Response:
        """Plain text, which every browser shows as it is."""
        gas, language = request.match_info["gas"], request.match_info["lang"]
        card = self.find(gas, language)
        if card is None:
            known = ", ".join(self.quantities)
            return problem(
                404,
                "not_found",
                f"there is no card for {gas[:40]!r} in {language[:10]!r}; known are {known}",
            )
        return web.Response(text=card.page(), content_type="text/plain", charset="utf-8")

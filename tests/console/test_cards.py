"""Action cards: those of config/cards, and what the console serves of them."""

from __future__ import annotations

import re
from pathlib import Path

import aiohttp
import pytest

from agent.console import app
from agent.console.cards import Cards, parse
from tests.console.wire import options
from tests.mosquitto import Mosquitto

ROOT = Path(__file__).parents[2]
GOOD = """---
title: Chlorine
quantities: cl2
source: a printed book
revision: first
checked_by:
---

Leave.
"""


def test_every_card_of_the_house_is_good_and_in_both_languages() -> None:
    cards = Cards()
    assert cards.mistakes == []
    assert {"cl2", "nh3", "h2s", "co", "combustible", "ch4", "c3h8"} == set(cards.quantities)
    assert all(cards.find(name, tag) for name in cards.quantities for tag in ("zh", "en"))


def test_no_card_that_nobody_has_checked_holds_a_number() -> None:
    paths = sorted((ROOT / "config" / "cards").glob("*.md"))
    assert len(paths) == 10
    for path in paths:
        body = path.read_text("utf-8").split("---\n", 2)[2]
        assert not re.search(r"\d", body), path.name


def test_the_page_knows_for_what_there_is_a_card() -> None:
    source = (ROOT / "agent/console/web/actioncard.js").read_text("utf-8")
    known = re.search(r"CARDS = new Set\(\[(.*?)\]\)", source)
    assert known is not None
    assert sorted(re.findall(r'"(\w+)"', known[1])) == Cards().quantities


def test_a_card_says_what_it_is_and_that_nobody_has_checked_it() -> None:
    page = parse(GOOD, "en").page()
    assert page.startswith("# Chlorine\n\nChecked by no named person, so it holds no numbers.")
    assert page.endswith("Source: a printed book\nRevision: first\n")
    checked = parse(GOOD.replace("checked_by:", "checked_by: Li Wei"), "en").page()
    assert "Checked by Li Wei" in checked


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("Leave.", "expected front matter between two lines '---' at the beginning"),
        (GOOD.replace("source: a printed book\n", ""), "the front matter lacks source"),
        (GOOD.replace("revision: first", "revision:"), "the front matter lacks revision"),
        (GOOD.replace("title:", "name:"), "expected one of title, quantities, source, "),
        (GOOD.replace("Leave.", "Stay 50 m away."), "it holds '5', and no checked_by names who"),
    ],
)
def test_what_is_no_card_is_refused(text: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=re.escape(sentence)):
        parse(text, "en")


def test_a_bad_card_is_passed_over_and_the_rest_is_served(tmp_path: Path) -> None:
    (tmp_path / "cl2.en.md").write_text(GOOD, "utf-8")
    (tmp_path / "co.en.md").write_text("Leave.", "utf-8")
    (tmp_path / "README.md").write_text("words", "utf-8")
    cards = Cards(tmp_path)
    assert cards.quantities == ["cl2"]
    assert [Path(text.split(":")[0]).name for text in cards.mistakes] == ["README.md", "co.en.md"]


async def test_the_console_serves_cards_to_who_may_see_the_page(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    chosen = options(mosquitto.url, tmp_path / "static")
    async with app.running(chosen) as url, aiohttp.ClientSession() as http:
        async with http.get(f"{url}api/cards/ch4/zh") as answer:
            assert answer.status == 200
            assert answer.content_type == "text/plain"
            assert (await answer.text()).startswith("# 可燃气（液化石油气、甲烷）")
        async with http.get(f"{url}api/cards/o2/en") as answer:
            assert answer.status == 404
            detail = (await answer.json(content_type=None))["detail"]
            assert detail.startswith("there is no card for 'o2' in 'en'; known are c3h8, ch4")
        async with http.get(f"{url}api/cards/..%2f..%2fagent/en") as answer:
            assert answer.status == 404
    guarded = options(mosquitto.url, tmp_path / "static", token="a-token-of-some-length")
    async with app.running(guarded) as url, aiohttp.ClientSession() as http:
        async with http.get(f"{url}api/cards/ch4/zh") as answer:
            assert answer.status == 401

"""The page has a word in both languages for all that a unit may say; codes stay on the wire."""

from __future__ import annotations

import enum
import json
import subprocess
from typing import Any

import pytest

from agent.alarms import gas, standing
from agent.alarms.exposure import CODES as DOSES
from agent.console import build_web
from agent.messages import AlarmState, Outcome, TaskState
from agent.orders.tasks import STEPS
from agent.selftest import words as selftest
from agent.settings.evidence import GASES
from agent.verbs import ARGUMENTS
from drivers import Quality

from . import vocabulary

WEB = build_web.WEB
SHOW = """
import { quantityWord } from "./lang.js";
import { WORDS } from "./words.js";
import { groupOf, partsOf } from "./reading.js";
const told = (name) => [name, [quantityWord(name), groupOf(name), partsOf(name)]];
const quantities = Object.fromEntries(JSON.parse(process.argv[1]).map(told));
console.log(JSON.stringify({ words: WORDS, quantities }));
"""


@pytest.fixture(scope="module")
def page() -> dict[str, Any]:
    """The page's words; of each quantity the name, the group and the parts, as the page has it."""
    try:
        node, _ = build_web.find_node()
    except build_web.BuildError as error:
        pytest.skip(str(error))
    names = json.dumps(sorted(vocabulary.quantities()))
    command = [str(node), "--input-type=module", "--eval", SHOW, names]
    done = subprocess.run(command, cwd=WEB, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def without_word(page: dict[str, Any], group: str, codes: set[str]) -> list[str]:
    """The keys that agent/console/web/codes.js or quantities.js lacks in one language or both."""
    keys = (f"{group}.{code}" for code in sorted(codes))
    return [key for key in keys if not all(page["words"].get(key, {}).get(x) for x in ("zh", "en"))]


def values(*kinds: type[enum.StrEnum]) -> set[str]:
    return {one.value for kind in kinds for one in kind}


def test_every_quantity_that_a_driver_may_give_has_a_word(page: dict[str, Any]) -> None:
    unnamed: set[str] = set()
    for name, (_, _, [base, *modifiers]) in page["quantities"].items():
        whole = f"q.{name}" in page["words"]
        unnamed |= set(without_word(page, "q", {name if whole else base}))
        unnamed |= set(without_word(page, "modifier", set(modifiers)))
    assert unnamed == set()
    assert page["quantities"]["wind_direction_max"][0] == "最大风向（来自）"


def test_the_walk_finds_what_is_named_in_every_way() -> None:
    found = vocabulary.quantities()
    ways = {
        "hail_intensity_max": "a tuple beside a kind", "solar_power": "a table of named tuples",
        "pitch": "a plain table", "gas_class": "a call", "particle_size": "the end of a list",
        "disk_free": "a generator", "network_generation": "no unit at all", "level": "a map",
        "voc_grade": "a table of structs", "pn0_3": "a capture", "count_rate": "a span",
        "o2": "codes of a map", "wind_speed_mean": "columns", "c6h6": "a gas that no driver names",
    }  # fmt: skip
    assert {name: way for name, way in ways.items() if name not in found} == {}
    assert found.isdisjoint({"decimals", "full_scale", "override", "ppm", "true", "gas", "gases"})


def test_every_quantity_stands_in_its_group(page: dict[str, Any]) -> None:
    group = {name: found for name, (_, found, _) in page["quantities"].items()}
    assert {group[gas] for gas in GASES if gas in group} == {"gas"}
    assert [group[one] for one in ("dose_rate", "wind_speed", "wind_speed_max", "pm2_5")] == [
        "gas", "around", "around", "around",
    ]  # fmt: skip
    kit = ("battery", "voltage", "current", "mains", "rsrp", "sinr", "cpu_temperature", "disk_free")
    assert {group[one] for one in kit} == {"kit"}


def test_every_quality_has_a_word(page: dict[str, Any]) -> None:
    assert without_word(page, "quality", values(Quality)) == []


def test_every_alarm_has_a_word(page: dict[str, Any]) -> None:
    codes = vocabulary.alarm_codes()
    assert codes >= {*standing.RANKS, *gas.CODES, *DOSES}
    assert without_word(page, "code", codes) == []
    assert without_word(page, "q", vocabulary.alarm_quantities()) == []
    assert without_word(page, "alarm.state", values(AlarmState)) == []
    changes = {"raised", "worsened", "returned", "acknowledged", "cleared", "stands"}
    assert without_word(page, "change", changes) == []


def test_every_event_has_a_word(page: dict[str, Any]) -> None:
    events = vocabulary.events()
    assert events >= {"started", "source_down", "uplink_up", "camera", "command", "watch",
                      "simulated_refused", "store_well", "exposure_closed", "not_sent"}  # fmt: skip
    assert without_word(page, "event", events) == []


def test_every_verb_and_answer_has_a_word(page: dict[str, Any]) -> None:
    assert without_word(page, "verb", set(ARGUMENTS)) == []
    assert without_word(page, "outcome", values(Outcome)) == []
    codes = vocabulary.ack_codes()
    assert codes >= {"ok", "malformed", "unknown_verb", "not_authorised", "expired", "wrong_mark",
                     "bad_arguments", "not_found", "unavailable", "refused"}  # fmt: skip
    assert without_word(page, "ack", codes) == []


def test_every_state_of_a_message_or_task_has_a_word(page: dict[str, Any]) -> None:
    assert without_word(page, "task", values(TaskState)) == []
    assert without_word(page, "message", {"delivered", "unconfirmed"}) == []
    assert without_word(page, "step", set(STEPS) - {"cancel"}) == []


def test_every_state_has_a_word(page: dict[str, Any]) -> None:
    assert without_word(page, "source", {"starting", "up", "silent", "down"}) == []
    assert without_word(page, "camera", {"idle", "live", "down", "disabled"}) == []
    ways = {"off", "connecting", "live", "waiting", "up", "down"}
    assert without_word(page, "way", ways) == []
    assert without_word(page, "link", {"up", "lost", "closed", "none"}) == []
    sure = {"seen on hardware", "from datasheet", "from memory"}
    assert without_word(page, "evidence", sure) == []
    fixes = {"none", "autonomous", "dgnss", "pps", "rtk_fixed", "rtk_float", "dr", "manual"}
    assert without_word(page, "status", fixes | {"simulated"}) == []


def test_the_check_before_use_says_the_same_as_on_the_terminal(page: dict[str, Any]) -> None:
    for group, table in (
        ("selftest.state", selftest.STATES), ("selftest.item", selftest.ITEMS),
        ("selftest", selftest.CODES), ("signed", selftest.SIGNED),
    ):  # fmt: skip
        for code, (zh, en) in table.items():
            assert page["words"].get(f"{group}.{code}") == {"zh": zh, "en": en}

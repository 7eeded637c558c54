"""`outpost log`, and what leaves the log: JSON, CSV, CAP 1.2."""

from __future__ import annotations

import csv
import io
import zipfile
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.__main__ import main
from agent.alarms.standing import RANKS
from agent.clock import UnitClock
from agent.delivery.rows import Row
from agent.incident import cap
from agent.incident.check import Check
from agent.incident.record import FILE, Incident, Line
from agent.incident.words import WORDS
from agent.messages import Alarm, AlarmState, Class, Clock, Event, FixBody, Mark, Reading
from drivers import Quality
from tests.agent.cap_schema import NAMESPACE, mistakes

HIGH = "gas1/cl2/high"
T = 1795519200000
STATES = {
    "raised": AlarmState.UNACKNOWLEDGED, "acknowledged": AlarmState.ACKNOWLEDGED,
    "returned": AlarmState.RETURNED_UNACKNOWLEDGED, "cleared": AlarmState.NORMAL,
}  # fmt: skip


def alarm(change: str, **over: Any) -> Alarm:
    given: dict[str, Any] = {
        "alarm": HIGH, "code": "high", "rank": 1, "change": change, "state": STATES[change],
        "source": "gas1", "quantity": "cl2", "limit": 0.5, "limit_basis": "GBZ 2.1-2019 MAC",
        "since": T,
        "reading": Reading(
            source="gas1", quantity="cl2", value=1.4, unit="ppm", quality=Quality.GOOD
        ),
        "fix": FixBody(mode=3, lat=30.5, lon=114.3, eph=4.0),
    }  # fmt: skip
    return Alarm(**{**given, **over})


def made(folder: Path, *bodies: Alarm | Event, mark: Mark = Mark.EXERCISE) -> Path:
    """A log that holds these."""
    folder.mkdir(exist_ok=True)
    log = Incident(
        folder, UnitClock(), org="hubei", unit="ex-cv-01", mark=mark, epoch="1795519200000-9f3a",
        max_bytes=1_000_000, max_files=4,
    )  # fmt: skip
    with log:
        for seq, body in enumerate(bodies, 1):
            klass = Class.ALARMS if isinstance(body, Alarm) else Class.EVENTS
            log.record(
                Row(
                    epoch=1, seq=seq, klass=klass.value, prev=0, t=T + 1000 * seq, clock="gnss",
                    mono=seq, body=msgspec.json.encode(body),
                )
            )  # fmt: skip
    return folder


def life(folder: Path, mark: Mark = Mark.EXERCISE) -> Path:
    """An alarm from its beginning to its end, and a command."""
    return made(
        folder,
        alarm("raised"),
        alarm("acknowledged", by="hq/duty-officer"),
        Event(
            event="command", source="center",
            data={"verb": "alarm.ack", "by": "hq/duty-officer", "outcome": "done"},
        ),
        alarm("returned"),
        alarm("cleared", fix=None),
        mark=mark,
    )  # fmt: skip


# -- verify --------------------------------------------------------------------------------------


def test_verify_says_whole_and_names_the_head(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    life(tmp_path)
    assert main(["log", "verify", "--dir", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert f"{tmp_path}: 5 lines, 1 to 5: whole" in said
    head = said.split()[-1]
    assert main(["log", "verify", "--dir", str(tmp_path), "--head", head]) == 0
    assert main(["log", "verify", "--dir", str(tmp_path), "--head", "0" * 64]) == 1
    assert "is not in the log: it was cut short, or written anew" in capsys.readouterr().out


def test_verify_and_export_end_with_1_where_the_chain_is_broken(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    life(tmp_path)
    path = tmp_path / FILE
    path.write_bytes(path.read_bytes().replace(b'"value":1.4', b'"value":0.4', 1))
    assert main(["log", "verify", "--dir", str(tmp_path)]) == 1
    assert "BROKEN" in capsys.readouterr().out
    assert main(["log", "export", "--dir", str(tmp_path), "--format", "json"]) == 1
    out, err = capsys.readouterr()
    assert "the chain is broken: line 2 follows" in err
    assert len(msgspec.json.decode(out)["lines"]) == 5


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["verify"], "there is no incident log"),
        (["verify", "--head", "12"], "--head: expected 64 hex digits, read '12'"),
        (["export", "--format", "csv"], "there is no incident log"),
        (["export", "--format", "cap"], "name a folder or FILE.zip with -o"),
    ],
)
def test_what_is_used_wrongly_ends_with_2_and_a_sentence(
    words: list[str], sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["log", *words, "--dir", str(tmp_path)]) == 2
    assert sentence in capsys.readouterr().err


def test_a_folder_that_is_not_there_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["log", "verify", "--dir", str(tmp_path / "x")]) == 2
    assert capsys.readouterr().err == f"{tmp_path / 'x'}: No such file or directory\n"


# -- JSON and CSV --------------------------------------------------------------------------------


def test_json_holds_the_lines_and_the_verdict(tmp_path: Path) -> None:
    life(tmp_path)
    out = tmp_path / "log.json"
    assert main(["log", "export", "--dir", str(tmp_path), "--format", "json", "-o", str(out)]) == 0
    document = msgspec.json.decode(out.read_bytes())
    assert [line["n"] for line in document["lines"]] == [1, 2, 3, 4, 5]
    assert document["lines"][1]["body"]["by"] == "hq/duty-officer"
    assert document["check"]["count"] == 5
    assert document["check"]["mistakes"] == []


def table(folder: Path, *words: str) -> list[dict[str, str]]:
    out = folder / "log.csv"
    assert (
        main(["log", "export", "--dir", str(folder), "--format", "csv", "-o", str(out), *words])
        == 0
    )
    text = out.read_bytes().decode("utf-8-sig")
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_csv_has_codes_or_words(tmp_path: Path) -> None:
    life(tmp_path)
    rows = table(tmp_path)
    assert (rows[0]["what"], rows[0]["value"], rows[0]["value_unit"]) == ("high", "1.4", "ppm")
    assert rows[0]["time"] == "2026-11-24T11:20:01.000+00:00"
    assert (rows[1]["change"], rows[1]["by"]) == ("acknowledged", "hq/duty-officer")
    assert (rows[2]["what"], rows[2]["by"]) == ("command", "hq/duty-officer")
    assert '"verb":"alarm.ack"' in rows[2]["data"]
    worded = table(tmp_path, "--lang", "zh")
    assert (worded[0]["内容"], worded[0]["量"], worded[0]["标记"]) == ("高报警", "氯气", "演练")


def test_no_text_from_a_wire_is_a_formula(tmp_path: Path) -> None:
    made(
        tmp_path,
        Event(event="source_down", detail='=HYPERLINK("x")'),
        alarm("raised", reading=None, fix=FixBody(mode=3, lat=-30.5, lon=-114.3)),
    )
    rows = table(tmp_path)
    assert rows[0]["detail"] == '\'=HYPERLINK("x")'
    assert (rows[1]["lat"], rows[1]["lon"]) == ("-30.5", "-114.3")


# -- CAP 1.2 -------------------------------------------------------------------------------------


def messages(folder: Path, *words: str) -> list[ElementTree.Element]:
    """The exported documents in order, each held against the schema's table."""
    out = folder / "cap"
    assert (
        main(["log", "export", "--dir", str(folder), "--format", "cap", "-o", str(out), *words])
        == 0
    )
    found = []
    for path in sorted(out.iterdir()):
        assert mistakes(path.read_bytes()) == []
        found.append(ElementTree.fromstring(path.read_bytes()))
    return found


def text(element: ElementTree.Element, *names: str) -> str:
    return element.findtext("/".join(f"{NAMESPACE}{name}" for name in names)) or ""


@pytest.mark.parametrize(
    ("mark", "status"), [(Mark.ACTUAL, "Actual"), (Mark.EXERCISE, "Exercise"), (Mark.TEST, "Test")]
)
def test_status_is_the_unit_s_mark(tmp_path: Path, mark: Mark, status: str) -> None:
    found = messages(life(tmp_path, mark))
    assert {text(message, "status") for message in found} == {status}
    headlines = [text(message, "info", "headline") for message in found]
    assert all(line.startswith("【") == (mark is not Mark.ACTUAL) for line in headlines)


def test_an_alarm_s_life_is_alert_update_update_cancel(tmp_path: Path) -> None:
    found = messages(life(tmp_path))
    assert [text(message, "msgType") for message in found] == [
        "Alert",
        "Update",
        "Update",
        "Cancel",
    ]
    first, second = found[:2]
    assert text(first, "references") == ""
    assert text(second, "references") == ",".join(
        text(first, name) for name in ("sender", "identifier", "sent")
    )
    assert text(first, "sent") == "2026-11-24T11:20:01-00:00"


def test_a_message_speaks_chinese_and_english(tmp_path: Path) -> None:
    message = messages(made(tmp_path, alarm("raised")))[0]
    chinese, english = message.findall(f"{NAMESPACE}info")
    assert (text(chinese, "language"), text(english, "language")) == ("zh-CN", "en-US")
    assert text(chinese, "event") == "氯气 高报警"
    assert text(english, "event") == "chlorine high alarm"
    assert (
        text(english, "description") == "measured 1.4 ppm; limit 0.5 ppm; basis: GBZ 2.1-2019 MAC"
    )
    for info in (chinese, english):
        assert [text(info, name) for name in ("category", "urgency", "severity", "certainty")] == [
            "CBRNE", "Immediate", "Severe", "Observed"
        ]  # fmt: skip
        assert text(info, "area", "circle") == "30.500000,114.300000 0.004"
        assert not text(info, "instruction")


def test_one_language_alone(tmp_path: Path) -> None:
    message = messages(life(tmp_path), "--lang", "en")[0]
    (info,) = message.findall(f"{NAMESPACE}info")
    assert text(info, "language") == "en-US"


def test_a_zip_holds_the_same_documents(tmp_path: Path) -> None:
    life(tmp_path)
    out = tmp_path / "cap.zip"
    assert main(["log", "export", "--dir", str(tmp_path), "--format", "cap", "-o", str(out)]) == 0
    with zipfile.ZipFile(out) as archive:
        assert len(archive.namelist()) == 4
        assert all(mistakes(archive.read(name)) == [] for name in archive.namelist())


def test_what_updates_nothing_known_is_a_message_of_its_own(tmp_path: Path) -> None:
    """Its beginning left with an older file."""
    (message,) = messages(made(tmp_path, alarm("cleared")))
    assert text(message, "msgType") == "Alert"
    assert text(message, "info", "urgency") == "Past"


def test_a_name_that_a_hand_wrote_leads_out_of_no_folder(tmp_path: Path) -> None:
    life(tmp_path)
    path = tmp_path / FILE
    path.write_bytes(path.read_bytes().replace(b'"unit":"ex-cv-01"', b'"unit":"../../x-1"', 1))
    out = tmp_path / "cap"
    assert main(["log", "export", "--dir", str(tmp_path), "--format", "cap", "-o", str(out)]) == 1
    assert len(list(out.iterdir())) == 3


@given(
    st.builds(
        alarm, st.sampled_from(sorted(STATES)), code=st.sampled_from(sorted(RANKS)),
        rank=st.integers(1, 5), quantity=st.text(max_size=8), source=st.text(max_size=8),
        limit=st.none() | st.floats(), limit_basis=st.text(max_size=40), by=st.text(max_size=20),
        since=st.none() | st.integers(-(2**60), 2**60),
        reading=st.none()
        | st.builds(
            Reading, source=st.text(max_size=8), quantity=st.text(max_size=8),
            value=st.none() | st.floats(allow_nan=False), unit=st.text(max_size=5),
            quality=st.sampled_from(Quality),
        ),
        fix=st.none()
        | st.builds(
            FixBody, mode=st.just(3), lat=st.none() | st.floats(-90, 90), lon=st.floats(-180, 180),
            eph=st.none() | st.floats(0, 1e6),
        ),
    )
)  # fmt: skip
def test_whatever_an_alarm_holds_is_valid_cap(body: Alarm) -> None:
    line = Line(
        n=1, prev="0" * 64, t=T, clock=Clock.GNSS, org="hubei", unit="ex-cv-01",
        mark=Mark.EXERCISE, kind="alarm", epoch="1795519200000-9f3a", seq=1,
        body=msgspec.Raw(msgspec.json.encode(body)),
    )  # fmt: skip
    (message,) = cap.Writer().messages(line)
    assert mistakes(message.xml) == []


def test_the_table_refuses_what_the_schema_refuses() -> None:
    good = (
        '<alert xmlns="urn:oasis:names:tc:emergency:cap:1.2"><identifier>a</identifier>{}</alert>'
    )
    wrong = mistakes(good.format("<sent>2026-11-24T10:40:01Z</sent><sender>b c</sender>").encode())
    assert "alert: 0 times status" in wrong
    assert any("out of order" in sentence for sentence in wrong)
    assert "sent: '2026-11-24T10:40:01Z' has not its form" in wrong
    assert "sender: 'b c' has not its form" in wrong


def test_every_code_of_an_alarm_has_a_word() -> None:
    assert set(RANKS) <= set(WORDS)


@pytest.mark.parametrize(
    ("code", "quantity", "category", "event"),
    [
        ("twa", "cl2", "CBRNE", "chlorine 8 h mean (TWA) exceeded"),
        ("sos_silent", "sos", "Rescue", "silent call for help"),
        ("no_motion", "motion", "Rescue", "no motion"),
        ("check_in", "check_in", "Rescue", "missed check-in"),
        ("zone_hot", "tank-farm", "Safety", "tank-farm in a hot zone"),
        ("position_lost", "position", "Safety", "position lost"),
        ("battery_critical", "battery", "Safety", "battery almost empty"),
        ("disk", "disk", "Safety", "disk not writable"),
        ("fault", "cl2", "Safety", "chlorine fault"),
    ],
)
def test_what_it_is_and_whose_affair(
    tmp_path: Path, code: str, quantity: str, category: str, event: str
) -> None:
    body = alarm("raised", code=code, quantity=quantity, reading=None)
    (message,) = messages(made(tmp_path, body), "--lang", "en")
    assert text(message, "info", "category") == category
    assert text(message, "info", "event") == event


def test_the_check_reads_what_was_made(tmp_path: Path) -> None:
    check = Check(life(tmp_path))
    assert [line.kind for line in check.lines()] == ["alarm", "alarm", "event", "alarm", "alarm"]

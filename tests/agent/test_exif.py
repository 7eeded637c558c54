"""What a picture says of where and when it was taken, read by ExifTool and by FFmpeg."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from agent.exif import Taken, with_metadata
from agent.messages import FixBody, Reading
from drivers import Quality

JPEG = bytes.fromhex(
    "ffd8ffdb004300" + "01" * 64
    + "ffc0000b080001000101011100ffc4001400010000000000000000000000000000000aff"
    "c40014100100000000000000000000000000000000ffda0008010100003f007fffd9"
)  # fmt: skip
"""The least that is a JPEG: one grey point."""
TAKEN = Taken(
    unit="cv-01", camera="front", time_ms=1_800_000_001_234, mark="exercise",
    fix=FixBody(
        mode=3, time="2027-01-15T08:00:00Z", lat=30.5952123, lon=-114.3046789, alt=-12.5, hdop=0.9,
        speed=10.0, track=271.5, eph=4.0,
    ),
    readings=(
        Reading(source="gas", quantity="cl2", value=0.4, unit="ppm", quality=Quality.GOOD),
        Reading(source="gas", quantity="co", unit="ppm", quality=Quality.FAULT),
    ),
)  # fmt: skip


def read(path: Path) -> dict[str, Any]:
    if shutil.which("exiftool") is None:
        pytest.skip("exiftool is not installed")
    done = subprocess.run(
        ["exiftool", "-json", "-n", "-G1", "-a", "-all:all", "-composite:all", "-validate",
         "-warning", str(path)],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    told: dict[str, Any] = json.loads(done.stdout)[0]
    return told


def test_exiftool_reads_time_place_and_readings(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(with_metadata(JPEG, TAKEN))
    told = read(path)
    assert told["ExifTool:Validate"] == "0 0 0", told.get("ExifTool:Warning")
    assert told["Composite:GPSLatitude"] == pytest.approx(30.5952123, abs=1e-7)
    assert told["Composite:GPSLongitude"] == pytest.approx(-114.3046789, abs=1e-7)
    assert told["Composite:GPSAltitude"] == -12.5
    assert told["GPS:GPSMapDatum"] == "WGS-84"
    assert (told["GPS:GPSDateStamp"], told["GPS:GPSTimeStamp"]) == ("2027:01:15", "08:00:00")
    assert told["GPS:GPSSpeed"] == 36
    assert told["GPS:GPSTrack"] == 271.5
    assert (told["GPS:GPSDOP"], told["GPS:GPSHPositioningError"]) == (0.9, 4)
    assert told["Composite:SubSecDateTimeOriginal"] == "2027:01:15 08:00:01.234+00:00"
    assert told["IFD0:ImageDescription"] == "cv-01 front [exercise]"
    assert told["XMP-exif:GPSLatitude"] == pytest.approx(30.5952123, abs=1e-6)
    assert told["XMP-outpost:Readings"] == ["gas/cl2 0.4 ppm good", "gas/co - ppm fault"]
    assert told["XMP-outpost:Mark"] == "exercise"


def test_a_picture_without_a_position_has_none(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    taken = Taken(unit="cv-01", camera="front", time_ms=1_800_000_000_000, mark="actual")
    path.write_bytes(with_metadata(JPEG, taken))
    told = read(path)
    assert not [key for key in told if "GPS" in key]
    assert told["IFD0:ImageDescription"] == "cv-01 front"
    path.write_bytes(with_metadata(JPEG, Taken(
        unit="cv-01", camera="front", time_ms=0, mark="actual", fix=FixBody(mode=0),
    )))  # fmt: skip
    assert read(path)["GPS:GPSStatus"] == "V"


def test_the_picture_itself_is_as_it_was() -> None:
    made = with_metadata(JPEG, TAKEN)
    assert made.startswith(b"\xff\xd8\xff\xe1")
    assert made.endswith(JPEG[2:])


def test_what_is_no_jpeg_is_refused() -> None:
    with pytest.raises(ValueError, match="begins ff d8, read 89 50"):
        with_metadata(b"\x89PNG", TAKEN)

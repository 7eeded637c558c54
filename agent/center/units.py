"""Units on the wire that SenML (RFC 8428, RFC 8798) has no symbol for, as the schema lists them."""

from __future__ import annotations

from typing import Any

LEL_VOL_PERCENT: dict[str, tuple[float, float]] = {
    "ch4": (5.0, 4.4), "c3h8": (2.1, 1.7), "c4h10": (1.8, 1.4), "co": (12.5, 10.9),
    "c2h2": (2.5, 2.3),
}  # fmt: skip
"""100 %LEL in per cent of volume: by the values usual on detectors in China and the US (ISO 10156
for methane), and by ISO/IEC 80079-20-1 (which replaced IEC 60079-20-1)."""

BESIDE_SENML = {
    "%LEL": "per cent of the lower explosive limit.  The reference gas is the quantity where that "
    "is a gas (`ch4`), and methane where it is `combustible`, unless the sensor knows the gas.  A "
    "sensor that chooses between LEL tables is told which (`start` of the driver mps: ISO 10156 "
    "or IEC 60079-20-1), others follow their maker's.  The two tables: `x-lel-vol-percent`.",
    "uSv/h": "ambient dose equivalent rate, microsievert an hour",
    "ppm": "parts per million of volume", "ppb": "parts per billion of volume",
    "/100": "per cent of volume, where the quantity is a gas (SenML's: a ratio in per cent)",
    "%EL": "per cent of a battery's charge (SenML's)",
}  # fmt: skip
"""And those which people take for something else."""


def unit_schema() -> dict[str, Any]:
    """The definition `Unit`."""
    return {
        "title": "Unit",
        "description": "A unit of SenML (RFC 8428, 12.1, and RFC 8798), or one of those listed.",
        "type": "string",
        "anyOf": [
            *({"const": name, "description": text} for name, text in BESIDE_SENML.items()),
            {"type": "string", "description": "any other: SenML's"},
        ],
        "x-lel-vol-percent": {
            gas: {"iso-10156": usual, "iec-80079-20-1": iec}
            for gas, (usual, iec) in LEL_VOL_PERCENT.items()
        },
    }

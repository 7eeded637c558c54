"""ppm and mg/m3: the figures of FIELD.md 4.2, computed there from the ideal gas law."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.alarms import conversion
from agent.alarms.conversion import Air

AT_25 = {
    "co": 1.1449, "h2s": 1.3930, "so2": 2.6186, "no2": 1.8805, "no": 1.2265, "nh3": 0.6961,
    "cl2": 2.8982, "hcn": 1.1047, "ph3": 1.3896, "hcl": 1.4903, "c6h6": 3.1928, "co2": 1.7989,
    "ch4": 0.6557, "o3": 1.9619, "ch2o": 1.2273, "hf": 0.8177, "c3h8": 1.8024, "eto": 1.8006,
}  # fmt: skip


@pytest.mark.parametrize(("gas", "each"), AT_25.items())
def test_mg_m3_of_a_ppm_at_25_degrees(gas: str, each: float) -> None:
    assert conversion.factor(gas, Air(temperature_c=25)) == pytest.approx(each, abs=1e-4)


@pytest.mark.parametrize(("celsius", "litres"), [(0, 22.414), (20, 24.055), (25, 24.465)])
def test_the_molar_volumes_of_the_three_bases(celsius: float, litres: float) -> None:
    assert Air(temperature_c=celsius).molar_volume_l == pytest.approx(litres, abs=5e-4)


@pytest.mark.parametrize(
    ("gas", "figure", "ppm"),
    [("co", 20, 17), ("h2s", 10, 7.1), ("cl2", 1, 0.34), ("nh3", 30, 42), ("hcl", 7.5, 4.9),
     ("co2", 9000, 4919), ("hf", 2, 2.4), ("ch2o", 0.5, 0.40)],
)  # fmt: skip
def test_the_workplace_limits_of_gbz(gas: str, figure: float, ppm: float) -> None:
    assert conversion.ppm(gas, figure) == pytest.approx(ppm, rel=0.02)


def test_thin_and_warm_air_holds_less_of_the_same_ppm() -> None:
    # Lhasa, 3650 m: 652 hPa at 15 degrees C.
    here = conversion.mg_m3("cl2", 1.0, Air(temperature_c=15, pressure_hpa=652))
    assert here == pytest.approx(2.9477 * (652 / 1013.25) * (293.15 / 288.15), rel=1e-3)


def test_what_is_no_single_substance_has_no_figure() -> None:
    assert conversion.mg_m3("combustible", 10.0) is None
    assert conversion.ppm("voc", 10.0) is None


@given(
    gas=st.sampled_from(sorted(conversion.MOLAR_MASS)),
    ppm=st.floats(0, 1e6),
    celsius=st.floats(-90, 100),
    hectopascal=st.floats(300, 1200),
)
def test_there_and_back_is_the_same(
    gas: str, ppm: float, celsius: float, hectopascal: float
) -> None:
    air = Air(temperature_c=celsius, pressure_hpa=hectopascal)
    milligrams = conversion.mg_m3(gas, ppm, air)
    assert milligrams is not None
    assert conversion.ppm(gas, milligrams, air) == pytest.approx(ppm, rel=1e-9, abs=1e-12)

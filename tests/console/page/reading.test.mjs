import assert from "node:assert/strict";
import test from "node:test";
import { measureOf, titleOf } from "../../../agent/console/web/alarm.js";
import { degreeText, multiples, stepFor } from "../../../agent/console/web/degrees.js";
import { batteryOf, isPowered } from "../../../agent/console/web/battery.js";
import { worstText } from "../../../agent/console/web/exposure.js";
import { figureText } from "../../../agent/console/web/figure.js";
import { describe, isDue, isUnsure } from "../../../agent/console/web/instrument.js";
import { quantityWord } from "../../../agent/console/web/lang.js";
import { signalOf } from "../../../agent/console/web/signal.js";
import {
  ageParts, byImportance, clockText, formula, groupOf, isAside, partsOf, placeText, quantityText, valueText,
} from "../../../agent/console/web/reading.js";

test("formulas", () => {
  assert.deepEqual(["ash3", "sih4", "clo2", "c6h6", "nox", "gas_class", "hail"].map(formula),
    ["AsH₃", "SiH₄", "ClO₂", "C₆H₆", "NOₓ", "", ""]);
  assert.deepEqual(["cl2", "h2s", "co2", "ch2o", "c2h4", "no2", "temperature", "noise", "co"].map(formula),
    ["Cl₂", "H₂S", "CO₂", "CH₂O", "C₂H₄", "NO₂", "", "", "CO"]);
});

test("values with the digits that a person can use", () => {
  assert.equal(valueText(0.523, "ppm"), "0.52");
  assert.equal(valueText(35.21, "ppm"), "35.2");
  assert.equal(valueText(1009.4, "hPa"), "1009");
  assert.equal(valueText(20.87, "/100"), "20.9");
  assert.equal(valueText(null, "ppm"), "—");
  assert.equal(valueText(Number.NaN, "ppm"), "—");
  assert.equal(quantityText(14.25, "Cel"), "14.3 °C");
  assert.equal(quantityText(38, "deg"), "38°");
  assert.equal(quantityText(20.87, "/100", "o2"), "20.9 %vol");
  assert.equal(quantityText(20.87, "/100", "load"), "20.9 %");
  assert.equal(quantityText(87, "%EL", "battery"), "87 %");
  assert.equal(quantityText(0.132, "uSv/h", "dose_rate"), "0.13 µSv/h");
  assert.equal(quantityText(0.25, "/", "cloud_cover"), "0.25");
  assert.equal(quantityText(-95, "dBm"), "-95 dBm");
});

test("ages and times", () => {
  assert.deepEqual(ageParts(-500), { key: "age.s", values: { n: 0 } });
  assert.deepEqual(ageParts(99_999), { key: "age.s", values: { n: 99 } });
  assert.deepEqual(ageParts(125_000), { key: "age.min", values: { n: 2, s: 5 } });
  assert.deepEqual(ageParts(7_380_000), { key: "age.h", values: { n: 2, min: 3 } });
  assert.deepEqual(ageParts(200_000_000), { key: "age.d", values: { n: 2 } });
  assert.equal(clockText(187.9), "3:07");
});

test("places", () => {
  assert.equal(placeText(30.593067, 114.30585), "30.59307°N 114.30585°E");
  assert.equal(placeText(-33.5, -70.25), "33.50000°S 70.25000°W");
});

test("gases come before the weather, the weather before the kit", () => {
  const mixed = ["disk_free", "rsrp", "voltage", "temperature", "o2", "wind_speed_max", "battery",
    "wind_speed", "own_thing", "cl2", "noise", "dose_rate", "current", "cpu_temperature"];
  assert.deepEqual(mixed.sort(byImportance), ["cl2", "o2", "dose_rate", "wind_speed", "wind_speed_max",
    "temperature", "noise", "own_thing", "battery", "voltage", "current", "rsrp", "cpu_temperature",
    "disk_free"]);
  assert.deepEqual(["cl2", "dose_rate", "noise", "own_thing", "supply_voltage"].map(groupOf),
    ["gas", "gas", "around", "around", "kit"]);
});

test("what nobody needs at a glance stands aside", () => {
  const glance = ["cl2", "dose_rate", "wind_speed", "wind_direction_apparent", "temperature", "pm2_5", "own_thing"];
  assert.deepEqual(glance.filter(isAside), []);
  const aside = ["voltage", "rsrp", "disk_free", "wind_speed_max", "temperature_mean", "noise", "pn0_3", "rain"];
  assert.deepEqual(aside.filter((quantity) => !isAside(quantity)), []);
});

test("names with modifiers are put together", () => {
  assert.deepEqual(partsOf("wind_speed_apparent_max"), ["wind_speed", "apparent", "max"]);
  assert.deepEqual(partsOf("minimum_mean"), ["minimum", "mean"]);
  assert.equal(quantityWord("wind_speed_apparent_max"), "最大相对风速");
  assert.equal(quantityWord("pm2_5"), "PM2.5");
  assert.equal(quantityWord("own_thing"), "Own thing");
});

test("figures that are words", () => {
  const figure = (quantity, value, unit) => figureText({ quantity, value, unit });
  assert.equal(figure("mains", 0, "/"), "无");
  assert.equal(figure("under_voltage", 1, "/"), "是");
  assert.equal(figure("network_generation", 4, ""), "4G");
  assert.equal(figure("gas_class", 3, "/"), "甲烷");
  assert.equal(figure("gas_class", 77, "/"), "77");
  assert.equal(figure("time_left", 1440, "s"), "24分0秒");
  assert.equal(figure("hail", 0.4, "hits/cm2"), "0.40 次/cm²");
  assert.equal(figure("wind_direction", 38.4, "deg"), "38°");
  assert.equal(figure("mains", null, "/"), "—");
});

test("the emptiest battery and the best modem count", () => {
  const one = (source, quantity, value) => ({ t: 1, source, quantity, value, quality: "good" });
  const readings = [one("a", "battery", 80), one("b", "battery", 12), one("c", "battery", null),
    one("b", "current", 1.5), one("a", "current", -1), one("m", "rsrp", -112), one("m", "rssi", -60),
    one("n", "signal_quality", 67), one("o", "rssi", null)];
  assert.equal(batteryOf(readings).source, "b");
  assert.equal(isPowered(readings[1], readings), true);
  assert.equal(isPowered(readings[0], readings), false);
  assert.equal(batteryOf([]), undefined);
  assert.deepEqual([signalOf(readings).level, signalOf(readings).readings[0].source], [3, "n"]);
  assert.equal(signalOf(readings.slice(5, 7)).level, 1);
  assert.equal(signalOf(readings.slice(8)).level, null);
  assert.equal(signalOf(readings.slice(0, 5)), undefined);
});

test("instruments tell of calibration and of how sure they are", () => {
  const state = { latest: { "g/cl2": { source: "g", quantity: "cl2" } } };
  const source = { name: "g", driver: "winsen", state: "up", evidence: "from memory", calibrated: "2026-01-05",
    calibrated_by: "Li", calibration_due: "2026-07-04", place: "mast", serial: "A7" };
  const due = Date.parse("2026-07-04T00:00:00Z");
  assert.deepEqual([isDue(source, due - 1), isDue(source, due), isDue({ calibration_due: "" }, due)],
    [false, true, false]);
  assert.equal(isUnsure(source), true);
  assert.equal(describe(source, state, due),
    "winsen 在线 · 位于 mast · 编号 A7 · ⚠ 未核实 · 校准 2026-01-05（Li） · ⚠ 待校准（2026-07-04 到期）");
  assert.equal(describe({ name: "g", driver: "winsen", state: "down" }, state, due), "winsen 离线 · 校准日期不明");
  assert.equal(describe({ name: "t", driver: "wxt", state: "up" }, state, due), "wxt 在线");
});

test("the dose that is nearest to its limit", () => {
  const dose = (quantity, stel, twa, more) => ({ source: "g", quantity, unit: "ppm", stel, twa, ...more });
  assert.equal(worstText(undefined), "");
  assert.equal(worstText({ doses: [dose("co", 3, 1)] }), "");
  assert.equal(worstText({ doses: [dose("co", 0.1, 0.001, { twa_limit: 20 })] }), "");
  assert.equal(worstText({ doses: [dose("co", 3, 1, { twa_limit: 20 }), dose("cl2", 0.4, 0.1, { stel_limit: 1 })] }),
    "接触剂量 Cl₂ ≥ 限值的 40%");
});

test("a graticule's steps, lines and labels", () => {
  assert.ok(Math.abs(stepFor(0.02) - 0.005) < 1e-12);
  assert.equal(stepFor(40), 10);
  assert.deepEqual(multiples(-12, 21, 10), [-10, 0, 10, 20]);
  assert.equal(degreeText(114.305, 0.005, "E", "W"), "114.305°E");
  assert.equal(degreeText(-30, 10, "N", "S"), "30°S");
});

test("an alarm in words, with the value of the moment", () => {
  const alarm = {
    alarm: "gas1/cl2/high", code: "high", rank: 1, change: "raised", state: "unacknowledged",
    source: "gas1", quantity: "cl2", limit: 1, reading: { t: 10, value: 1.02, unit: "ppm" },
  };
  assert.equal(titleOf(alarm), "氯气 Cl₂ 高报警");
  assert.equal(measureOf(alarm), "1.02 ≥ 1.00 ppm");
  assert.equal(measureOf(alarm, { t: 20, value: 0.4, unit: "ppm" }), "0.40 < 1.00 ppm");
  assert.equal(measureOf(alarm, { t: 5, value: 0.4, unit: "ppm" }), "1.02 ≥ 1.00 ppm");
  assert.equal(measureOf({ ...alarm, reading: null }), "");
});

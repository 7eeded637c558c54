import assert from "node:assert/strict";
import test from "node:test";
import { measureOf, titleOf } from "../../../agent/console/web/alarm.js";
import { degreeText, multiples, stepFor } from "../../../agent/console/web/degrees.js";
import {
  ageParts, byImportance, clockText, formula, placeText, quantityText, valueText,
} from "../../../agent/console/web/reading.js";

test("formulas", () => {
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

test("gases come before the weather", () => {
  assert.deepEqual(["temperature", "o2", "wind_speed", "cl2"].sort(byImportance),
    ["cl2", "o2", "temperature", "wind_speed"]);
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

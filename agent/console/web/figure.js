/** A reading as it is shown: a number and its unit, or a word where the number stands for one. */
import { codeWord, isWord, word } from "./lang.js";
import { ageParts, unitText, valueText } from "./reading.js";

/** @typedef {import("./types.js").Latest} Latest */

const SWITCHES = new Set(["mains", "throttled", "under_voltage"]);
const NOTHING = "—";

/** @param {Latest} latest @returns {{value: string, unit: string}} */
export function figureOf({ quantity, value, unit }) {
  if (value === null || value === undefined || !Number.isFinite(value)) {
    return { value: NOTHING, unit: shownUnit(unit, quantity) };
  }
  const asWord = wordOf(quantity, value);
  if (asWord) return { value: asWord, unit: "" };
  if (unit === "s") {
    const { key, values } = ageParts(value * 1000);
    return { value: word(key, values), unit: "" };
  }
  return { value: valueText(value, unit), unit: shownUnit(unit, quantity) };
}

/** @param {Latest} latest @returns {string} "12.6 V" */
export function figureText(latest) {
  const { value, unit } = figureOf(latest);
  return unit === "°" ? `${value}°` : `${value} ${unit}`.trim();
}

/** @param {string|undefined} unit @param {string} quantity */
function shownUnit(unit, quantity) {
  return isWord(`unit.${unit}`) ? codeWord("unit", unit ?? "") : unitText(unit, quantity);
}

/** @param {string} quantity @param {number} value @returns {string} "" where it is a number */
function wordOf(quantity, value) {
  if (quantity === "network_generation") return word("value.network", { n: value });
  if (SWITCHES.has(quantity)) {
    const state = value ? "on" : "off";
    return codeWord("value", isWord(`value.${quantity}.${state}`) ? `${quantity}.${state}` : state);
  }
  const key = `value.${quantity}.${value}`;
  return isWord(key) ? word(key) : "";
}

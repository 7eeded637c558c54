/** An alarm in words and signs: what, where, how bad.  Never by colour alone. */
import { codeWord, word } from "./lang.js";
import { formula, quantityText } from "./reading.js";

/** @typedef {import("./types.js").Alarm} Alarm */

const PERSON = new Set(["sos", "man_down", "no_motion"]);

/** @param {Alarm} alarm @returns {boolean} somebody calls for help, or cannot any more */
export const isPerson = ({ code }) => PERSON.has(code);

/** @param {Alarm} alarm @returns {boolean} */
export const isOpen = ({ state }) => state !== "acknowledged" && state !== "normal";

/** @param {Alarm} alarm */
export function signOf(alarm) {
  if (alarm.code === "sos") return "SOS";
  if (alarm.rank <= 2) return "▲▲";
  return alarm.rank === 3 ? "▲" : "?";
}

/** @param {string} quantity @returns {string} "氯气 Cl₂" */
export const quantityName = (quantity) => [codeWord("q", quantity), formula(quantity)].filter(Boolean).join(" ");

/** @param {Alarm} alarm @returns {string} "氯气 Cl₂ 高报警" */
export function titleOf(alarm) {
  if (isPerson(alarm)) return codeWord("code", alarm.code);
  const what = alarm.quantity ? quantityName(alarm.quantity) : alarm.source;
  return `${what} ${codeWord("code", alarm.code)}`;
}

/** @param {Alarm} alarm @returns {string} "1.20 ppm ≥ 限值 1.00 ppm", "" where there is no value */
export function measureOf({ reading, limit }) {
  if (!reading || reading.value === null || reading.value === undefined) return "";
  const value = quantityText(reading.value, reading.unit);
  if (typeof limit !== "number") return value;
  const sign = reading.value >= limit ? "≥" : "<";
  return `${value} ${sign} ${word("alarm.limit", { limit: quantityText(limit, reading.unit) })}`;
}

/** The worst of some alarms, open ones first. @param {Alarm[]} alarms @returns {Alarm|undefined} */
export function worstOf(alarms) {
  const weight = (/** @type {Alarm} */ alarm) => alarm.rank + (isOpen(alarm) ? 0 : 10);
  return [...alarms].sort((a, b) => weight(a) - weight(b))[0];
}

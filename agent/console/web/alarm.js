/** An alarm in words and signs: what, where, how bad.  Never by colour alone. */
import { codeWord, isWord, quantityWord, word } from "./lang.js";
import { formula, quantityText, valueText } from "./reading.js";

/** @typedef {import("./types.js").Alarm} Alarm */
/** @typedef {import("./types.js").Latest} Latest */

const PERSON = new Set(["sos", "sos_silent", "man_down", "no_motion", "check_in"]);
const CALLS = new Set(["sos", "sos_silent"]);

const MEANS = new Set(["stel", "twa"]);

/** @param {Alarm} alarm @returns {boolean} somebody calls for help, or cannot any more */
export const isPerson = ({ code }) => PERSON.has(code);

/** @param {Alarm} alarm @returns {boolean} */
export const isOpen = ({ state }) => state !== "acknowledged" && state !== "normal";

/**
 * What a person may say to an alarm now; "" where nothing.  Over range that was acknowledged waits
 * for somebody who says that the air is clean.
 * @param {Alarm} alarm @param {string[]} [verbs] that the unit takes from here
 * @returns {""|"alarm.ack"|"sos.confirm"|"air.clean"}
 */
export function answerTo(alarm, verbs = []) {
  // Having seen a call for help is not to have answered it.
  if (CALLS.has(alarm.code)) return "sos.confirm";
  if (isOpen(alarm)) return "alarm.ack";
  return alarm.code === "over_range" && verbs.includes("air.clean") ? "air.clean" : "";
}

/** The word on its button. */
export const ANSWER_WORDS = /** @type {const} */ ({
  "alarm.ack": "alarm.ack", "sos.confirm": "alarm.sos.confirm", "air.clean": "alarm.clean",
});

/** @param {Alarm} alarm */
export function signOf(alarm) {
  if (CALLS.has(alarm.code)) return "SOS";
  if (alarm.rank <= 2) return "▲▲";
  return alarm.rank === 3 ? "▲" : "?";
}

/**
 * @param {string} quantity @param {"q.label"|"q.short"} [pattern]
 * @returns {string} "氯气 Cl₂"; "Cl₂ Chlorine", so that what is cut off is not the formula
 */
export function quantityName(quantity, pattern = "q.label") {
  const name = quantityWord(quantity), symbol = formula(quantity);
  return symbol ? word(pattern, { name, formula: symbol }) : name;
}

/** @param {Alarm} alarm @returns {{what: string, code: string}} "氯气 Cl₂" and "高报警" */
export function titleParts({ code, quantity, source }) {
  const own = isWord(`part.${source}`) ? codeWord("part", source) : source;
  const named = quantity && quantity !== "any";
  const what = named ? quantityName(quantity, "q.short") : own;
  return { what: PERSON.has(code) ? "" : what, code: codeWord("code", code) };
}

/** @param {Alarm} alarm @returns {string} "氯气 Cl₂ 高报警" */
export function titleOf(alarm) {
  const { what, code } = titleParts(alarm);
  return what ? `${what} ${code}` : code;
}

/**
 * @param {Alarm} alarm @param {Latest} [latest] the value of this moment, instead of the causing one
 * @returns {string} "1.20 ≥ 1.00 ppm" (the limit), "" where there is no value
 */
export function measureOf({ reading, limit, code }, latest) {
  // A mean is not what is measured now.
  const shown = !MEANS.has(code) && latest && latest.t >= (reading?.t ?? 0) ? latest : reading;
  if (!shown || shown.value === null || shown.value === undefined) return "";
  const { value, unit, quantity } = shown;
  if (typeof limit !== "number") return quantityText(value, unit, quantity);
  return `${valueText(value, unit)} ${value >= limit ? "≥" : "<"} ${quantityText(limit, unit, quantity)}`;
}

/** The worst of some alarms, open ones first. @param {Alarm[]} alarms @returns {Alarm|undefined} */
export function worstOf(alarms) {
  const weight = (/** @type {Alarm} */ alarm) => alarm.rank + (isOpen(alarm) ? 0 : 10);
  return [...alarms].sort((a, b) => weight(a) - weight(b))[0];
}

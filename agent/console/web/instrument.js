/** What is known of a unit's instruments: how sure their drivers are, when they were calibrated. */
import { codeWord, word } from "./lang.js";
import { isGas } from "./reading.js";

/** @typedef {import("./fleet.js").FullState} FullState */
/** @typedef {import("./types.js").Source} Source */

/** @param {Source} source @returns {boolean} nobody has compared its driver with a datasheet */
export const isUnsure = ({ evidence = "" }) => evidence.startsWith("from memory");

/** @param {Source} source @param {number} now UTC ms */
export function isDue({ calibration_due: due }, now) {
  return Boolean(due) && now >= Date.parse(`${due}T00:00:00Z`);
}

/** @param {Source} source @param {FullState} state of its unit */
export const measuresGas = ({ name }, { latest }) =>
  Object.values(latest).some((one) => one.source === name && isGas(one.quantity));

/** @param {Source} source @param {FullState} state of its unit @param {number} now UTC ms */
export function describe(source, state, now) {
  const { driver, detail, place, serial, evidence } = source;
  return [
    [driver, codeWord("source", source.state)].filter(Boolean).join(" "), detail,
    place ? word("source.place", { place }) : "", serial ? word("source.serial", { serial }) : "",
    evidence ? `${isUnsure(source) ? "⚠ " : ""}${codeWord("evidence", evidence)}` : "",
    ...calibration(source, state, now),
  ].filter(Boolean).join(" · ");
}

/** @param {Source} source @param {FullState} state @param {number} now UTC ms @returns {string[]} */
function calibration(source, state, now) {
  const { calibrated: day = "", calibrated_by: by = "", calibration_due: due = "" } = source;
  if (!day) return measuresGas(source, state) ? [word("source.uncalibrated")] : [];
  return [
    by ? word("source.calibrated", { day, by }) : word("source.calibrated.day", { day }),
    due ? word(isDue(source, now) ? "source.due" : "source.due.later", { day: due }) : "",
  ];
}

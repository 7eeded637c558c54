/** What a unit hears of its neighbours without any center: one line a place. */
import { arrange, el, setClass, setText, show } from "./dom.js";
import { codeWord, word } from "./lang.js";
import { formula, quantityText } from "./reading.js";

/**
 * @typedef {object} NeighbourAlarm
 * @property {string} code
 * @property {string} quantity
 * @property {string[]} units the nearest first
 * @property {number} since
 * @property {number|null} [value]
 * @property {string} [unit]
 * @property {number|null} [distance_m]
 * @property {number|null} [bearing_deg]
 * @property {number|null} [place_age_s]
 * @property {boolean} [lost]
 * @property {boolean} [sounds]
 *
 * @typedef {object} Neighbours
 * @property {string[]} [units] within reach
 * @property {NeighbourAlarm[]} [alarms]
 * @property {string} [detail] why none are heard
 */

const OF_ONE_PERSON = new Set(["sos", "no_motion"]);
/** Beyond this age a position is told with it, seconds. */
const OLD_S = 30;

export class NearbyLines {
  constructor() {
    this.list = el("ul", "near-list");
    this.node = el("section", "near", this.list);
    this.node.setAttribute("aria-live", "polite");
  }

  /** @param {Neighbours|null|undefined} near */
  update(near) {
    const lines = (near?.alarms ?? []).map((one) => line(one));
    if (near?.detail) lines.push(el("li", "near-line near-off", word("near.off", { why: near.detail })));
    show(this.node, lines.length > 0);
    arrange(this.list, lines);
  }
}

/** @param {NeighbourAlarm} one */
function line(one) {
  const node = el("li", "near-line");
  setClass(node, "near-sounds", one.sounds === true);
  setText(node, textOf(one));
  return node;
}

/** @param {NeighbourAlarm} one @returns {string} "◈ nearby ex-kit-02 (2 units): Cl₂ high (1.1 ppm when raised), 45° 120 m" */
export function textOf(one) {
  const what = [OF_ONE_PERSON.has(one.code) ? "" : formula(one.quantity) || one.quantity,
    codeWord("code", one.code),
    typeof one.value === "number"
      ? word("near.value", { value: quantityText(one.value, one.unit ?? "") }) : ""];
  const where = typeof one.distance_m === "number" && typeof one.bearing_deg === "number"
    ? word("near.where", { degrees: Math.round(one.bearing_deg), metres: Math.round(one.distance_m) })
    : word("near.nowhere");
  const old = (one.place_age_s ?? 0) > OLD_S
    ? word("near.old", { seconds: Math.round(one.place_age_s ?? 0) }) : "";
  const count = one.units.length > 1 ? word("near.count", { n: one.units.length }) : "";
  return [word("near.line", { unit: one.units[0], count, what: what.filter(Boolean).join(" ") }),
    where, old, one.lost ? word("near.lost") : ""].filter(Boolean).join(" · ");
}

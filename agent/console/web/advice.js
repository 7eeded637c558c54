/** Hints that a unit gives, each labelled as an estimate. */
import { compass } from "./compass.js";
import { el, setText, show } from "./dom.js";
import { codeWord, word } from "./lang.js";

/** @typedef {import("./fleet.js").Unit} Unit */
/**
 * @typedef {object} Upwind
 * @property {number} bearing_deg
 * @property {number} speed_m_s
 * @property {number} age_s
 * @property {string} source
 *
 * @typedef {object} Advice
 * @property {boolean} [estimate]
 * @property {Upwind|null} [upwind]
 * @property {string} [no_upwind]
 * @property {{alarm: string, distance_m: number, bearing_deg: number, t: number}|null} [exceedance]
 */

/** A status is told each half minute; a wind in one that is older says nothing of now. */
const STATUS_OLD_MS = 60_000;
/** Reasons that a reader need not know of: there is no instrument. */
const UNTOLD = new Set(["", "no_wind"]);

export class AdviceLine {
  constructor() {
    this.label = el("b", "advice-label");
    this.text = el("span", "advice-text");
    this.node = el("p", "advice", this.label, " ", this.text);
  }

  /** @param {Unit} unit @param {(ms: number) => string} ageText @param {number} now */
  update(unit, ageText, now) {
    const { status } = unit.state;
    const fresh = status && status.state === "running" && now - status.t < STATUS_OLD_MS && !unit.cutOff;
    const parts = fresh ? partsOf(status.advice, ageText, now) : [];
    show(this.node, parts.length > 0);
    setText(this.label, word("advice"));
    setText(this.text, parts.join(" · "));
  }
}

/**
 * @param {Advice|null|undefined} advice @param {(ms: number) => string} ageText @param {number} now
 * @returns {string[]}
 */
export function partsOf(advice, ageText, now) {
  if (!advice) return [];
  const { upwind, exceedance, no_upwind: why = "" } = advice;
  const parts = [];
  if (upwind) {
    parts.push(word("advice.upwind", {
      to: compass(upwind.bearing_deg), degrees: Math.round(upwind.bearing_deg), speed: upwind.speed_m_s.toFixed(1),
    }));
  } else if (!UNTOLD.has(why)) parts.push(word("advice.none", { why: codeWord("why", why) }));
  if (exceedance) {
    parts.push(word("advice.far", {
      to: compass(exceedance.bearing_deg), degrees: Math.round(exceedance.bearing_deg),
      metres: Math.round(exceedance.distance_m), age: ageText(now - exceedance.t),
    }));
  }
  return parts;
}

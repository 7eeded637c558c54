/** One reading in a card: what, how much, what it is worth, how old. */
import { signOf, worstOf } from "./alarm.js";
import { el, setClass, setText } from "./dom.js";
import { OLD_MS } from "./fleet.js";
import { figureOf } from "./figure.js";
import { isUnsure } from "./instrument.js";
import { codeWord, quantityWord, word } from "./lang.js";
import { formula, isGas, quantityText } from "./reading.js";

/** @typedef {import("./types.js").Alarm} Alarm */
/** @typedef {import("./types.js").Latest} Latest */
/** @typedef {import("./types.js").Status} Status */

export class Tile {
  constructor() {
    this.name = el("span", "tile-name");
    this.formula = el("span", "tile-formula");
    this.age = el("span", "tile-age");
    this.value = el("b", "tile-value");
    this.unit = el("span", "tile-unit");
    this.mass = el("span", "tile-mass");
    this.note = el("span", "tile-note");
    this.node = el("div", "tile", el("span", "tile-head", this.name, this.formula, this.age),
      el("span", "tile-figure", this.value, this.unit), this.mass, this.note);
  }

  /**
   * @param {Latest} latest @param {Alarm[]} alarms of this quantity and source
   * @param {{now: number, ageText: (ms: number) => string, twice: boolean, status?: Status|null}} context
   *   `twice`: another source of the unit gives this quantity too
   */
  update(latest, alarms, { now, ageText, twice, status }) {
    const { quantity, quality, t, clock, source } = latest;
    const old = now - t > OLD_MS;
    const worst = worstOf(alarms);
    const { value, unit } = figureOf(latest);
    setText(this.name, quantityWord(quantity));
    setText(this.formula, formula(quantity));
    setText(this.value, value);
    setText(this.unit, unit);
    setText(this.mass, massText(latest, status));
    const age = clock === "free" ? word("unit.clock.free") : ageText(now - t);
    setText(this.age, old ? `${word("quality.old")} ${age}` : age);
    const worth = quality === "good" ? "" : codeWord("quality", quality);
    const notes = [
      worst ? `${signOf(worst)} ${codeWord("code", worst.code)}` : "",
      worth === "" || worst?.code === quality ? "" : worth,
      isUnlimited(latest, status) ? word("limit.none") : "",
      isGas(quantity) && isUnsureSource(source, status) ? word("evidence.from memory") : "",
      twice ? source : "",
    ].filter(Boolean).join(" · ");
    setText(this.note, notes);
    this.node.title = [`${source}: ${quantityWord(quantity)}`, codeWord("quality", quality), notes]
      .filter(Boolean).join(" · ");
    this.node.dataset.key = `${source}/${quantity}`;
    this.node.dataset.rank = worst ? String(Math.min(worst.rank, 4)) : "";
    setClass(this.node, "wordy", unit === "" && value.length > 4);
    setClass(this.node, "old", old);
    setClass(this.node, "doubtful", quality !== "good" && quality !== "cal_due");
  }
}

/** @param {Latest} latest @param {Status|null} [status] @returns {boolean} nothing judges it */
function isUnlimited({ source, quantity }, status) {
  const { unlimited = [] } = status ?? {};
  return unlimited.includes(quantity) || unlimited.includes(`${source}/${quantity}`);
}

/** @param {string} name @param {Status|null} [status] */
const isUnsureSource = (name, status) =>
  (status?.sources ?? []).some((source) => source.name === name && isUnsure(source));

/** @param {Latest} latest @param {Status|null} [status] @returns {string} "1.53 mg/m³" of ppm */
function massText({ quantity, value, unit }, status) {
  const factor = status?.air?.mg_m3_per_ppm?.[quantity];
  if (unit !== "ppm" || !factor || typeof value !== "number") return "";
  return quantityText(value * factor, "mg/m3");
}

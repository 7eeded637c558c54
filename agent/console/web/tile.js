/** One reading in a card: what, how much, what it is worth, how old. */
import { signOf, worstOf } from "./alarm.js";
import { el, setClass, setText } from "./dom.js";
import { codeWord, word } from "./lang.js";
import { OLD_MS } from "./fleet.js";
import { formula, unitText, valueText } from "./reading.js";

/** @typedef {import("./types.js").Alarm} Alarm */
/** @typedef {import("./types.js").Latest} Latest */

export class Tile {
  constructor() {
    this.name = el("span", "tile-name");
    this.formula = el("span", "tile-formula");
    this.age = el("span", "tile-age");
    this.value = el("b", "tile-value");
    this.unit = el("span", "tile-unit");
    this.note = el("span", "tile-note");
    this.node = el("div", "tile", el("span", "tile-head", this.name, this.formula, this.age),
      el("span", "tile-figure", this.value, this.unit), this.note);
  }

  /**
   * @param {Latest} latest @param {Alarm[]} alarms of this quantity and source
   * @param {{now: number, ageText: (ms: number) => string, twice: boolean}} context `twice`:
   *   another source of the unit gives this quantity too
   */
  update(latest, alarms, { now, ageText, twice }) {
    const { quantity, value, unit, quality, t, clock, source } = latest;
    const old = now - t > OLD_MS;
    const worst = worstOf(alarms);
    setText(this.name, codeWord("q", quantity));
    setText(this.formula, formula(quantity));
    setText(this.value, valueText(value, unit));
    setText(this.unit, unitText(unit));
    const age = clock === "free" ? word("unit.clock.free") : ageText(now - t);
    setText(this.age, old ? `${word("quality.old")} ${age}` : age);
    const worth = quality === "good" ? "" : codeWord("quality", quality);
    const notes = [
      worst ? `${signOf(worst)} ${codeWord("code", worst.code)}` : "",
      worth === "" || worst?.code === quality ? "" : worth,
      twice ? source : "",
    ];
    setText(this.note, notes.filter(Boolean).join(" · "));
    this.node.title = `${source}: ${codeWord("quality", quality)}`;
    this.node.dataset.key = `${source}/${quantity}`;
    this.node.dataset.rank = worst ? String(Math.min(worst.rank, 4)) : "";
    setClass(this.node, "old", old);
    setClass(this.node, "doubtful", quality !== "good" && quality !== "cal_due");
  }
}

/** One reading in a card: what, how much, what it is worth, how old. */
import { quantityName, signOf, worstOf } from "./alarm.js";
import { el, setClass, setText } from "./dom.js";
import { codeWord, word } from "./lang.js";
import { OLD_MS } from "./fleet.js";
import { unitText, valueText } from "./reading.js";

/** @typedef {import("./types.js").Alarm} Alarm */
/** @typedef {import("./types.js").Latest} Latest */

export class Tile {
  constructor() {
    this.name = el("span", "tile-name");
    this.value = el("b", "tile-value");
    this.unit = el("span", "tile-unit");
    this.note = el("span", "tile-note");
    this.node = el("div", "tile", this.name, el("span", "tile-figure", this.value, this.unit), this.note);
  }

  /**
   * @param {Latest} latest @param {Alarm[]} alarms of this quantity and source
   * @param {{now: number, ageText: (ms: number) => string, suffix: string}} context
   */
  update(latest, alarms, { now, ageText, suffix }) {
    const { quantity, value, unit, quality, t, clock, source } = latest;
    const old = now - t > OLD_MS;
    const worst = worstOf(alarms);
    setText(this.name, quantityName(quantity) + suffix);
    setText(this.value, valueText(value, unit));
    setText(this.unit, unitText(unit));
    const age = clock === "free" ? "" : ageText(now - t);
    const worth = quality === "good" ? "" : codeWord("quality", quality);
    const notes = [
      worst ? `${signOf(worst)} ${codeWord("code", worst.code)}` : "",
      worth === "" || worst?.code === quality ? "" : worth,
      old ? `${word("quality.old")} ${age}` : age,
    ];
    setText(this.note, notes.filter(Boolean).join(" · "));
    this.node.title = `${source}: ${codeWord("quality", quality)}`;
    this.node.dataset.key = `${source}/${quantity}`;
    this.node.dataset.rank = worst ? String(Math.min(worst.rank, 4)) : "";
    setClass(this.node, "old", old);
    setClass(this.node, "doubtful", quality !== "good" && quality !== "cal_due");
  }
}

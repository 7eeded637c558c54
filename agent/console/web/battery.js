/** The battery in a card's head: a sign that fills, and words. */
import { el, setClass, setText, show } from "./dom.js";
import { OLD_MS } from "./fleet.js";
import { figureText } from "./figure.js";
import { codeWord, quantityWord, word } from "./lang.js";
import { quantityText } from "./reading.js";

/** @typedef {import("./types.js").Latest} Latest */

/** Per cent, from which on somebody should think of the next battery. */
const LOW = 20;

/**
 * The battery that matters: of several the emptiest, of those that say something.
 * @param {Latest[]} readings of one unit @returns {Latest|undefined}
 */
export function batteryOf(readings) {
  const charge = (/** @type {Latest} */ { value }) => (typeof value === "number" ? value : Infinity);
  return readings.filter(({ quantity }) => quantity === "battery")
    .sort((a, b) => charge(a) - charge(b))[0];
}

/** @param {Latest} battery @param {Latest[]} readings @returns {boolean} it is charged, or could be */
export function isPowered({ source }, readings) {
  const own = (/** @type {string} */ quantity) =>
    readings.find((one) => one.source === source && one.quantity === quantity)?.value ?? 0;
  return own("mains") === 1 || own("current") > 0;
}

export class BatteryGauge {
  constructor() {
    this.fill = el("span", "battery-fill");
    this.text = el("span");
    this.node = el("span", "card-battery", el("span", "battery-sign", this.fill), this.text);
  }

  /** @param {Latest[]} readings of one unit @param {number} now UTC ms */
  update(readings, now) {
    const battery = batteryOf(readings);
    show(this.node, battery !== undefined);
    if (!battery) return;
    const { value, unit, quality, t, source } = battery;
    const powered = isPowered(battery, readings);
    const level = Math.min(100, Math.max(0, value ?? 0));
    const low = typeof value === "number" && value <= LOW;
    setText(this.text, [
      `${word("unit.battery")} ${quantityText(value, unit)}`,
      powered ? word("battery.powered") : low ? word("battery.low") : "",
      quality === "good" || quality === "simulated" ? "" : codeWord("quality", quality),
      now - t > OLD_MS ? word("quality.old") : "",
    ].filter(Boolean).join(" "));
    this.fill.style.setProperty("width", `${level}%`);
    setClass(this.node, "low", low && !powered);
    const others = readings.filter((one) => one.source === source && one !== battery);
    this.node.title = others.map((one) => `${quantityWord(one.quantity)} ${figureText(one)}`).join(" · ");
  }
}

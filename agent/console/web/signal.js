/** The mobile network in a card's head: four bars, and words. */
import { el, setClass, setText, show } from "./dom.js";
import { OLD_MS } from "./fleet.js";
import { figureText } from "./figure.js";
import { codeWord, quantityWord, word } from "./lang.js";

/** @typedef {import("./types.js").Latest} Latest */
/** @typedef {{level: number|null, readings: Latest[]}} Signal `level` 0 to 4; null: no network */

/**
 * From where on there are one, two, three and four bars, the best measure first.  No standard says
 * so; these are the bounds in common use for LTE (RSRP), GSM and UMTS (RSSI).
 * @type {Record<string, number[]>}
 */
const BARS = {
  rsrp: [-120, -110, -100, -90], rssi: [-95, -85, -75, -65], signal_quality: [20, 40, 60, 80],
};
const MODEM = /^(rsrp|rssi|rsrq|sinr|signal_quality|network_generation)$/;

/** @param {Latest[]} readings of one unit @returns {Signal|undefined} its best modem's */
export function signalOf(readings) {
  /** @type {Map<string, Latest[]>} */
  const modems = new Map();
  for (const one of readings) {
    if (MODEM.test(one.quantity)) modems.set(one.source, [...modems.get(one.source) ?? [], one]);
  }
  return [...modems.values()].map((own) => ({ level: levelOf(own), readings: own }))
    .sort((a, b) => (b.level ?? -1) - (a.level ?? -1))[0];
}

/** @param {Latest[]} own of one modem @returns {number|null} */
function levelOf(own) {
  for (const [quantity, bounds] of Object.entries(BARS)) {
    const value = own.find((one) => one.quantity === quantity)?.value;
    if (typeof value === "number") return bounds.filter((bound) => value >= bound).length;
  }
  return null;
}

export class SignalGauge {
  constructor() {
    this.bars = [1, 2, 3, 4].map(() => el("i"));
    this.text = el("span");
    this.node = el("span", "card-signal", el("span", "signal-sign", ...this.bars), this.text);
  }

  /** @param {Latest[]} readings of one unit @param {number} now UTC ms */
  update(readings, now) {
    const signal = signalOf(readings);
    show(this.node, signal !== undefined);
    if (!signal) return;
    const { level, readings: own } = signal;
    const network = own.find(({ quantity, value }) => quantity === "network_generation" && value);
    const old = own.every(({ t }) => now - t > OLD_MS);
    this.bars.forEach((bar, at) => setClass(bar, "on", level !== null && at < level));
    setClass(this.node, "low", level === null || level <= 1);
    setText(this.text, [
      network ? figureText(network) : word("unit.signal"),
      level === null ? word("signal.none") : codeWord("signal", String(level)),
      old ? word("quality.old") : "",
    ].filter(Boolean).join(" "));
    this.node.title = own.map((one) => `${quantityWord(one.quantity)} ${figureText(one)}`).join(" · ");
  }
}

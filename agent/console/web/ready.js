/** The check before use: what is not right, clean air stated, test gas given, who wears the unit. */
import { arrange, button, el, setClass, setText, show } from "./dom.js";
import { byWord, codeWord, word } from "./lang.js";
import { formula, valueText } from "./reading.js";
import { WearerField } from "./wearer.js";

/** @typedef {import("./fleet.js").Unit} Unit */
/**
 * @typedef {object} Item
 * @property {string} item
 * @property {string} [source]
 * @property {string} [quantity]
 * @property {"ok"|"warn"|"fail"|"none"} state
 * @property {string} code
 *
 * @typedef {object} BumpTest
 * @property {string} source
 * @property {string} quantity
 * @property {string} unit
 * @property {number} concentration
 * @property {number|null} [value]
 * @property {boolean} passed
 * @property {number} t
 *
 * @typedef {object} Selftest
 * @property {string} state
 * @property {number|null} [t]
 * @property {string} [by]
 * @property {Item[]} [not_ok]
 * @property {BumpTest[]} [bumps]
 * @property {string[]} [sensors]
 * @property {string} [bumping]
 * @property {string} [signed]
 */

/** Nothing but this is green. */
const SIGNS = { ready: "✓", ready_with_warnings: "!", running: "…" };

export class Readiness {
  /** @param {import("./person.js").Order} order @param {(ms: number) => string} ageText */
  constructor(order, ageText) {
    this.order = order;
    this.ageText = ageText;
    /** @type {Unit|null} */
    this.unit = null;
    this.says = el("span", "ready-says");
    this.wearer = new WearerField(order);
    this.list = el("ul", "ready-list");
    this.clean = el("input");
    this.clean.type = "checkbox";
    this.cleanWord = el("span");
    this.run = button("ready-do", () => this.#run());
    this.check = el("div", "ready-row", el("label", "ready-clean", this.clean, this.cleanWord), this.run);
    this.sensor = el("select", "ready-sensor");
    this.gas = el("input", "ready-gas");
    this.gas.type = "number";
    this.gas.min = "0";
    this.gas.step = "any";
    this.gas.required = true;
    this.give = el("button", "ready-do");
    this.give.type = "submit";
    this.bump = el("form", "ready-row", this.sensor, this.gas, this.give);
    this.bump.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#bump();
    });
    this.node = el("details", "ready", el("summary", "", this.says),
      this.wearer.node, this.check, this.bump, this.list);
    this.now = 0;
    this.node.addEventListener("toggle", () => this.unit && this.update(this.unit, this.now));
  }

  /** @param {Unit} unit @param {number} now UTC ms */
  update(unit, now) {
    this.unit = unit;
    this.now = now;
    const { selftest, verbs = [] } = unit.state.status ?? {};
    show(this.node, Boolean(selftest));
    if (!selftest) return;
    this.node.dataset.state = selftest.state;
    const sign = SIGNS[/** @type {keyof typeof SIGNS} */ (selftest.state)] ?? "✕";
    const when = selftest.t ? word("ready.by", { by: byWord(selftest.by ?? ""), age: this.ageText(now - selftest.t) }) : "";
    setText(this.says, [
      `${sign} ${word("ready.line", { state: codeWord("selftest.state", selftest.state) })}`,
      when, selftest.bumping ? word("ready.bumping", { sensor: sensorText(selftest.bumping) }) : "",
    ].filter(Boolean).join(" · "));
    if (!this.node.open) return;
    this.wearer.update(unit);
    show(this.check, verbs.includes("selftest"));
    show(this.bump, verbs.includes("selftest.bump") && (selftest.sensors ?? []).length > 0);
    setText(this.cleanWord, word("ready.clean"));
    setText(this.run, word("ready.run"));
    this.run.disabled = selftest.state === "running";
    this.#sensors(selftest);
    this.#lines(selftest, now);
  }

  /** @param {Selftest} selftest */
  #sensors({ sensors = [], bumping = "" }) {
    while (this.sensor.options.length > sensors.length) this.sensor.lastElementChild?.remove();
    while (this.sensor.options.length < sensors.length) this.sensor.append(el("option"));
    sensors.forEach((sensor, at) => {
      this.sensor.options[at].value = sensor;
      setText(this.sensor.options[at], sensorText(sensor));
    });
    this.sensor.setAttribute("aria-label", word("ready.sensor"));
    this.gas.placeholder = word("ready.concentration");
    this.gas.setAttribute("aria-label", word("ready.concentration"));
    setText(this.give, word("ready.bump"));
    this.give.disabled = bumping !== "";
  }

  /** @param {Selftest} selftest @param {number} now */
  #lines({ not_ok = [], bumps = [], signed = "", t }, now) {
    const lines = not_ok.map((item) => ({
      bad: item.state === "fail", text: `${item.state === "fail" ? "✕" : "!"} ${itemText(item)}`,
    }));
    for (const test of bumps) {
      lines.push({ bad: !test.passed, text: `${test.passed ? "✓" : "✕"} ${word("ready.bumped", {
        sensor: sensorText(`${test.source}/${test.quantity}`), gas: String(test.concentration),
        value: typeof test.value === "number" ? valueText(test.value, test.unit) : "—", unit: test.unit,
        result: codeWord("selftest", test.passed ? "bump_good" : "bump_failed"), age: this.ageText(now - test.t),
      })}` });
    }
    if (t && signed) lines.push({ bad: false, text: codeWord("signed", signed) });
    while (this.list.children.length < lines.length) this.list.append(el("li"));
    arrange(this.list, [...this.list.children].slice(0, lines.length));
    lines.forEach(({ bad, text }, at) => {
      setText(this.list.children[at], text);
      setClass(this.list.children[at], "bad", bad);
    });
  }

  #run() {
    if (!this.unit) return;
    this.order(this.unit, "selftest", { clean_air: this.clean.checked }, word("ready"));
    // It was said of this moment, not of the next.
    this.clean.checked = false;
  }

  #bump() {
    const [source = "", quantity = ""] = this.sensor.value.split("/");
    if (!this.unit || !quantity) return;
    this.order(this.unit, "selftest.bump", { source, quantity, concentration: Number(this.gas.value) }, word("ready.bump"));
  }
}

/** @param {string} sensor `gas1/cl2` @returns {string} "Cl₂ gas1" */
function sensorText(sensor) {
  const [source, quantity] = sensor.split("/");
  return `${formula(quantity) || quantity} ${source}`;
}

/** @param {Item} item */
function itemText({ item, source = "", quantity = "", code }) {
  const where = quantity ? sensorText(`${source}/${quantity}`) : source;
  return [codeWord("selftest.item", item), where, codeWord("selftest", code)].filter(Boolean).join(" ");
}

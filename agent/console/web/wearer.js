/** Who wears a unit: typed, or scanned (a keyboard-wedge scanner types, and ends with Enter). */
import { el, setText, show } from "./dom.js";
import { word } from "./lang.js";

/** @typedef {import("./fleet.js").Unit} Unit */

const CODE = "outpost-wearer:";

/**
 * "outpost-wearer:李明;0417", or without its beginning.
 * @param {string} text @returns {{name: string, id: string}|null} null where it names nobody
 */
export function wearerOf(text) {
  const said = text.trim();
  const plain = said.toLowerCase().startsWith(CODE) ? said.slice(CODE.length) : said;
  // A full-width semicolon comes from a Chinese keyboard.
  const [name = "", id = ""] = plain.split(/[;；]/).map((part) => part.trim().slice(0, 64));
  return name || id ? { name, id } : null;
}

export class WearerField {
  /** @param {import("./person.js").Order} order */
  constructor(order) {
    /** @type {Unit|null} */
    this.unit = null;
    this.now = el("span", "wearer-now");
    this.input = el("input", "wearer-input");
    this.input.autocomplete = "off";
    this.input.maxLength = 160;
    this.send = el("button", "ready-do");
    this.send.type = "submit";
    this.node = el("form", "wearer", this.now, this.input, this.send);
    this.node.addEventListener("submit", (event) => {
      event.preventDefault();
      const wearer = wearerOf(this.input.value);
      if (!wearer || !this.unit) return;
      this.input.value = "";
      const who = [wearer.name, wearer.id].filter(Boolean).join(" ");
      order(this.unit, "wearer", wearer, word("wearer.new", { who }));
    });
  }

  /** @param {Unit} unit */
  update(unit) {
    this.unit = unit;
    const { exposure, verbs = [] } = unit.state.status ?? {};
    const may = verbs.includes("wearer");
    show(this.node, may || exposure !== undefined);
    for (const part of [this.input, this.send]) show(part, may);
    const who = [exposure?.wearer, exposure?.wearer_id].filter(Boolean).join(" ");
    setText(this.now, word("wearer.now", { who: who || word("dose.nobody") }));
    this.input.placeholder = word("wearer.field");
    this.input.setAttribute("aria-label", `${word("wearer")} ${word("wearer.field")}`);
    setText(this.send, word("wearer.assign"));
  }
}

/** What a card shows when it is asked: the kit itself, its instruments, what its wearer breathed. */
import { arrange, el, setClass, setText, show } from "./dom.js";
import { ExposureLines, worstText } from "./exposure.js";
import { describe, isDue, isUnsure } from "./instrument.js";
import { word } from "./lang.js";

/** @typedef {import("./fleet.js").FullState} FullState */

export class More {
  constructor() {
    this.says = el("span", "more-says");
    this.warns = el("span", "more-warns");
    this.aside = el("div", "tiles more-aside");
    this.sources = el("ul", "more-list");
    this.exposure = new ExposureLines();
    this.air = el("p", "more-air");
    this.outbox = el("p", "more-outbox");
    this.node = el("details", "more", el("summary", "", this.says, this.warns),
      this.aside, this.exposure.node, this.air, this.sources, this.outbox);
  }

  /** @param {FullState} state @param {Element[]} aside tiles @param {number} now UTC ms */
  update(state, aside, now) {
    const { sources = [], exposure, air, outbox } = state.status ?? {};
    const worst = worstText(exposure);
    show(this.node, aside.length + sources.length > 0 || worst !== "");
    const due = sources.filter((source) => isDue(source, now)).length;
    const unsure = sources.filter(isUnsure).length;
    setText(this.says, [
      worst, aside.length ? word("more.aside", { n: aside.length }) : "",
      sources.length ? word("more.sources", { n: sources.length }) : "",
    ].filter(Boolean).join(" · "));
    setText(this.warns, [
      due ? word("more.due", { n: due }) : "", unsure ? word("more.unsure", { n: unsure }) : "",
    ].filter(Boolean).join(" · "));
    if (!this.node.open) return;
    arrange(this.aside, aside);
    this.exposure.update(exposure);
    setText(this.air, air ? airText(air) : "");
    setText(this.outbox, outbox ? outboxText(outbox) : "");
    fill(this.sources, sources.map((source) => ({
      name: source.name, text: describe(source, state, now),
      bad: source.state === "down" || isDue(source, now),
    })));
  }
}

/** How ppm became mg/m3. @param {import("./types.js").Air} air */
function airText({ temperature_c: t, pressure_hpa: p, measured = [] }) {
  const known = ["mass.standard", "mass.part", "mass.measured"];
  const basis = word("mass.basis", { temperature: t.toFixed(0), pressure: p.toFixed(0) });
  const key = /** @type {import("./words.js").Word} */ (known[Math.min(2, measured.length)]);
  return `mg/m³: ${basis} (${word(key)})`;
}

/** What the unit holds for this center. @param {import("./types.js").OutboxStatus} outbox */
function outboxText({ depth, oldest_s: oldest = 0, bytes = 0, dropped = {} }) {
  const lost = Object.values(dropped).reduce((sum, count) => sum + count, 0);
  return [
    word("more.outbox", { n: depth, mb: (bytes / 1e6).toFixed(1) }),
    oldest >= 1 ? word("more.oldest", { s: Math.round(oldest) }) : "",
    lost ? word("more.dropped", { n: lost }) : "",
  ].filter(Boolean).join(" · ");
}

/**
 * @param {HTMLElement} list
 * @param {{name: string, text: string, bad: boolean}[]} lines each a name and what is said of it
 */
function fill(list, lines) {
  while (list.children.length > lines.length) list.lastElementChild?.remove();
  while (list.children.length < lines.length) list.append(el("li", "", el("b"), el("span")));
  lines.forEach(({ name, text, bad }, at) => {
    const line = list.children[at];
    setText(line.children[0], name);
    setText(line.children[1], text);
    setClass(line, "bad", bad);
  });
}

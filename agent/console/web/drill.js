/** The instructor's desk: the scenario's state, its sources, its injects, and their buttons. */
import { ApiError, drill } from "./api.js";
import { ask } from "./dialog.js";
import { arrange, button, el, setText, show } from "./dom.js";
import { codeWord, labelled, localName, word } from "./lang.js";
import { clockText, formula } from "./reading.js";

/** @typedef {import("./types.js").DrillState} DrillState */
/** @typedef {import("./types.js").Inject} Inject */

export class Desk {
  /** @param {HTMLElement} node @param {(text: string, bad: boolean) => void} say */
  constructor(node, say) {
    this.say = say;
    this.title = el("b", "desk-title");
    this.facts = el("p", "desk-facts");
    this.pause = labelled(button("big", () => this.#order("pause")), "drill.pause");
    this.resume = labelled(button("big", () => this.#order("resume")), "drill.resume");
    this.end = labelled(button("big danger", () => this.#end()), "drill.end");
    this.injects = el("ul", "inject-list");
    node.append(el("div", "desk-head", this.title, this.pause, this.resume, this.end),
      this.facts, this.injects);
    /** @type {Map<string, HTMLLIElement>} */
    this.lines = new Map();
  }

  /** @param {"pause"|"resume"|"inject"|"end"} action @param {string} [inject] */
  async #order(action, inject) {
    const what = inject ?? word(`drill.${action}`);
    try {
      await drill(action, inject);
      this.say(word("command.sent", { what }), false);
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      this.say(word("command.failed", { what, reason: error.message }), true);
    }
  }

  async #end() {
    const sure = await ask({
      title: word("drill.end.title"), text: word("drill.end.text"),
      yes: word("drill.end"), no: word("cancel"),
    });
    if (sure) await this.#order("end");
  }

  /** @param {DrillState|null} state */
  update(state) {
    for (const control of [this.pause, this.resume, this.end]) show(control, state !== null);
    if (!state) {
      setText(this.title, word("drill.waiting"));
      return;
    }
    setText(this.title, `${localName(state.title, state.scenario)} · ${codeWord("drill.state", state.state)} · ` +
      progressText(state) + (state.speed && state.speed !== 1 ? ` ${word("drill.speed", { n: state.speed })}` : ""));
    show(this.pause, state.state === "running");
    show(this.resume, state.state === "paused");
    show(this.end, state.state !== "ended");
    setText(this.facts, factsOf(state).join("   "));
    arrange(this.injects, (state.injects ?? []).map((inject) => this.#inject(inject, state.state)));
  }

  /** @param {Inject} inject @param {string} drillState */
  #inject({ id, kind, unit, label, at_s: at, done }, drillState) {
    let line = this.lines.get(id);
    if (!line) {
      line = el("li", "inject", el("span", "inject-at"), el("span", "inject-name"),
        button("", () => this.#order("inject", id)));
      this.lines.set(id, line);
    }
    const [when, name, press] = /** @type {[Element, Element, HTMLButtonElement]} */ ([...line.children]);
    const what = localName(label, [kind, unit].filter(Boolean).join(" "));
    setText(when, typeof at === "number" ? clockText(at) : "—");
    setText(name, what);
    setText(press, done ? `✓ ${word("drill.inject.done")}` : word("drill.inject"));
    press.disabled = done === true || drillState === "ended";
    press.setAttribute("aria-label", word("drill.inject.label", { what }));
    return line;
  }
}

/** @param {DrillState} state @returns {string} "3:07 / 10:00" */
export const progressText = ({ t_s: t, duration_s: all }) =>
  all ? `${clockText(t)} / ${clockText(all)}` : clockText(t);

/** @param {DrillState} state @returns {string[]} */
function factsOf({ wind, sources = [] }) {
  const facts = sources.map(({ id, gas, rate_kg_s: rate, active }) => word("drill.source", {
    id, gas: formula(gas) || gas, rate, state: word(active ? "drill.source.active" : "drill.source.idle"),
  }));
  if (wind) {
    facts.unshift(word("drill.wind", { speed: wind.speed_m_s.toFixed(1), deg: wind.from_deg.toFixed(0) }));
  }
  return facts;
}

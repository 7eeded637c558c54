/** What has happened, newest first: alarms, events, answers to commands, links. */
import { measureOf, titleOf } from "./alarm.js";
import { arrange, el, setText, show } from "./dom.js";
import { codeWord, word } from "./lang.js";

/** @typedef {import("./fleet.js").Entry} Entry */
/** @typedef {import("./fleet.js").Fleet} Fleet */
/** @typedef {import("./types.js").AckRecord} AckRecord */
/** @typedef {import("./types.js").AlarmRecord} AlarmRecord */
/** @typedef {import("./types.js").EventRecord} EventRecord */

const SHOWN = 60;

export class Log {
  /** @param {HTMLElement} node @param {(id: string) => string} nameOf */
  constructor(node, nameOf) {
    this.nameOf = nameOf;
    this.list = el("ol", "log-list");
    this.empty = el("p", "dock-empty");
    node.append(this.list, this.empty);
    /** @type {WeakMap<Entry, HTMLLIElement>} */
    this.lines = new WeakMap();
  }

  /** @param {Fleet} fleet */
  update({ log }) {
    arrange(this.list, log.slice(0, SHOWN).map((entry) => this.#line(entry)));
    show(this.empty, log.length === 0);
    setText(this.empty, word("log.none"));
  }

  /** @param {Entry} entry */
  #line(entry) {
    let line = this.lines.get(entry);
    if (!line) {
      line = el("li", `log-line of-${entry.kind}`, el("time"), el("b"), el("span"));
      this.lines.set(entry, line);
    }
    const [time, name, what] = line.children;
    setText(time, new Date(entry.t).toLocaleTimeString("zh-CN", { hour12: false }));
    setText(name, this.nameOf(entry.unit));
    setText(what, sentence(entry));
    return line;
  }
}

/** @param {Entry} entry */
function sentence({ kind, body }) {
  switch (kind) {
    case "alarm": {
      const alarm = /** @type {AlarmRecord} */ (body);
      return [codeWord("change", alarm.change), titleOf(alarm), measureOf(alarm), alarm.by ?? "",
        alarm.late ? `(${word("log.late")})` : ""].filter(Boolean).join(" ");
    }
    case "ack": {
      const { verb, outcome, detail, by } = /** @type {AckRecord} */ (body);
      return [verb, codeWord("outcome", outcome), detail, by && `(${by})`].filter(Boolean).join(" ");
    }
    case "link": {
      const { path, state } = /** @type {{path: string, state: string}} */ (body);
      return word("event.link", { path, state: codeWord("link", state) });
    }
    default: {
      const { event, source, detail } = /** @type {EventRecord} */ (body);
      return [codeWord("event", event), source, detail].filter(Boolean).join(" · ");
    }
  }
}

/** What has happened, newest first: alarms, events, who did what, links. */
import { measureOf, titleOf } from "./alarm.js";
import { arrange, el, setText, show } from "./dom.js";
import { byWord, codeWord, isWord, quantityWord, word } from "./lang.js";

/** @typedef {import("./fleet.js").Entry} Entry */
/** @typedef {import("./fleet.js").Fleet} Fleet */
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
export function sentence({ kind, body }) {
  switch (kind) {
    case "alarm": return alarmText(/** @type {AlarmRecord} */ (body));
    case "link": {
      const { path, state } = /** @type {{path: string, state: string}} */ (body);
      return word("event.link", { path, state: codeWord("link", state) });
    }
    default: return eventText(/** @type {EventRecord} */ (body));
  }
}

/** @param {AlarmRecord} alarm */
function alarmText(alarm) {
  const { change, by, source, quantity } = alarm;
  return [
    codeWord("change", change), titleOf(alarm), measureOf(alarm),
    isWord(`part.${source}`) || quantity === "any" ? "" : `[${source}]`, by ? byWord(by) : "",
    lateText(alarm),
  ].filter(Boolean).join(" ");
}

/** @param {EventRecord} record */
function eventText(record) {
  const { event, source = "", detail = "" } = record;
  // Who did what is the whole sentence there; elsewhere it is a state of the source.
  const whole = event === "command" || event === "watch";
  const told = event === "selftest" || event === "bump_test";
  const shown = event === "exposure_closed" ? codeWord("closed", detail) : told ? "" : detail;
  return [
    codeWord("event", event, valuesOf(record)), whole || source === "exposure" ? "" : byWord(source),
    shown, lateText(record),
  ].filter(Boolean).join(" · ");
}

/**
 * What is filled into the words of an event.
 * @param {EventRecord} record @returns {import("./lang.js").Values}
 */
function valuesOf({ event, data = {} }) {
  const text = (/** @type {string} */ key) => (typeof data[key] === "string" ? String(data[key]) : "");
  const by = byWord(text("by")) || word("log.somebody");
  const [code, outcome] = [text("code"), text("outcome")];
  switch (event) {
    case "command":
      return { by, verb: codeWord("verb", text("verb")), outcome: outcomeText(outcome, code) };
    case "watch":
      return {
        by, camera: text("camera") && ` ${text("camera")}`,
        outcome: outcomeText(code === "ok" ? "done" : "refused", code),
      };
    case "watched": return { by, camera: text("camera") && ` ${text("camera")}` };
    case "task": return { by, state: codeWord("task", text("state")) };
    case "selftest": return { by, result: codeWord("selftest.state", text("result")) };
    case "bump_test":
      return { by, quantity: quantityWord(text("quantity")), result: codeWord("selftest", data.passed ? "bump_good" : "bump_failed") };
    case "clean_air_stated": case "message_delivered": case "message_confirmed": case "task_given": case "profile": return { by };
    case "rate": case "rate_ended": return { by, name: quantityWord(text("quantity")) };
    case "talk": return { by, state: codeWord("talk", text("state")) };
    case "neighbour_raised": case "neighbour_over": return { code: codeWord("code", text("code")) };
    case "record": return { state: codeWord("recording", text("state")) };
    case "whip": return { name: text("name"), state: codeWord("way", text("state")) };
    case "whep": return { state: codeWord("way", text("state")) };
    case "camera": return { state: codeWord("camera", text("state")) };
    case "exposure_closed": return { wearer: text("wearer") || text("wearer_id") || word("log.nobody") };
    case "clock_corrected": return { n: (Number(data.offset_ms ?? 0) / 1000).toFixed(1) };
    default: return {};
  }
}

/** @param {string} outcome @param {string} code @returns {string} "refused: not authorised" */
function outcomeText(outcome, code) {
  const why = outcome === "done" || !code ? "" : codeWord("ack", code);
  return [codeWord("outcome", outcome), why].filter(Boolean).join(word("log.colon"));
}

/** @param {{late?: boolean}} record */
const lateText = ({ late }) => (late ? `(${word("log.late")})` : "");

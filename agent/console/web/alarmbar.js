/** The alarms that stand, the most urgent first, each with its sign, its words and its button. */
import { cardOf } from "./actioncard.js";
import { ANSWER_WORDS, answerTo, isOpen, isPerson, measureOf, signOf, titleOf, titleParts } from "./alarm.js";
import { Group } from "./alarmgroup.js";
import { rowsOf } from "./alarmrows.js";
import { arrange, button, el, setClass, setText, show } from "./dom.js";
import { byWord, codeWord, language, word } from "./lang.js";
import { clockText, placeText } from "./reading.js";

/** @typedef {import("./types.js").Alarm} Alarm */
/** @typedef {import("./fleet.js").Unit} Unit */
/** @typedef {{unit: Unit, alarm: Alarm}} Standing */

/**
 * @typedef {object} Context
 * @property {(unit: Unit) => string} nameOf
 * @property {(ms: number) => string} ageText
 * @property {(standing: Standing) => void} acknowledge
 * @property {(standings: Standing[], what: string) => void} acknowledgeAll
 * @property {(key: string) => boolean} waits
 * @property {(id: string) => void} select
 */

/** @param {Standing} standing @returns {string} */
export const keyOf = ({ unit, alarm }) => `${unit.id}:${alarm.alarm}`;

/**
 * Where somebody was last, and when: what a searcher needs.
 * @param {Unit} unit @param {Context["ageText"]} ageText @param {number} now
 */
function whereIs({ state: { fix } }, ageText, now) {
  if (typeof fix?.lat !== "number" || typeof fix.lon !== "number") return word("unit.noposition");
  return [placeText(fix.lat, fix.lon), fix.t ? ageText(now - fix.t) : ""].filter(Boolean).join(" · ");
}

/** One alarm's tile. */
class Tile {
  /** @param {Context} context */
  constructor(context) {
    this.context = context;
    /** @type {Standing|null} */
    this.standing = null;
    this.sign = el("span", "alarm-sign");
    this.who = el("span", "alarm-who");
    this.state = el("span", "alarm-state");
    this.what = el("span", "alarm-what");
    this.code = el("span", "alarm-code");
    this.title = el("b", "alarm-title", this.what, " ", this.code);
    this.detail = el("span", "alarm-detail");
    this.body = button("alarm-body", () => this.standing && context.select(this.standing.unit.id),
      this.who, this.state, this.title, this.detail);
    this.ack = button("alarm-ack", () => this.standing && context.acknowledge(this.standing));
    this.card = el("a", "alarm-card");
    this.card.target = "_blank";
    // Below the sign it takes no room from what is measured.
    const side = el("div", "alarm-side", this.sign, this.card);
    this.node = el("li", "alarm", side, this.body, this.ack);
  }

  /** @param {Standing} standing @param {number} now */
  update(standing, now) {
    this.standing = standing;
    const { unit, alarm } = standing;
    const { nameOf, ageText, waits } = this.context;
    const open = isOpen(alarm);
    this.node.dataset.rank = String(Math.min(alarm.rank, 4));
    this.node.dataset.alarm = alarm.alarm;
    setClass(this.node, "open", open);
    setClass(this.node, "person", isPerson(alarm));
    setText(this.sign, signOf(alarm));
    setText(this.who, nameOf(unit));
    const parts = titleParts(alarm);
    setText(this.what, parts.what);
    setText(this.code, parts.code);
    const returned = alarm.state === "returned_unacknowledged";
    setClass(this.node, "returned", returned);
    const detail = isPerson(alarm) ? whereIs(unit, ageText, now)
      : measureOf(alarm, unit.state.latest[`${alarm.source}/${alarm.quantity}`]);
    setText(this.detail, [returned ? codeWord("alarm.state", alarm.state) : "", detail]
      .filter(Boolean).join(" · "));
    // Without a word it is not acknowledged: its button stands beside it.
    const state = open ? "" : alarm.by ? seenBy(alarm.by) : codeWord("alarm.state", alarm.state);
    const since = alarm.since ? clockText((now - alarm.since) / 1000) : "";
    setText(this.state, [state, since].filter(Boolean).join(" · "));
    this.detail.title = alarm.limit_basis ?? "";
    const answer = answerTo(alarm, unit.state.status?.verbs);
    show(this.ack, answer !== "");
    const card = cardOf(alarm, language());
    show(this.card, card !== "");
    if (card && this.card.getAttribute("href") !== card) this.card.href = card;
    setText(this.card, word("alarm.card"));
    const waiting = waits(keyOf(standing));
    this.ack.disabled = waiting;
    const action = word(ANSWER_WORDS[answer || "alarm.ack"]);
    setText(this.ack, waiting ? word("alarm.sending") : action);
    const what = `${nameOf(unit)} ${titleOf(alarm)}`;
    if (this.body.title !== what) this.body.title = what;
    this.ack.setAttribute("aria-label",
      answer === "air.clean" ? `${action} ${what}` : word("alarm.ack.label", { what }));
  }
}

export class AlarmBar {
  /** @param {HTMLElement} node @param {HTMLElement} announcer @param {Context} context */
  constructor(node, announcer, context) {
    this.context = context;
    this.announcer = announcer;
    this.count = el("div", "alarm-count");
    this.list = el("ul", "alarm-list");
    node.append(this.count, this.list);
    this.node = node;
    /** @type {Map<string, Tile>} */
    this.tiles = new Map();
    /** @type {Map<string, Group>} */
    this.groups = new Map();
    /** @type {[Standing[], boolean, number]} */
    this.last = [[], false, 0];
  }

  /** @param {Standing[]} standing in order @param {boolean} known @param {number} now */
  update(standing, known, now) {
    this.last = [standing, known, now];
    const open = standing.filter(({ alarm }) => isOpen(alarm)).length;
    setClass(this.node, "calm", standing.length === 0);
    setClass(this.node, "unknown", !known);
    const quiet = known ? `✓ ${word("alarms.none")}` : `? ${word("alarms.unknown")}`;
    setText(this.count, standing.length
      ? word("alarms.count", { n: standing.length, open }) : quiet);
    const rows = rowsOf(standing);
    setClass(this.node, "flood", rows.some(({ key }) => key !== ""));
    arrange(this.list, rows.flatMap((row) => this.#row(row, now)));
    const kept = new Set(standing.map(keyOf)), groups = new Set(rows.map(({ key }) => key));
    for (const key of this.tiles.keys()) if (!kept.has(key)) this.tiles.delete(key);
    for (const key of this.groups.keys()) if (!groups.has(key)) this.groups.delete(key);
  }

  /** @param {{key: string, members: Standing[]}} row @param {number} now */
  #row({ key, members }, now) {
    if (!key) return members.map((one) => this.#tile(one, now).node);
    const there = this.groups.get(key);
    const group = there ?? new Group(this.context, () => this.update(...this.last));
    group.update(key, members);
    if (!there) {
      this.groups.set(key, group);
      setText(this.announcer, `${group.name} ${group.many.textContent}`);
    }
    return [group.node, ...group.open ? members.map((one) => this.#tile(one, now).node) : []];
  }

  /** @param {Standing} standing @param {number} now */
  #tile(standing, now) {
    const key = keyOf(standing);
    const there = this.tiles.get(key);
    const tile = there ?? new Tile(this.context);
    tile.update(standing, now);
    if (!there) {
      this.tiles.set(key, tile);
      setText(this.announcer, [tile.who, tile.title, tile.detail].map(({ textContent }) => textContent).join(" "));
    }
    return tile;
  }
}

/**
 * Only the unit's own button says that who stands there has heard it; others have seen it from afar.
 * @param {string} by
 */
const seenBy = (by) => word(by === "panel" ? "alarm.by" : "alarm.seen", { by: byWord(by) });

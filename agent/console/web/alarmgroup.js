/** One row for all alarms that say the same; it opens to show each. */
import { isOpen, isPerson, measureOf, signOf, titleParts } from "./alarm.js";
import { button, el, setClass, setText, show } from "./dom.js";
import { word } from "./lang.js";
import { formula } from "./reading.js";

/** @typedef {import("./alarmbar.js").Standing} Standing */
/** @typedef {import("./alarmbar.js").Context} Context */

export class Group {
  /** @param {Context} context @param {() => void} changed */
  constructor(context, changed) {
    this.context = context;
    /** @type {Standing[]} */
    this.members = [];
    this.open = false;
    this.said = "";
    this.sign = el("span", "alarm-sign");
    this.many = el("span", "alarm-who");
    this.state = el("span", "alarm-state");
    this.what = el("span", "alarm-what");
    this.code = el("span", "alarm-code");
    this.title = el("b", "alarm-title", this.what, " ", this.code);
    this.detail = el("span", "alarm-detail");
    this.body = button("alarm-body", () => {
      this.open = !this.open;
      changed();
    }, this.many, this.state, this.title, this.detail);
    this.ack = button("alarm-ack", () => this.context.acknowledgeAll(
      this.members.filter(({ alarm }) => isOpen(alarm)), this.name));
    this.node = el("li", "alarm alarm-group", el("div", "alarm-side", this.sign), this.body, this.ack);
  }

  /** @returns {string} "氯气 Cl₂ 高报警" */
  get name() {
    return this.said;
  }

  /** @param {string} key @param {Standing[]} members in order */
  update(key, members) {
    this.members = members;
    const { alarm } = members[0];
    const unseen = members.filter((one) => isOpen(one.alarm));
    this.node.dataset.rank = String(Math.min(alarm.rank, 4));
    this.node.dataset.group = key;
    setClass(this.node, "open", unseen.length > 0);
    setClass(this.node, "person", isPerson(alarm));
    setText(this.sign, signOf(alarm));
    const units = [...new Set(members.map(({ unit }) => unit))].sort((a, b) => a.id.localeCompare(b.id));
    setText(this.many, `${this.open ? "▾" : "▸"} ${word("alarms.units", { n: units.length })}`);
    // As long as nobody has seen any, its button says so.
    setText(this.state, unseen.length === members.length ? "" : word("alarms.unseen", { n: unseen.length }));
    const parts = titleParts(alarm);
    // Faults of many kinds of sensors share a row.
    const one = new Set(members.map(({ alarm: { quantity } }) => quantity)).size === 1;
    // The formula is never cut off; the name stands in the tooltip and in what is read out.
    setText(this.what, one ? formula(alarm.quantity) || parts.what : "");
    this.said = [one ? parts.what : "", parts.code].filter(Boolean).join(" ");
    setText(this.code, parts.code);
    const names = units.map(this.context.nameOf);
    setText(this.detail, [one ? worstText(members) : "", names.join(word("alarms.comma"))].filter(Boolean).join(" · "));
    this.body.title = `${this.said}: ${names.join(word("alarms.comma"))}`;
    this.body.setAttribute("aria-expanded", String(this.open));
    show(this.ack, unseen.length > 0 && !isPerson(alarm));
    setText(this.ack, word("alarm.ack.all", { n: unseen.length }));
    this.ack.setAttribute("aria-label", word("alarm.ack.label", { what: `${this.name} × ${unseen.length}` }));
  }
}

/** The value that is furthest beyond its limit. @param {Standing[]} members */
function worstText(members) {
  const far = (/** @type {Standing} */ { unit, alarm }) => {
    const shown = unit.state.latest[`${alarm.source}/${alarm.quantity}`] ?? alarm.reading;
    return Math.abs((shown?.value ?? 0) - (alarm.limit ?? 0));
  };
  const [worst] = [...members].sort((a, b) => far(b) - far(a));
  return measureOf(worst.alarm, worst.unit.state.latest[`${worst.alarm.source}/${worst.alarm.quantity}`]);
}

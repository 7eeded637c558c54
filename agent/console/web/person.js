/** Whoever carries a unit: how a call for help fares, what is asked of them, what protects them. */
import { ask } from "./dialog.js";
import { isDiscreet, isHere } from "./discreet.js";
import { arrange, button, el, setClass, setText, show } from "./dom.js";
import { byWord, codeWord, isWord, localName, word } from "./lang.js";

/** @typedef {import("./types.js").Person} Person */
/** @typedef {import("./types.js").Alarm} Alarm */
/** @typedef {import("./fleet.js").Unit} Unit */
/** @typedef {(unit: Unit, verb: string, args: Record<string, unknown>, what: string) => void} Order */

const REASONS = ["mistake", "safe", "test"];
/** @type {Record<string, string>} */
const DOTS = { queued: " ·", reached: " ··", unconfirmed: " ··", confirmed: " ···" };
/** From this rank on a driving vehicle's page holds its sound back. */
const QUIET_RANK = 3;
/** How long the end of a call stays in sight. */
const ENDED_MS = 10 * 60_000;

/**
 * Only the page at the unit itself is quiet while the unit drives.
 * @param {Unit} unit @param {Alarm} alarm @returns {boolean} shown, and not heard
 */
export const isHeldBack = ({ state: { status } }, alarm) =>
  alarm.rank >= QUIET_RANK && isHere(status) && (status?.person?.driving ?? false);

export class PersonStrip {
  /** @param {Order} order */
  constructor(order) {
    this.order = order;
    /** @type {Unit|null} */
    this.unit = null;
    this.chips = el("ul", "person-chips");
    this.checkIn = button("person-do", () => this.#give("check_in", {}, word("person.check_in")));
    this.sos = button("person-do danger", () => void this.#raise());
    this.reason = el("select", "person-reason");
    for (const reason of REASONS) this.reason.append(el("option", "", reason));
    this.cancel = button("person-do", () => this.#give("sos.cancel",
      { reason: REASONS[this.reason.selectedIndex] }, word("person.cancel")));
    this.node = el("section", "person", this.chips, this.checkIn, this.sos, this.reason, this.cancel);
  }

  /** @param {Unit} unit @param {number} now UTC ms */
  update(unit, now) {
    this.unit = unit;
    const person = unit.state.status?.person, verbs = unit.state.status?.verbs ?? [];
    show(this.node, person !== undefined);
    if (!person) return;
    this.node.setAttribute("aria-label", word("person"));
    const discreet = isDiscreet(unit.state.status);
    const lines = linesOf(person, now, discreet);
    while (this.chips.children.length < lines.length) this.chips.append(el("li"));
    arrange(this.chips, [...this.chips.children].slice(0, lines.length));
    lines.forEach(({ kind, text, bad }, at) => {
      const chip = /** @type {HTMLElement} */ (this.chips.children[at]);
      chip.dataset.kind = kind;
      setClass(chip, "bad", bad);
      setText(chip, text);
    });
    const standing = isStanding(person) && !discreet;
    show(this.checkIn, verbs.includes("check_in") && person.check_in !== undefined);
    show(this.sos, verbs.includes("sos.raise") && !standing);
    for (const node of [this.reason, this.cancel]) show(node, verbs.includes("sos.cancel") && standing);
    setText(this.checkIn, word("person.check_in"));
    setText(this.sos, word("person.sos"));
    setText(this.cancel, word("person.cancel"));
    this.reason.setAttribute("aria-label", word("person.reason"));
    REASONS.forEach((reason, at) => setText(this.reason.options[at], codeWord("reason", reason)));
  }

  async #raise() {
    const sure = await ask({
      title: word("person.sos.title"), text: word("person.sos.text"),
      yes: word("person.sos.yes"), no: word("cancel"),
    });
    if (sure) this.#give("sos.raise", {}, word("person.sos"));
  }

  /** @param {string} verb @param {Record<string, unknown>} args @param {string} what */
  #give(verb, args, what) {
    if (this.unit) this.order(this.unit, verb, args, what);
  }
}

/** @param {Person} person */
const isStanding = ({ sos }) => sos !== undefined && sos !== null
  && !["confirmed", "cancelled"].includes(sos.stage);

/**
 * What is said of a person, the most urgent first.
 * @param {Person} person @param {number} now
 * @param {boolean} [discreet] of a silent call only dots: one queued, two reached, three confirmed
 * @returns {{kind: string, text: string, bad: boolean}[]}
 */
export function linesOf(person, now, discreet = false) {
  const lines = [];
  const { sos, zones = [] } = person;
  const dots = discreet && sos ? DOTS[sos.stage] ?? "" : "";
  if (!discreet && sos && (isStanding(person) || now - (sos.since ?? 0) < ENDED_MS)) {
    lines.push({ kind: "sos", bad: isStanding(person), text: codeWordWith("person.sos", sos.stage, {
      by: byWord(sos.by ?? ""), reason: sos.reason ? codeWord("reason", sos.reason) : "",
    }) });
  }
  if (person.no_motion_at) {
    const n = Math.max(0, Math.ceil((person.no_motion_at - now) / 1000));
    lines.push({ kind: "motion", bad: true, text: word("person.motion.prealarm", { n }) });
  }
  if (person.check_in) {
    const time = minutes((person.check_in_due ?? now) - now);
    lines.push({ kind: "check_in", bad: person.check_in !== "waiting",
      text: codeWordWith("person.check_in", person.check_in, { time }) });
  }
  for (const zone of zones.filter(({ inside }) => inside)) {
    lines.push({ kind: `zone ${zone.kind}`, bad: zone.kind === "hot",
      text: codeWordWith("person.zone", zone.kind, { name: localName(zone.name, zone.id) }) });
  }
  if (person.driving) lines.push({ kind: "driving", bad: false, text: word("person.driving") });
  const why = (person.unprotected ?? []).map(whyText).join("; ");
  lines.push({ kind: "heart", bad: !person.protected,
    text: (person.protected ? word("person.protected") : word("person.unprotected", { why })) + dots });
  return lines;
}

/** @param {string} reason "cl2: warmup", "no_sensor" */
function whyText(reason) {
  const [source, code] = reason.includes(": ") ? reason.split(": ") : ["", reason];
  const group = ["unprotected", "quality", "source", "code"].find((name) => isWord(`${name}.${code}`));
  const text = group ? codeWord(group, code) : code;
  return source ? `${source} ${text}` : text;
}

/** @param {string} group @param {string} code @param {Record<string, string|number>} values */
function codeWordWith(group, code, values) {
  return word(/** @type {import("./words.js").Word} */ (`${group}.${code}`), values);
}

/** @param {number} ms @returns {string} "12:34" */
function minutes(ms) {
  const seconds = Math.max(0, Math.round(ms / 1000));
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
}

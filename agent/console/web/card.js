/** A unit's card: who, how reached, how old, its video, its readings, its count of records. */
import { AdviceLine } from "./advice.js";
import { isOpen, signOf, worstOf } from "./alarm.js";
import { BatteryGauge } from "./battery.js";
import { colourOf } from "./colour.js";
import { arrange, button, el, setClass, setText, show } from "./dom.js";
import { codeWord, word } from "./lang.js";
import { More } from "./more.js";
import { PersonStrip } from "./person.js";
import { NearbyLines } from "./nearby.js";
import { OrdersStrip } from "./orders.js";
import { Readiness } from "./ready.js";
import { Recordings } from "./recordings.js";
import { byImportance, groupOf, isAside, placeText } from "./reading.js";
import { SignalGauge } from "./signal.js";
import { Tile } from "./tile.js";
import { VideoPane } from "./video.js";

/** @typedef {import("./fleet.js").Unit} Unit */
/** @typedef {import("./types.js").Latest} Latest */

/**
 * @typedef {object} Context
 * @property {(unit: Unit) => string} nameOf
 * @property {(ms: number) => string} ageText
 * @property {(id: string) => void} select
 * @property {import("./person.js").Order} order a command
 */

export class Card {
  /** @param {string} id @param {Context} context */
  constructor(id, context) {
    this.id = id;
    this.context = context;
    /** @type {Unit|undefined} */
    this.unit = undefined;
    this.video = new VideoPane(id, (verb, args, what) => this.unit && context.order(this.unit, verb, args, what));
    /** @type {Map<string, Tile>} */
    this.tiles = new Map();
    this.name = el("b", "card-name");
    this.sub = el("span", "card-id");
    this.sign = el("span", "card-sign");
    this.link = el("span", "chip");
    this.age = el("span", "card-age");
    this.battery = new BatteryGauge();
    this.signal = new SignalGauge();
    this.more = new More();
    this.person = new PersonStrip(context.order);
    this.near = new NearbyLines();
    this.advice = new AdviceLine();
    this.ready = new Readiness(context.order, context.ageText);
    this.orders = new OrdersStrip(context.order);
    this.recordings = new Recordings(context.order);
    this.head = button("card-head", () => context.select(id), el("span", "card-swatch"),
      this.name, this.sub, this.sign, el("span", "spring"), this.signal.node,
      this.battery.node, this.age, this.link);
    this.grid = el("div", "tiles");
    this.around = el("div", "tiles tiles-around");
    this.empty = el("p", "card-empty");
    this.place = el("span", "card-place");
    this.counts = el("span", "card-counts");
    this.node = el("article", "card", this.head,
      el("div", "card-lines", this.person.node, this.orders.node),
      el("div", "card-body", el("div", "card-video", this.video.node, this.recordings.node),
        el("div", "card-readings", this.grid, this.around, this.empty)),
      this.near.node,
      el("div", "card-lines", this.advice.node, this.ready.node, this.more.node,
        el("footer", "card-foot", this.place, this.counts)));
    this.node.dataset.unit = id;
  }

  /** @param {Unit} unit @param {boolean} selected @param {number} now */
  update(unit, selected, now) {
    const old = unit.isOld(now);
    this.node.style.setProperty("--unit", colourOf(unit.id));
    setClass(this.node, "selected", selected);
    setClass(this.node, "old", old);
    this.#head(unit, old, now);
    this.person.update(unit, now);
    this.orders.update(unit);
    this.recordings.update(unit);
    this.#readings(unit, now);
    this.#foot(unit);
    this.near.update(unit.state.status?.neighbours);
    this.advice.update(unit, this.context.ageText, now);
    this.ready.update(unit, now);
    const camera = unit.state.status?.cameras?.find(({ state }) => state !== "disabled")?.name ?? "";
    this.unit = unit;
    this.video.camera = camera;
    this.video.talkable = unit.state.status?.verbs?.includes("talk") ?? false;
    this.video.events = unit.state.events;
    this.video.reach(!unit.cutOff);
    this.video.update(unit.stills[camera], now);
    const blind = Boolean(unit.state.status) && !camera && !this.video.talkable;
    setClass(this.node, "blind", blind);
  }

  /** @param {Unit} unit @param {boolean} old @param {number} now */
  #head(unit, old, now) {
    const { nameOf, ageText } = this.context;
    const { status, alarms } = unit.state;
    const worst = worstOf(alarms);
    setText(this.name, nameOf(unit));
    setText(this.sub, [status ? codeWord("profile", status.profile) : "", unit.id].filter(Boolean).join(" · "));
    setText(this.sign, worst ? signOf(worst) : "");
    setClass(this.sign, "acked", worst !== undefined && !isOpen(worst));
    this.sign.dataset.rank = worst ? String(Math.min(worst.rank, 4)) : "";
    this.head.setAttribute("aria-label", word("unit.select", { name: nameOf(unit) }));
    const stopped = status?.state === "stopped";
    setText(this.link, stopped ? word("unit.stopped") : `${word("link")} ${codeWord("link", unit.link)}`);
    this.link.dataset.state = stopped ? "closed" : unit.link;
    const age = unit.heard ? ageText(now - unit.heard) : "";
    setText(this.age, old && age ? `${word("unit.old")} ${age}` : age);
    const readings = Object.values(unit.state.latest);
    this.battery.update(readings, now);
    this.signal.update(readings, now);
  }

  /** @param {Unit} unit @param {number} now */
  #readings(unit, now) {
    const { latest, alarms, status } = unit.state;
    const shown = Object.entries(latest).filter(([, { quantity }]) => quantity !== "position")
      .sort(([, a], [, b]) => byImportance(a.quantity, b.quantity) || a.source.localeCompare(b.source));
    const twice = doubled(shown.map(([, one]) => one));
    /** @type {Record<"gas"|"around"|"aside", Element[]>} */
    const groups = { gas: [], around: [], aside: [] };
    for (const [key, one] of shown) {
      let tile = this.tiles.get(key);
      if (!tile) this.tiles.set(key, (tile = new Tile()));
      const own = alarms.filter((alarm) => alarm.source === one.source && alarm.quantity === one.quantity);
      tile.update(one, own,
        { now, ageText: this.context.ageText, twice: twice.has(one.quantity), status });
      // What is wrong is not left to who asks.
      const group = groupOf(one.quantity) === "gas" ? "gas" : "around";
      groups[isAside(one.quantity) && !own.length ? "aside" : group].push(tile.node);
    }
    arrange(this.grid, groups.gas);
    arrange(this.around, groups.around);
    this.more.update(unit.state, groups.aside, now);
    show(this.empty, groups.gas.length + groups.around.length === 0);
    setText(this.empty, word("unit.noreadings"));
  }

  /** @param {Unit} unit */
  #foot({ state: { fix, counts, status } }) {
    const placed = typeof fix?.lat === "number" && typeof fix.lon === "number";
    const place = placed ? [
      placeText(/** @type {number} */ (fix.lat), /** @type {number} */ (fix.lon)),
      typeof fix.eph === "number" ? `±${fix.eph.toFixed(0)} m` : "",
      fix.status ? codeWord("status", fix.status) : "",
    ] : [word("unit.noposition")];
    if (status?.clock === "free") place.push(word("unit.clock.free"));
    setText(this.place, place.filter(Boolean).join(" · "));
    const numbers = [
      word("unit.received", { n: counts.received }), word("unit.missing", { n: counts.missing }),
      word("unit.repeated", { n: counts.repeated }),
    ];
    if (status?.pending) numbers.push(word("unit.pending", { n: status.pending }));
    setText(this.counts, numbers.join(" · "));
    setClass(this.counts, "gaps", counts.missing > 0);
  }
}

/** The quantities that more than one source of a unit gives. @param {Latest[]} readings */
function doubled(readings) {
  const seen = new Set(), twice = new Set();
  for (const { quantity } of readings) {
    if (seen.has(quantity)) twice.add(quantity);
    seen.add(quantity);
  }
  return twice;
}

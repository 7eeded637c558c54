/**
 * What is known of the units: the snapshot, and each message after it.  Pure: no document, no clock.
 * Everything that grows has a ceiling.
 */

/** @typedef {import("./types.js").Message} Message */
/** @typedef {import("./types.js").Alarm} Alarm */
/** @typedef {import("./types.js").AlarmRecord} AlarmRecord */
/** @typedef {import("./types.js").EventRecord} EventRecord */
/** @typedef {import("./types.js").Point} Point */
/** @typedef {import("./types.js").ReadingRecord} ReadingRecord */
/** @typedef {import("./types.js").Still} Still */
/** @typedef {import("./types.js").UnitState} UnitState */

/**
 * @typedef {object} Entry a line of the log
 * @property {number} t UTC ms
 * @property {string} unit
 * @property {"alarm"|"event"|"link"} kind
 * @property {AlarmRecord|EventRecord|{path: string, state: string}} body
 */

/** @typedef {Required<Omit<UnitState, "status"|"fix">> & Pick<UnitState, "status"|"fix">} FullState */

export const TRACK_POINTS = 2000;
export const SERIES_POINTS = 1500;
export const LOG_ENTRIES = 200;
/** Of a unit, as the console keeps them. */
const EVENTS = 50;
const SET_BACK_MS = 600_000;
/** A value older than this is shown as old. */
export const OLD_MS = 10_000;

/** One unit. */
export class Unit {
  /** @param {string} id @param {UnitState} [state] */
  constructor(id, state = {}) {
    this.id = id;
    /** @type {FullState} */
    this.state = {
      status: state.status ?? null, fix: state.fix ?? null,
      links: state.links ?? {}, latest: state.latest ?? {}, track: state.track ?? [],
      series: state.series ?? {}, alarms: state.alarms ?? [], events: state.events ?? [],
      counts: { received: 0, repeated: 0, missing: 0, ...state.counts },
    };
    /** @type {Record<string, Still>} by camera */
    this.stills = {};
  }

  /** UTC ms of the newest thing that was measured; 0 where there is none. */
  get heard() {
    const times = Object.values(this.state.latest).map((latest) => latest.t);
    return Math.max(0, this.state.fix?.t ?? 0, ...times);
  }

  /** @returns {boolean} no path to the unit is up, and at least one is known to be down */
  get cutOff() {
    const states = Object.values(this.state.links);
    return states.length > 0 && states.every((state) => state !== "up");
  }

  /** The state that the link chip shows: the best of all paths. */
  get link() {
    const states = Object.values(this.state.links);
    return ["up", "lost", "closed"].find((state) => states.includes(state)) ?? states[0] ?? "none";
  }

  /** @param {number} now UTC ms */
  isOld(now) {
    return this.cutOff || this.state.status?.state === "stopped" || now - this.heard > OLD_MS;
  }

  /** @param {ReadingRecord} record */
  take(record) {
    if (record.fix) this.#takeFix(record);
    else this.#takeValue(record);
  }

  /** @param {ReadingRecord} record */
  #takeFix({ t, fix, source, late = false }) {
    if (!fix) return;
    const { track } = this.state;
    if (!late || (this.state.fix?.t ?? 0) <= t) this.state.fix = { ...fix, t, source };
    if (typeof fix.lat !== "number" || typeof fix.lon !== "number") return;
    insertByTime(track, /** @type {[number, number, number]} */ ([t, fix.lat, fix.lon]), TRACK_POINTS, late);
  }

  /** @param {ReadingRecord} record */
  #takeValue(record) {
    const key = `${record.source}/${record.quantity}`;
    const { latest, series } = this.state;
    const late = record.late ?? false;
    if (!late || (latest[key]?.t ?? 0) <= record.t) latest[key] = record;
    series[key] ??= [];
    insertByTime(series[key], [record.t, record.value ?? null], SERIES_POINTS, late);
  }

  /** In the order of their times. @param {EventRecord} record */
  takeEvent(record) {
    const { events } = this.state;
    events.push(record);
    events.sort((a, b) => a.t - b.t);
    events.splice(0, events.length - EVENTS);
  }

  /** A transition of one alarm; what came late changes nothing that stands. @param {AlarmRecord} record */
  takeAlarm(record) {
    if (record.late) return;
    const others = this.state.alarms.filter((alarm) => alarm.alarm !== record.alarm);
    if (record.state !== "normal") others.push({ ...record, since: record.since ?? record.t });
    this.state.alarms = others;
  }
}

/**
 * Keep `list` ordered by time, each time once, the oldest given up beyond `ceiling`.
 * @template {[number, ...unknown[]]} T @param {T[]} list @param {T} item @param {number} ceiling
 * @param {boolean} late
 */
export function insertByTime(list, item, ceiling, late) {
  // A clock that was set back: what it said before lies in a future that never comes.
  if (!late && list.length && item[0] < list[list.length - 1][0] - SET_BACK_MS) list.length = 0;
  let at = list.length;
  while (at > 0 && list[at - 1][0] > item[0]) at -= 1;
  if (at > 0 && list[at - 1][0] === item[0]) list[at - 1] = item;
  else list.splice(at, 0, item);
  if (list.length > ceiling) list.splice(0, list.length - ceiling);
}

/** Limits of single values, which a chart can draw; a mean's limit is none. */
const LEVELS = new Set(["low", "high", "deficient", "critical"]);

/** All units, the limits that hold at them, and the log. */
export class Fleet {
  constructor() {
    /** @type {Map<string, Unit>} */
    this.units = new Map();
    /** Set points by quantity and code, the strictest of all units. @type {Map<string, Map<string, number>>} */
    this.limits = new Map();
    /** Newest first. @type {Entry[]} */
    this.log = [];
  }

  /** @param {string} id @returns {Unit} */
  unit(id) {
    let unit = this.units.get(id);
    if (!unit) this.units.set(id, (unit = new Unit(id)));
    return unit;
  }

  /** Units in the order in which they are shown: vehicles first, then by id. */
  inOrder() {
    const rank = (/** @type {Unit} */ unit) => Number(unit.state.status?.profile !== "vehicle");
    return [...this.units.values()].sort((a, b) => rank(a) - rank(b) || a.id.localeCompare(b.id));
  }

  /** All alarms that stand, the most urgent first. @returns {{unit: Unit, alarm: Alarm}[]} */
  alarms() {
    const open = (/** @type {Alarm} */ alarm) => Number(alarm.state === "acknowledged");
    return [...this.units.values()]
      .flatMap((unit) => unit.state.alarms.map((alarm) => ({ unit, alarm })))
      .sort((a, b) => open(a.alarm) - open(b.alarm) || a.alarm.rank - b.alarm.rank ||
        (b.alarm.since ?? 0) - (a.alarm.since ?? 0));
  }

  /** @param {Message} message what is not about units is left alone */
  apply(message) {
    switch (message.type) {
      case "snapshot": return this.#snapshot(message.units);
      case "status":
        this.unit(message.unit).state.status = message.status;
        this.#limits(message.status);
        return;
      case "records": {
        const unit = this.unit(message.unit);
        message.records.forEach((record) => unit.take(record));
        return;
      }
      case "active":
        this.unit(message.unit).state.alarms = message.alarms;
        message.alarms.forEach((alarm) => this.#learn(alarm));
        return;
      case "counts": this.unit(message.unit).state.counts = message.counts; return;
      case "still": this.unit(message.unit).stills[message.camera] = message; return;
      case "link": case "alarm": case "event": case "ack": return this.#logged(message);
      default:
    }
  }

  /** @param {Record<string, UnitState>} units */
  #snapshot(units) {
    this.units.clear();
    this.log = [];
    for (const [id, state] of Object.entries(units)) {
      const unit = new Unit(id, state);
      this.units.set(id, unit);
      this.#limits(state.status);
      unit.state.alarms.forEach((alarm) => this.#learn(alarm));
      unit.state.events.forEach((body) => this.#write({ t: body.t, unit: id, kind: "event", body }));
    }
  }

  /** @param {Extract<Message, {type: "link"|"alarm"|"event"|"ack"}>} message */
  #logged(message) {
    const unit = this.unit(message.unit);
    if (message.type === "link") {
      const { path, state, t } = message;
      if (unit.state.links[path] === state) return;
      unit.state.links[path] = state;
      this.#write({ t: t || unit.heard, unit: unit.id, kind: "link", body: { path, state } });
      return;
    }
    if (message.type === "alarm") {
      unit.takeAlarm(message.record);
      this.#learn(message.record);
    }
    // The event `command` tells of every answer, also to a page that comes later.
    if (message.type === "ack") return;
    if (message.type === "event") unit.takeEvent(message.record);
    this.#write({ t: message.record.t, unit: unit.id, kind: message.type, body: message.record });
  }

  /** @param {import("./types.js").Status|null|undefined} status */
  #limits(status) {
    for (const point of status?.limits ?? []) {
      for (const code of /** @type {const} */ (["low", "high", "deficient", "critical"])) {
        const limit = point[code];
        if (typeof limit !== "number") continue;
        const codes = this.limits.get(point.quantity) ?? new Map();
        const known = codes.get(code);
        const strictest = code === "low" || code === "high" ? Math.min : Math.max;
        codes.set(code, known === undefined ? limit : strictest(known, limit));
        this.limits.set(point.quantity, codes);
      }
    }
  }

  /** @param {Alarm} alarm */
  #learn({ quantity, code, limit }) {
    if (typeof limit !== "number" || !quantity || !LEVELS.has(code)) return;
    const codes = this.limits.get(quantity) ?? new Map();
    this.limits.set(quantity, codes.set(code, limit));
  }

  /** @param {Entry} entry */
  #write(entry) {
    const { log } = this;
    let at = 0;
    while (at < log.length && log[at].t > entry.t) at += 1;
    log.splice(at, 0, entry);
    if (log.length > LOG_ENTRIES) log.length = LOG_ENTRIES;
  }
}

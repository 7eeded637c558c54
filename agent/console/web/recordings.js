/** What a unit keeps of its cameras: whether it records, and its pictures to play and to save. */
import { reasonOf } from "./api.js";
import { arrange, button, el, setClass, setText, show } from "./dom.js";
import { codeWord, word } from "./lang.js";

/** @typedef {import("./fleet.js").Unit} Unit */
/** @typedef {import("./person.js").Order} Order */

/**
 * @typedef {object} Item
 * @property {string} id
 * @property {"recording"|"snapshot"} kind
 * @property {string} camera
 * @property {number} start
 * @property {number|null} [end]
 * @property {string} media_type
 * @property {number} size
 * @property {boolean} [locked]
 * @property {string[]} [why]
 */

const PLAYED = new Set(["video/mp4", "image/jpeg"]);

export class Recordings {
  /** @param {Order} order */
  constructor(order) {
    this.order = order;
    /** @type {Unit|null} */
    this.unit = null;
    this.title = el("summary");
    this.list = el("ul", "rec-list");
    this.told = el("p", "rec-told");
    this.told.setAttribute("role", "status");
    this.again = button("order-do", () => this.#load());
    this.start = button("order-do", () => this.#record("start"));
    this.stop = button("order-do", () => this.#record("stop"));
    this.lock = button("order-do", () => this.#record("lock"));
    this.node = el("details", "rec", this.title,
      el("div", "rec-do", this.start, this.stop, this.lock, this.again), this.told, this.list);
    this.node.addEventListener("toggle", () => this.node.open && this.#load());
  }

  /** @param {Unit} unit */
  update(unit) {
    this.unit = unit;
    const { verbs = [], cameras = [] } = unit.state.status ?? {};
    const live = cameras.filter(({ recording }) => recording).map(({ name }) => name);
    const [lists, records] = [verbs.includes("media.list"), verbs.includes("record")];
    show(this.node, lists || records || live.length > 0);
    setText(this.title, live.length > 0
      ? word("rec.live", { cameras: live.join(", ") }) : word("rec"));
    setClass(this.title, "rec-on", live.length > 0);
    show(this.start, records);
    show(this.stop, records && live.length > 0);
    show(this.lock, records);
    show(this.again, lists);
    setText(this.start, word("rec.start"));
    setText(this.stop, word("rec.stop"));
    setText(this.lock, word("rec.lock"));
    setText(this.again, word("rec.again"));
  }

  /** @param {"start"|"stop"|"lock"} action */
  #record(action) {
    if (this.unit) this.order(this.unit, "record", { action }, word(`rec.${action}`));
  }

  async #load() {
    const unit = this.unit;
    if (!unit?.state.status?.verbs?.includes("media.list")) return;
    setText(this.told, word("rec.loading"));
    try {
      const answer = await fetch(urlOf(unit.id));
      if (!answer.ok) throw new Error(await reasonOf(answer));
      /** @type {Item[]} */
      const items = await answer.json();
      setText(this.told, items.length > 0 ? "" : word("rec.none"));
      arrange(this.list, items.map((item) => this.#line(unit.id, item)));
    } catch (error) {
      setText(this.told, error instanceof Error ? error.message : String(error));
    }
  }

  /** @param {string} unit @param {Item} item */
  #line(unit, item) {
    const url = urlOf(unit, item.id);
    const save = el("a", "rec-save", word("rec.save"));
    save.href = url;
    save.download = fileOf(item);
    const fetchable = this.unit?.state.status?.verbs?.includes("media.get") ?? false;
    const node = el("li", "rec-line", el("span", "rec-what", textOf(item)));
    node.dataset.id = item.id;
    if (fetchable && PLAYED.has(item.media_type)) {
      node.append(button("order-do", () => play(url, item), word("rec.play")));
    }
    if (fetchable) node.append(save);
    setClass(node, "rec-locked", item.locked === true);
    return node;
  }
}

/** @param {string} unit @param {string} [id] */
const urlOf = (unit, id) =>
  `/api/units/${encodeURIComponent(unit)}/media${id ? `/${encodeURIComponent(id)}` : ""}`;

/** @param {Item} item */
const fileOf = ({ id, media_type: type }) =>
  `${id}${type === "image/jpeg" ? ".jpg" : type === "video/mp4" ? ".mp4" : ".mp4.sealed"}`;

/** @param {Item} item @returns {string} "08:00:01 front 30 s 5.2 MB locked: HIGH" */
export function textOf({ kind, camera, start, end, size, locked, why = [], media_type: type }) {
  const at = new Date(start).toLocaleString();
  const seconds = typeof end === "number" ? word("rec.seconds", { n: Math.round((end - start) / 1000) }) : "";
  const goesOn = kind === "recording" && typeof end !== "number" ? word("rec.open") : "";
  const kept = locked ? word("rec.locked", { why: why.map(whyText).join(", ") }) : "";
  const sealed = PLAYED.has(type) ? "" : word("rec.sealed");
  return [at, camera, word(`rec.${kind}`), seconds, goesOn, `${(size / 1e6).toFixed(1)} MB`, kept, sealed]
    .filter(Boolean).join(" · ");
}

/** @param {string} why an alarm's code, or whose wish it was @returns {string} */
const whyText = (why) => (why === "command" || why === "alarm" ? word(`rec.why.${why}`) : codeWord("code", why));

/** @param {string} url @param {Item} item */
function play(url, item) {
  const dialog = el("dialog", "ask rec-player");
  const shown = item.kind === "snapshot" ? el("img") : el("video");
  shown.src = url;
  if (shown instanceof HTMLVideoElement) {
    shown.controls = true;
  } else {
    shown.alt = textOf(item);
  }
  dialog.append(shown, el("div", "ask-buttons", button("big", () => dialog.close(), word("rec.close"))));
  dialog.addEventListener("close", () => {
    // Else it would go on loading over the unit's link.
    shown.removeAttribute("src");
    dialog.remove();
  });
  document.body.append(dialog);
  dialog.showModal();
  // Where the browser does not let it begin by itself, its own button does.
  if (shown instanceof HTMLVideoElement) shown.play().catch(() => shown.pause());
}

/** What people at a unit are told: messages to be confirmed, tasks, and what a center adds to them. */
import { arrange, button, el, setClass, setText, show } from "./dom.js";
import { byWord, codeWord, word } from "./lang.js";

/** @typedef {import("./fleet.js").Unit} Unit */
/** @typedef {import("./person.js").Order} Order */

/**
 * @typedef {object} ShownMessage
 * @property {string} id
 * @property {string} text
 * @property {"routine"|"urgent"} [urgency]
 * @property {string} by
 * @property {number} t
 * @property {"delivered"|"unconfirmed"} [state]
 *
 * @typedef {object} Task
 * @property {string} id
 * @property {string} text
 * @property {string} by
 * @property {number} t
 * @property {"given"|"accepted"|"arrived"} [state]
 * @property {string} [changed_by]
 */

const TEXT_MAX = 500;
/** What may be said of a task, by its state. @type {Record<string, string[]>} */
const STEPS = {
  given: ["accept", "arrive", "done", "decline"], accepted: ["arrive", "done"], arrived: ["done"],
};

/** A line of text with buttons, kept while the same thing is told. */
class Line {
  /** @param {string} kind */
  constructor(kind) {
    this.text = el("span", "order-text");
    this.note = el("span", "order-note");
    this.buttons = el("span", "order-buttons");
    this.node = el("li", `order order-${kind}`, this.text, this.note, this.buttons);
  }
}

export class OrdersStrip {
  /** @param {Order} order */
  constructor(order) {
    this.order = order;
    /** @type {Unit|null} */
    this.unit = null;
    /** @type {Map<string, Line>} */
    this.lines = new Map();
    this.incident = new Line("incident");
    this.list = el("ul", "order-list");
    this.list.setAttribute("aria-live", "polite");
    this.input = el("input", "order-input");
    this.input.maxLength = TEXT_MAX;
    this.urgent = el("input");
    this.urgent.type = "checkbox";
    this.urgentWord = el("span");
    this.urgentLabel = el("label", "order-urgent", this.urgent, this.urgentWord);
    this.message = button("order-do", () => this.#send("message"));
    this.task = button("order-do", () => this.#send("task"));
    this.title = el("summary");
    this.form = el("details", "order-new", this.title, this.input, this.urgentLabel, this.message, this.task);
    this.node = el("section", "orders", this.list, this.form);
  }

  /** @param {Unit} unit */
  update(unit) {
    this.unit = unit;
    const { messages = [], tasks = [], verbs = [], incident = "" } = unit.state.status ?? {};
    const nodes = [
      ...messages.map((one) => this.#message(one, verbs.includes("message.confirm"))),
      ...tasks.map((one) => this.#task(one, verbs.includes("task.step"))),
    ];
    const here = new Set([...messages, ...tasks].map(({ id }) => id));
    for (const id of this.lines.keys()) if (!here.has(id)) this.lines.delete(id);
    if (incident) nodes.push(this.#incident(incident));
    arrange(this.list, nodes);
    const [says, gives] = [verbs.includes("message"), verbs.includes("task")];
    show(this.form, says || gives);
    show(this.message, says);
    show(this.urgentLabel, says);
    show(this.task, gives);
    show(this.node, nodes.length > 0 || says || gives);
    this.node.setAttribute("aria-label", word("orders"));
    this.input.setAttribute("aria-label", word("orders.text"));
    this.input.placeholder = word("orders.text");
    setText(this.title, word("orders.new"));
    setText(this.urgentWord, word("orders.urgent"));
    setText(this.message, word("orders.message"));
    setText(this.task, word("orders.task"));
  }

  /** @param {string} incident */
  #incident(incident) {
    setText(this.incident.text, word("orders.incident", { incident }));
    return this.incident.node;
  }

  /** @param {ShownMessage} message @param {boolean} here @returns {Node} */
  #message({ id, text, urgency = "routine", by, state = "delivered" }, here) {
    const line = this.#line(id, "message");
    setClass(line.node, "urgent", urgency === "urgent");
    setClass(line.node, "late", state === "unconfirmed");
    setText(line.text, text);
    setText(line.note, `${byWord(by)} · ${codeWord("message", state)}`);
    this.#buttons(line, here ? ["confirm"] : [], () =>
      this.#give("message.confirm", { message: id }, word("orders.confirm")));
    return line.node;
  }

  /** @param {Task} task @param {boolean} may @returns {Node} */
  #task({ id, text, by, state = "given", changed_by = "" }, may) {
    const line = this.#line(id, "task");
    setClass(line.node, "new", state === "given");
    setText(line.text, text);
    setText(line.note, [byWord(by), codeWord("task", state), changed_by && byWord(changed_by)]
      .filter(Boolean).join(" · "));
    this.#buttons(line, may ? STEPS[state] ?? [] : [], (step) =>
      this.#give("task.step", { task: id, step }, codeWord("step", step)));
    return line.node;
  }

  /** @param {string} id @param {string} kind */
  #line(id, kind) {
    let line = this.lines.get(id);
    if (!line) this.lines.set(id, (line = new Line(kind)));
    return line;
  }

  /** @param {Line} line @param {string[]} steps @param {(step: string) => void} action */
  #buttons(line, steps, action) {
    const wanted = steps.map((step) => {
      const there = [...line.buttons.children].find((node) =>
        /** @type {HTMLElement} */ (node).dataset.step === step);
      const node = /** @type {HTMLElement} */ (there ?? button("order-do", () => action(step)));
      node.dataset.step = step;
      setText(node, step === "confirm" ? word("orders.confirm") : codeWord("step", step));
      return node;
    });
    arrange(line.buttons, wanted);
  }

  /** @param {"message"|"task"} verb */
  #send(verb) {
    const text = this.input.value.trim();
    if (!text) return this.input.focus();
    const urgency = this.urgent.checked ? "urgent" : "routine";
    this.#give(verb, verb === "message" ? { text, urgency } : { text }, codeWord("verb", verb));
    this.input.value = "";
    this.urgent.checked = false;
  }

  /** @param {string} verb @param {Record<string, unknown>} args @param {string} what */
  #give(verb, args, what) {
    if (this.unit) this.order(this.unit, verb, args, what);
  }
}

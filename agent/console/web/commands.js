/** Commands on their way: sent, then answered by the unit, or not. */
import { ApiError, command } from "./api.js";
import { codeWord, word } from "./lang.js";

/** @typedef {import("./types.js").AckRecord} AckRecord */
/** @typedef {{unit: string, name: string, what: string, key: string, sent: number}} Pending */

const PATIENCE_MS = 10_000;
const REMEMBERED = 100;

export class Commands {
  /** @param {(text: string, bad: boolean) => void} say */
  constructor(say) {
    this.say = say;
    /** By the command's id. @type {Map<string, Pending>} */
    this.pending = new Map();
    /** Being posted now, by key. @type {Set<string>} */
    this.posting = new Set();
    /** An ack may overtake the answer that gives its id. @type {Map<string, AckRecord>} */
    this.acks = new Map();
  }

  /** @param {string} key @returns {boolean} sent and not answered yet */
  waits(key) {
    return this.posting.has(key) || [...this.pending.values()].some((one) => one.key === key);
  }

  /**
   * @param {{unit: string, name: string, verb: string, args: Record<string, unknown>, what: string, key: string}} order
   */
  async give({ unit, name, verb, args, what, key }) {
    this.posting.add(key);
    try {
      const id = await command(unit, verb, args);
      this.pending.set(id, { unit, name, what, key, sent: Date.now() });
      const early = this.acks.get(id);
      if (early) this.#settle(early);
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      this.say(word("command.failed", { what, reason: error.message }), true);
    } finally {
      this.posting.delete(key);
    }
  }

  /** @param {AckRecord} ack */
  take(ack) {
    this.acks.set(ack.id, ack);
    if (this.acks.size > REMEMBERED) this.acks.delete([...this.acks.keys()][0]);
    this.#settle(ack);
  }

  /** @param {AckRecord} ack */
  #settle(ack) {
    const one = this.pending.get(ack.id);
    if (!one) return;
    this.pending.delete(ack.id);
    const { name: unit, what } = one;
    if (ack.outcome === "done") {
      this.say(word("command.done", { unit, what }), false);
      return;
    }
    const why = codeWord("ack", ack.code || ack.outcome);
    const reason = ack.detail ? `${why} (${ack.detail})` : why;
    this.say(word("command.refused", { unit, what, reason }), true);
  }

  /** Say which units have not answered. */
  tick() {
    for (const [id, { name, what, sent }] of this.pending) {
      if (Date.now() - sent < PATIENCE_MS) continue;
      this.pending.delete(id);
      this.say(word("command.unanswered", { unit: name, what, n: PATIENCE_MS / 1000 }), true);
    }
  }
}

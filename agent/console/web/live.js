/** The connection to the console: messages in, and whether it stands. */

/** @typedef {import("./types.js").Message} Message */

const RETRY_MS = 500;
const RETRY_MAX_MS = 5000;
/** After so much silence the server is asked whether it is still there. */
const QUIET_MS = 5000;
const PROBE_MS = 4000;
/** Anything that the server answers without work. */
const PROBE_URL = "/static/page.css";

/**
 * @typedef {object} Listener
 * @property {(message: Message) => void} message
 * @property {(connected: boolean) => void} state
 */

export class Live {
  /** @param {Listener} listener */
  constructor(listener) {
    this.listener = listener;
    this.connected = false;
    /** Date.now() at the last message; 0 before the first. */
    this.heard = 0;
    this.delay = RETRY_MS;
    /** @type {WebSocket|null} */
    this.socket = null;
    this.probing = false;
    setInterval(() => void this.#watch(), 1000);
    this.#open();
  }

  #open() {
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    const socket = new WebSocket(`${scheme}://${location.host}/api/live`);
    this.socket = socket;
    socket.onmessage = ({ data }) => this.#take(data);
    socket.onclose = () => this.#lost(socket);
  }

  /** @param {string} data */
  #take(data) {
    this.heard = Date.now();
    if (!this.connected) {
      this.connected = true;
      this.delay = RETRY_MS;
      this.listener.state(true);
    }
    this.listener.message(JSON.parse(data));
  }

  /** @param {WebSocket} socket */
  #lost(socket) {
    if (socket !== this.socket) return;
    this.socket = null;
    if (this.connected) {
      this.connected = false;
      this.listener.state(false);
    }
    const jitter = 0.5 + Math.random();
    setTimeout(() => this.#open(), this.delay * jitter);
    this.delay = Math.min(this.delay * 2, RETRY_MAX_MS);
  }

  /** A cut cable closes no socket: where nothing comes, ask; where no answer comes, it is lost. */
  async #watch() {
    const { socket } = this;
    if (!socket || this.probing || Date.now() - this.heard < QUIET_MS) return;
    this.probing = true;
    try {
      await fetch(PROBE_URL, {
        method: "HEAD", cache: "no-store", signal: AbortSignal.timeout(PROBE_MS),
      });
      if (socket.readyState === WebSocket.OPEN) this.heard = Date.now();
    } catch {
      socket.close();
      this.#lost(socket);
    } finally {
      this.probing = false;
    }
  }
}

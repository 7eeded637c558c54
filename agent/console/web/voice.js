/** Voice beside a camera's pictures: listen, talk while a key is held, how loud, and who talks. */
import { button, el, setClass, setText, show } from "./dom.js";
import { icon } from "./icon.js";
import { byWord, titled, word } from "./lang.js";
import { Meter } from "./meter.js";
import { talkerOf } from "./talker.js";

/** @typedef {import("./types.js").EventRecord} EventRecord */
/** @typedef {import("./whep.js").WhepSession} WhepSession */
/** @typedef {(verb: string, args: Record<string, unknown>) => void} Order */

/** Asked for again while the key is held: the unit takes the floor back from who is forgotten. */
const RENEW_MS = 20_000;

export class Voice {
  /**
   * @param {(verb: string, args: Record<string, unknown>, what: string) => void} order
   * @param {() => void} reopen open the session anew: it shall carry something else
   */
  constructor(order, reopen) {
    this.order = order;
    this.reopen = reopen;
    /** Whether the unit's microphone is heard here. */
    this.listens = false;
    /** This machine's microphone, once it was asked for. @type {MediaStreamTrack|null} */
    this.track = null;
    this.held = false;
    /** The line stays open without a key. */
    this.openLine = false;
    /** @type {WhepSession|null} */
    this.session = null;
    this.fault = "";
    this.renewal = 0;
    this.meter = new Meter();
    this.listen = button("voice-listen", () => this.#listen(), icon("speaker"));
    this.talk = button("voice-talk", () => undefined, icon("microphone"));
    this.line = button("voice-line", () => void this.#toggleLine(), "⟷");
    this.says = el("span", "voice-says");
    this.node = el("div", "voice", this.listen, this.talk, this.line, this.meter.node, this.says);
    this.talk.addEventListener("pointerdown", (event) => {
      this.talk.setPointerCapture(event.pointerId);
      void this.#press();
    });
    for (const end of ["pointerup", "pointercancel", "blur"]) {
      this.talk.addEventListener(end, () => this.#release());
    }
    this.talk.addEventListener("keydown", (event) => {
      if (event.key !== " " && event.key !== "Enter") return;
      event.preventDefault();
      if (!event.repeat) void this.#press();
    });
    this.talk.addEventListener("keyup", () => this.#release());
    // Who lets go elsewhere, or leaves the page, has let go.
    addEventListener("blur", () => this.#release());
  }

  /** What the next session shall carry; null: pictures alone. */
  wanted() {
    return this.listens || this.track ? { listen: this.listens, track: this.track } : null;
  }

  /** A session is up, or has ended. @param {WhepSession|null} session */
  attach(session) {
    this.session = session;
    this.meter.follow(session?.audio ?? null);
    if (session && (this.held || this.openLine)) this.#ask(true);
  }

  #listen() {
    this.listens = !this.listens;
    this.meter.wake();
    this.reopen();
  }

  async #press() {
    if (this.held) return;
    this.held = true;
    this.meter.wake();
    const had = this.track !== null;
    if (!await this.#microphone() || !this.held) return;
    if (had && this.session) this.#ask(true);
    else this.reopen();
  }

  #release() {
    if (!this.held) return;
    this.held = false;
    if (!this.openLine) this.#ask(false);
  }

  async #toggleLine() {
    this.openLine = !this.openLine;
    this.meter.wake();
    if (!this.openLine) return this.#ask(false);
    const had = this.track !== null;
    if (!await this.#microphone()) this.openLine = false;
    else if (had && this.session) this.#ask(true);
    else this.reopen();
  }

  /** @returns {Promise<boolean>} whether there is one */
  async #microphone() {
    if (this.track) return true;
    try {
      const stream = await navigator.mediaDevices.getUserMedia({
        audio: { echoCancellation: true, noiseSuppression: true, autoGainControl: true },
      });
      this.track = stream.getAudioTracks()[0] ?? null;
      if (this.track) this.track.enabled = false;
      this.fault = "";
    } catch (error) {
      this.fault = word("voice.nomic", { reason: error instanceof Error ? error.name : String(error) });
      this.held = false;
    }
    return this.track !== null;
  }

  /** @param {boolean} on */
  #ask(on) {
    clearInterval(this.renewal);
    if (this.track) this.track.enabled = on;
    const session = this.session;
    if (!session) return;
    const args = { session: session.id, on, open: this.openLine };
    this.order("talk", args, word(on ? "voice.talk" : "voice.release"));
    if (on) this.renewal = setInterval(() => this.order("talk", args, word("voice.talk")), RENEW_MS);
  }

  /** The session goes, and with it what was held. */
  end() {
    clearInterval(this.renewal);
    this.held = this.openLine = this.listens = false;
    this.track?.stop();
    this.track = null;
    this.attach(null);
  }

  /**
   * @param {boolean} live @param {boolean} allowed the unit may be talked with at all
   * @param {EventRecord[]} events @param {number} now
   */
  update(live, allowed, events, now) {
    show(this.node, live && allowed);
    const secure = window.isSecureContext;
    titled(this.listen, this.listens ? "voice.mute" : "voice.listen");
    this.listen.setAttribute("aria-pressed", String(this.listens));
    titled(this.talk, "voice.talk");
    titled(this.line, "voice.open");
    this.talk.disabled = this.line.disabled = !secure;
    setClass(this.talk, "on", this.held);
    this.line.setAttribute("aria-pressed", String(this.openLine));
    const talker = talkerOf(events, now);
    setText(this.says, this.fault
      || (talker ? word("voice.talks", { by: byWord(talker) }) : "")
      || this.session?.note
      || (secure ? "" : word("voice.insecure")));
    this.says.title = this.says.textContent ?? "";
  }
}

/** A camera's pane: live video by WHEP, stills where no direct path exists, and words for which; voice
 * alone where the unit has no camera. */
import { command } from "./api.js";
import { button, el, setClass, setText, show } from "./dom.js";
import { labelled, titled, word } from "./lang.js";
import { ageParts } from "./reading.js";
import { Voice } from "./voice.js";
import { WhepError, watch } from "./whep.js";

/** @typedef {import("./types.js").Still} Still */
/** @typedef {"idle"|"connecting"|"live"|"stills"} State */

/** Without a picture for so long there is no path. */
const FIRST_FRAME_MS = 4000;
/** A picture that has not changed for so long is said to be frozen, then given up. */
const FROZEN_MS = 2000;
const GIVE_UP_MS = 8000;
const POLL_MS = 500;
/** A picture that was there is asked for anew so soon, then after twice as long each time, and so
 * long in all: a unit's media process is back within seconds. */
const ANEW_MS = [200, 2000];
const RETURN_MS = 12_000;
/** Stills are a lease: asked for again before it runs out, and over by themselves if the page dies. */
const LEASE_S = 30;
const STILL_PERIOD_S = 1;
/** From stills, live video is tried again after so long. */
const RETRY_MS = 60_000;

export class VideoPane {
  /** @param {string} unit @param {(verb: string, args: Record<string, unknown>, what: string) => void} order */
  constructor(unit, order) {
    this.unit = unit;
    this.voice = new Voice(order, () => this.#reopen());
    this.talkable = false;
    /** @type {import("./types.js").EventRecord[]} */
    this.events = [];
    /** Ends one session, not the watching. */
    this.restart = new AbortController();
    this.camera = "";
    /** @type {State} */
    this.state = "idle";
    this.reason = "";
    this.frozenMs = 0;
    /** When a picture came last in this watching; 0: none has. */
    this.moved = 0;
    /** @type {AbortController|null} */
    this.run = null;
    /** @type {Still|undefined} */
    this.still = undefined;
    /** Whether a path to the unit is up, as it was last said. */
    this.reached = true;
    /** Ends the wait beside stills: live video is worth a trial. */
    this.again = new AbortController();
    /** @type {import("./whep.js").WhepSession|null} */
    this.session = null;
    this.video = el("video");
    this.video.muted = true;
    this.video.autoplay = true;
    this.video.playsInline = true;
    this.image = el("img");
    this.image.alt = "";
    this.says = el("span", "video-says");
    this.play = labelled(button("video-play", () => this.start(), ""), "video.play");
    this.halt = titled(button("video-tool", () => this.stop(), "■"), "video.stop");
    this.large = titled(button("video-tool", () => this.#enlarge(), "⤢"), "video.enlarge");
    this.node = el("div", "video", this.video, this.image, this.play,
      this.voice.node, el("div", "video-bar", this.says, this.large, this.halt));
    this.node.addEventListener("keydown", ({ key }) => key === "Escape" && this.#enlarge(false));
    addEventListener("pagehide", () => this.stop());
  }

  /** @param {boolean} [on] */
  #enlarge(on = !this.node.classList.contains("large")) {
    this.node.classList.toggle("large", on);
    titled(this.large, on ? "video.shrink" : "video.enlarge");
  }

  /** Whether a path to the unit is up: when one is back, so may the video be. @param {boolean} reached */
  reach(reached) {
    if (reached && !this.reached) this.again.abort();
    this.reached = reached;
  }

  /** The unit can be talked with, and has nothing to show. */
  get voiceAlone() {
    return !this.camera && this.talkable;
  }

  /** Watch; nothing where it is being watched already. */
  start() {
    if (!(this.camera || this.voiceAlone) || this.run) return;
    this.run = new AbortController();
    this.moved = 0;
    void this.#serve(this.run.signal);
  }

  stop() {
    this.run?.abort();
    this.run = null;
    this.session?.close();
    this.voice.end();
    this.state = "idle";
    this.#enlarge(false);
    this.update(this.still, Date.now());
  }

  /** The session shall carry something else: another one takes its place. */
  #reopen() {
    if (this.voiceAlone && !this.voice.wanted()) this.stop();
    else if (!this.run) this.start();
    else this.restart.abort();
  }

  /** Live for as long as it goes, stills for a while, and again. @param {AbortSignal} signal */
  async #serve(signal) {
    let wait = ANEW_MS[0];
    while (!signal.aborted) {
      // While a lost picture is sought again, its last one stays, with its age.
      if (this.state !== "live") this.#become("connecting");
      const before = this.moved;
      const { reason, elsewhere } = await this.#live(signal);
      if (signal.aborted) return;
      if (this.restart.signal.aborted) this.#become("connecting");
      else if (elsewhere) continue;
      else if (this.voiceAlone) {
        this.reason = reason;
        this.#become("connecting");
        await pause(ANEW_MS[1], signal);
      } else if (this.moved && Date.now() - this.moved < RETURN_MS) {
        wait = this.moved > before ? ANEW_MS[0] : Math.min(2 * wait, ANEW_MS[1]);
        await this.#age(wait, signal);
      } else {
        this.reason = reason;
        this.moved = 0;
        this.#become("stills");
        await this.#stills(signal);
      }
    }
  }

  /** Wait, and say how old the picture is. @param {number} ms @param {AbortSignal} signal */
  async #age(ms, signal) {
    this.frozenMs = Date.now() - this.moved;
    this.update(this.still, Date.now());
    await pause(ms, signal);
  }

  /**
   * @param {AbortSignal} signal
   * @returns {Promise<{reason: string, elsewhere?: boolean}>} why it ended, and whether another way
   * is there to be tried
   */
  async #live(signal) {
    this.restart = new AbortController();
    try {
      const session = await watch(this.unit, this.camera, this.video, signal, this.voice.wanted());
      this.session = session;
      this.voice.attach(session);
      try {
        return { reason: await this.#follow(session, signal), elsewhere: session.elsewhere };
      } finally {
        this.voice.attach(null);
        session.close();
        this.session = null;
        if (signal.aborted) this.video.srcObject = null;
      }
    } catch (error) {
      if (signal.aborted) return { reason: "" };
      if (error instanceof WhepError) return { reason: error.message };
      throw error;
    }
  }

  /**
   * @param {import("./whep.js").WhepSession} session @param {AbortSignal} signal
   * @returns {Promise<string>} why it ended
   */
  async #follow(session, signal) {
    if (this.voiceAlone) return this.#hear(session, signal);
    let frames = 0;
    let moved = Date.now();
    for (;;) {
      await pause(POLL_MS, signal, this.restart.signal, session.lost);
      if (signal.aborted || this.restart.signal.aborted) return "";
      const now = (await session.stats()).frames;
      if (now > frames) {
        [frames, moved] = [now, Date.now()];
        this.moved = moved;
        if (this.state !== "live") this.#become("live");
      }
      const stood = Date.now() - moved;
      this.frozenMs = Date.now() - (this.moved || moved);
      const limit = frames ? GIVE_UP_MS : FIRST_FRAME_MS;
      if (stood > limit) return word("video.nopackets", { n: limit / 1000 });
      if (session.lost.aborted || stood > POLL_MS && await session.isOver()) {
        return word("video.ended");
      }
    }
  }

  /**
   * Voice alone: an open line may be silent for as long as it likes.
   * @param {import("./whep.js").WhepSession} session @param {AbortSignal} signal
   * @returns {Promise<string>} why it ended
   */
  async #hear(session, signal) {
    for (;;) {
      await pause(POLL_MS, signal, this.restart.signal, session.lost);
      if (signal.aborted || this.restart.signal.aborted) return "";
      if (session.peer.connectionState === "connected") this.#become("live");
      if (session.lost.aborted || await session.isOver()) return word("voice.ended");
    }
  }

  /** @param {AbortSignal} signal */
  async #stills(signal) {
    const until = Date.now() + RETRY_MS;
    this.again = new AbortController();
    const wake = this.again.signal;
    const args = { camera: this.camera, mode: "stills", period_s: STILL_PERIOD_S, lease_s: LEASE_S };
    while (!signal.aborted && !wake.aborted && Date.now() < until) {
      await command(this.unit, "video.start", args).catch((error) => {
        this.reason = String(error.message);
      });
      await pause(LEASE_S * 600, signal, wake);
    }
    if (signal.aborted) {
      await command(this.unit, "video.stop", { camera: this.camera }).catch(() => undefined);
    }
  }

  /** @param {State} state */
  #become(state) {
    this.state = state;
    this.frozenMs = 0;
    this.update(this.still, Date.now());
  }

  /** @param {Still|undefined} still @param {number} now UTC ms */
  update(still, now) {
    const { video, image, says, play, halt, large, state } = this;
    this.still = still;
    const alone = this.voiceAlone;
    this.voice.update(alone || state !== "idle", this.talkable, this.events, now);
    const live = state === "live" && !alone;
    show(video, live);
    const pictured = state === "stills" && still !== undefined;
    show(image, pictured);
    if (pictured && image.getAttribute("src") !== still.url) image.src = still.url;
    show(play, state === "idle" && this.camera !== "");
    show(halt, state !== "idle");
    show(large, live || pictured);
    setClass(this.node, "is-live", live && this.frozenMs < FROZEN_MS);
    setText(says, this.#sentence(now));
    says.title = this.reason;
    this.node.dataset.state = state;
  }

  /** @param {number} now */
  #sentence(now) {
    const age = (/** @type {number} */ ms) => {
      const { key, values } = ageParts(ms);
      return word(key, values);
    };
    if (this.voiceAlone) {
      switch (this.state) {
        case "idle": return word("voice.alone.idle");
        case "connecting": return word("voice.alone.connecting");
        case "live": return word("voice.alone.live");
      }
    }
    if (!this.camera) return word("video.none");
    switch (this.state) {
      case "idle": return word("video.idle");
      case "connecting": return word("video.connecting");
      case "live":
        return this.frozenMs >= FROZEN_MS
          ? word("video.stalled", { age: age(this.frozenMs) }) : `● ${word("video.live")}`;
      default:
        return this.still
          ? word("video.stills.age", { age: age(now - this.still.t) })
          : word("video.stills.waiting");
    }
  }
}

/** @param {number} ms @param {...AbortSignal} signals @returns {Promise<void>} early where aborted */
function pause(ms, ...signals) {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      signals.forEach((signal) => signal.removeEventListener("abort", done));
      resolve();
    };
    const timer = setTimeout(done, ms);
    signals.forEach((signal) => signal.addEventListener("abort", done));
    if (signals.some(({ aborted }) => aborted)) done();
  });
}

/** The sound of the alarms that nobody has acknowledged: the most urgent one's pattern. */

/** Each tone: hertz (0 is silence) and ms; repeated.  Low slow, high fast, fault a rare chirp. */
/** @type {Record<number, [number, number][]>} */
const PATTERNS = {
  1: [[2600, 120], [0, 110]],
  2: [[880, 260], [1320, 260]],
  3: [[1900, 300], [0, 700]],
  4: [[1500, 90], [0, 9910]],
};
const LOUDNESS = 0.25;

export class Siren {
  /** @param {() => void} changed */
  constructor(changed) {
    this.changed = changed;
    /** @type {AudioContext|null} */
    this.audio = null;
    /** @type {GainNode|null} */
    this.gain = null;
    /** @type {OscillatorNode|null} */
    this.tone = null;
    this.rank = 0;
    this.step = 0;
    this.muted = false;
    /** What sounded when it was muted, and what was known before: anything new sounds again. */
    this.known = new Set();
    /** @type {ReturnType<typeof setTimeout>|undefined} */
    this.timer = undefined;
  }

  /** @returns {boolean} a browser gives no sound before a person has touched the page */
  get armed() {
    return this.audio?.state === "running";
  }

  /** To be called out of a person's gesture. */
  async arm() {
    if (!this.audio) {
      const audio = new AudioContext();
      this.audio = audio;
      this.gain = new GainNode(audio, { gain: 0 });
      this.tone = new OscillatorNode(audio, { type: "square" });
      this.tone.connect(this.gain).connect(audio.destination);
      this.tone.start();
      audio.onstatechange = this.changed;
    }
    await this.audio.resume();
    this.changed();
    this.#play();
  }

  /** @param {boolean} muted */
  mute(muted) {
    this.muted = muted;
    this.changed();
    this.#restart();
  }

  /**
   * @param {{id: string, rank: number}[]} alarms not acknowledged; `id` changes when one worsens
   */
  sound(alarms) {
    const fresh = alarms.some(({ id }) => !this.known.has(id));
    this.known = new Set(alarms.map(({ id }) => id));
    if (fresh && this.muted) {
      this.muted = false;
      this.changed();
    }
    const rank = Math.min(...alarms.map((alarm) => alarm.rank), 9);
    const heard = alarms.length ? Math.min(rank, 4) : 0;
    if (heard === this.rank && !fresh) return;
    this.rank = heard;
    this.#restart();
  }

  #restart() {
    clearTimeout(this.timer);
    this.step = 0;
    this.#play();
  }

  #play() {
    clearTimeout(this.timer);
    const { audio, gain, tone } = this;
    if (!audio || !gain || !tone) return;
    const pattern = PATTERNS[this.rank];
    if (!pattern || this.muted) {
      gain.gain.setTargetAtTime(0, audio.currentTime, 0.005);
      return;
    }
    const [hertz, ms] = pattern[this.step % pattern.length];
    this.step += 1;
    if (hertz) tone.frequency.setValueAtTime(hertz, audio.currentTime);
    gain.gain.setTargetAtTime(hertz ? LOUDNESS : 0, audio.currentTime, 0.005);
    this.timer = setTimeout(() => this.#play(), ms);
  }
}

/** How loud a sound is, and its strongest pitch: a bar, measured by the browser itself. */
import { el } from "./dom.js";

const DRAW_MS = 100;
/** The bar's left end. */
const FLOOR_DB = -60;

export class Meter {
  constructor() {
    this.bar = el("i");
    this.node = el("span", "meter", this.bar);
    /** Made at a tap, as browsers want it. @type {AudioContext|null} */
    this.context = null;
    /** @type {AnalyserNode|null} */
    this.analyser = null;
    /** @type {MediaStreamTrack|null} */
    this.track = null;
    setInterval(() => this.#draw(), DRAW_MS);
  }

  wake() {
    this.context ??= new AudioContext();
    void this.context.resume();
  }

  /** @param {MediaStreamTrack|null} track */
  follow(track) {
    this.track = track;
    this.analyser?.disconnect();
    this.analyser = null;
    if (!track || !this.context) return;
    this.analyser = this.context.createAnalyser();
    this.analyser.fftSize = 4096;
    this.context.createMediaStreamSource(new MediaStream([track])).connect(this.analyser);
  }

  #draw() {
    const { analyser } = this;
    let level = 0;
    if (analyser) {
      const samples = new Float32Array(analyser.fftSize);
      analyser.getFloatTimeDomainData(samples);
      const power = samples.reduce((sum, one) => sum + one * one, 0) / samples.length;
      const db = power > 0 ? 10 * Math.log10(power) : FLOOR_DB;
      level = Math.min(1, Math.max(0, 1 - db / FLOOR_DB));
      this.node.dataset.pitch = level > 0 ? String(this.#pitch(analyser)) : "";
    }
    this.bar.style.width = `${Math.round(level * 100)}%`;
  }

  /** Hertz of the strongest pitch. @param {AnalyserNode} analyser */
  #pitch(analyser) {
    const bins = new Float32Array(analyser.frequencyBinCount);
    analyser.getFloatFrequencyData(bins);
    const strongest = bins.reduce((best, value, index) => (value > bins[best] ? index : best), 0);
    return Math.round((strongest * (this.context?.sampleRate ?? 0)) / analyser.fftSize);
  }
}

/** The strip chart of one quantity: a line for each unit, a dashed line for each limit. */
import uPlot from "uplot";
import { quantityName } from "./alarm.js";
import { colourOf, dashOf } from "./colour.js";
import { el, setClass, setText } from "./dom.js";
import { codeWord, word } from "./lang.js";
import { unitText, valueText } from "./reading.js";

/** @typedef {import("./types.js").Point} Point */
/** @typedef {{id: string, name: string, points: Point[]}} Line */

/** What is shown, ending now. */
const SPAN_S = 600;
const SPAN_MIN_S = 120;
/** A longer silence than this breaks the line. */
const GAP_MS = 8000;
const HEIGHT = 122;
/** Limits of the highest rank. */
const URGENT = new Set(["high", "critical"]);

export class Chart {
  /** @param {string} quantity */
  constructor(quantity) {
    this.quantity = quantity;
    this.title = el("b", "chart-title");
    this.now = el("span", "chart-now");
    this.limit = el("span", "chart-limit");
    this.plotted = el("div", "chart-plot");
    this.node = el("figure", "chart",
      el("figcaption", "chart-head", this.title, this.now), this.plotted, this.limit);
    this.node.dataset.quantity = quantity;
    /** @type {uPlot|null} */
    this.plot = null;
    this.drawn = "";
    /** @type {Map<string, number>} */
    this.limits = new Map();
    /** @type {[number, number]} */
    this.window = [0, 1];
  }

  /**
   * @param {Line[]} lines @param {string} unit @param {Map<string, number>} limits
   * @param {number} now UTC ms @param {boolean} alarmed
   */
  update(lines, unit, limits, now, alarmed) {
    this.limits = limits;
    const first = Math.min(...lines.map(({ points }) => points[0]?.[0] ?? now)) / 1000;
    this.window = [Math.max(now / 1000 - SPAN_S, Math.min(first, now / 1000 - SPAN_MIN_S)), now / 1000];
    setClass(this.node, "alarmed", alarmed);
    setText(this.title, `${quantityName(this.quantity)} ${unitText(unit, this.quantity)}`);
    setText(this.now, nowText(lines, unit));
    setText(this.limit, limits.size
      ? [...limits].map(([code, limit]) => `- - ${word("charts.limit",
        { code: codeWord("code", code), limit: valueText(limit, unit) })}`).join("  ")
      : word("charts.nolimit"));
    const width = this.plotted.clientWidth;
    if (!width) return;
    const look = [width, document.documentElement.dataset.theme, ...lines.map(({ id }) => id)].join("|");
    if (look !== this.drawn) this.#build(lines, width);
    this.drawn = look;
    this.plot?.setData(joined(lines, this.window[0] * 1000));
  }

  /** @param {Line[]} lines @param {number} width */
  #build(lines, width) {
    this.plot?.destroy();
    const style = getComputedStyle(document.documentElement);
    const ink = style.getPropertyValue("--muted"), grid = style.getPropertyValue("--line");
    const axis = {
      stroke: ink, grid: { stroke: grid, width: 1 }, ticks: { show: false },
      font: "11px system-ui, sans-serif", gap: 3,
    };
    this.plot = new uPlot({
      width, height: HEIGHT, padding: [6, 6, 0, 0], legend: { show: false },
      cursor: { show: false }, select: { show: false, left: 0, top: 0, width: 0, height: 0 },
      scales: { x: { time: true, range: () => this.window }, y: { range: (_, low, high) => this.#range(low, high) } },
      axes: [
        { ...axis, size: 20, space: 60, values: "{HH}:{mm}" },
        { ...axis, size: 38, space: 26 },
      ],
      series: [{}, ...lines.map(({ id, name }) => (
        { label: name, stroke: colourOf(id), dash: dashOf(id), width: 2, points: { show: false } }))],
      hooks: { draw: [(plot) => this.#drawLimits(plot)] },
    }, joined(lines, this.window[0] * 1000), this.plotted);
  }

  /** @param {number|null} low @param {number|null} high @returns {[number, number]} with the limits in it */
  #range(low, high) {
    const limits = [...this.limits.values()];
    // Oxygen is judged around 20.9 per cent; everything else from nothing upwards.
    const oxygen = this.quantity === "o2";
    const bottom = Math.min(low ?? 0, oxygen ? 19 : 0, ...limits);
    const top = Math.max(high ?? 0, oxygen ? 22 : 0, ...limits) || 1;
    return [bottom, top + (top - bottom) * 0.08];
  }

  /** @param {uPlot} plot */
  #drawLimits({ ctx, bbox, valToPos }) {
    const style = getComputedStyle(document.documentElement);
    ctx.save();
    ctx.lineWidth = 1.5 * devicePixelRatio;
    ctx.setLineDash([6 * devicePixelRatio, 4 * devicePixelRatio]);
    for (const [code, limit] of this.limits) {
      const y = valToPos(limit, "y", true);
      ctx.strokeStyle = style.getPropertyValue(URGENT.has(code) ? "--high" : "--low");
      ctx.beginPath();
      ctx.moveTo(bbox.left, y);
      ctx.lineTo(bbox.left + bbox.width, y);
      ctx.stroke();
    }
    ctx.restore();
  }
}

/**
 * One table of all lines, as uPlot wants it, with a hole where a unit was silent.
 * @param {Line[]} lines @param {number} from UTC ms @returns {uPlot.AlignedData}
 */
function joined(lines, from) {
  const tables = lines.map(({ points }) => {
    /** @type {number[]} */
    const times = [];
    /** @type {(number|null)[]} */
    const values = [];
    for (const [t, value] of points) {
      if (t < from) continue;
      const last = times[times.length - 1];
      if (last !== undefined && t - last * 1000 > GAP_MS) {
        times.push(last + 0.001);
        values.push(null);
      }
      times.push(t / 1000);
      values.push(value);
    }
    return /** @type {uPlot.AlignedData} */ ([times, values]);
  });
  return tables.length ? uPlot.join(tables) : [[]];
}

/** More values than can be told apart are told as their span. */
const TOLD = 3;

/** @param {Line[]} lines @param {string} unit */
function nowText(lines, unit) {
  const values = lines.map(({ points }) => points[points.length - 1]?.[1]);
  if (values.length <= TOLD) return values.map((value) => valueText(value, unit)).join(" / ");
  const known = values.filter((value) => typeof value === "number");
  return known.length ? `${valueText(Math.min(...known), unit)} – ${valueText(Math.max(...known), unit)}` : "—";
}

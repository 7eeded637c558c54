/** All strip charts, those in alarm first. */
import { Chart } from "./chart.js";
import { arrange, el, setText, show } from "./dom.js";
import { word } from "./lang.js";
import { colourOf } from "./colour.js";
import { isGas } from "./reading.js";

/** @typedef {import("./chart.js").Line} Line */
/** @typedef {import("./fleet.js").Fleet} Fleet */
/** @typedef {import("./fleet.js").Unit} Unit */

export class Charts {
  /** @param {HTMLElement} node @param {(unit: Unit) => string} nameOf */
  constructor(node, nameOf) {
    this.nameOf = nameOf;
    /** @type {Map<string, Chart>} */
    this.charts = new Map();
    this.legend = el("div", "charts-legend");
    this.row = el("div", "charts-row");
    this.empty = el("p", "dock-empty");
    node.append(this.legend, this.row, this.empty);
  }

  /** @param {Fleet} fleet @param {number} now */
  update(fleet, now) {
    const units = fleet.inOrder();
    const { lines, unitOf } = this.#lines(units);
    const rank = ranks(fleet);
    const quantities = [...lines.keys()].sort((a, b) =>
      (rank.get(a) ?? 9) - (rank.get(b) ?? 9) || a.localeCompare(b));
    arrange(this.row, quantities.map((quantity) => this.#chart(quantity).node));
    for (const quantity of quantities) {
      this.#chart(quantity).update(lines.get(quantity) ?? [], unitOf.get(quantity) ?? "",
        fleet.limits.get(quantity) ?? new Map(), now, rank.has(quantity));
    }
    this.#legend(units.filter(({ id }) => [...lines.values()].flat().some((line) => line.id === id)));
    show(this.empty, quantities.length === 0);
    setText(this.empty, word("charts.none"));
  }

  /** @param {Unit[]} units one line a unit and gas: of several sources the one that is heard last */
  #lines(units) {
    /** @type {Map<string, Line[]>} */
    const lines = new Map();
    /** @type {Map<string, string>} */
    const unitOf = new Map();
    for (const unit of units) {
      for (const [key, { quantity, t, unit: code }] of Object.entries(unit.state.latest)) {
        const points = unit.state.series[key];
        if (!isGas(quantity) || !points?.length) continue;
        const there = lines.get(quantity) ?? [];
        lines.set(quantity, there);
        unitOf.set(quantity, code ?? "");
        const same = there.find(({ id }) => id === unit.id);
        if (!same) there.push({ id: unit.id, name: this.nameOf(unit), points });
        else if ((same.points[same.points.length - 1]?.[0] ?? 0) < t) same.points = points;
      }
    }
    return { lines, unitOf };
  }

  /** @param {string} quantity */
  #chart(quantity) {
    let chart = this.charts.get(quantity);
    if (!chart) this.charts.set(quantity, (chart = new Chart(quantity)));
    return chart;
  }

  /** @param {Unit[]} units */
  #legend(units) {
    const text = units.map((unit) => `${unit.id}=${this.nameOf(unit)}=${colourOf(unit.id)}`).join();
    if (this.legend.dataset.drawn === text) return;
    this.legend.dataset.drawn = text;
    this.legend.replaceChildren(...units.map((unit) => {
      const swatch = el("span", "legend-line");
      swatch.style.background = colourOf(unit.id);
      return el("span", "legend-item", swatch, this.nameOf(unit));
    }));
  }
}

/** The worst rank of the alarms of each quantity. @param {Fleet} fleet @returns {Map<string, number>} */
function ranks(fleet) {
  /** @type {Map<string, number>} */
  const worst = new Map();
  for (const { alarm } of fleet.alarms()) {
    worst.set(alarm.quantity, Math.min(alarm.rank, worst.get(alarm.quantity) ?? 9));
  }
  return worst;
}

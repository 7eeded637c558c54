/** What only an instructor sees on the map: sources, and how far the estimated plume reaches. */
import * as L from "leaflet";
import { word } from "./lang.js";
import { formula } from "./reading.js";

/** @typedef {import("./types.js").DrillState} DrillState */
/** @typedef {import("./datum.js").Datum} Datum */

/** @param {string} level `aegl2` @returns {string} `AEGL-2` */
export const levelText = (level) => level.toUpperCase().replace(/^([A-Z]+)-?(\d)$/, "$1-$2");

export class Plume {
  /** @param {L.Map} map */
  constructor(map) {
    this.group = L.layerGroup().addTo(map);
    this.drawn = "";
  }

  /** @param {DrillState|null} state @param {Datum} datum */
  update(state, datum) {
    const { footprint = [], sources = [] } = state ?? {};
    const drawing = JSON.stringify([footprint, sources, document.documentElement.lang, datum.name]);
    if (drawing === this.drawn) return;
    this.drawn = drawing;
    this.group.clearLayers();
    const origin = sources[0] && datum.toMap(sources[0].lat, sources[0].lon);
    for (const { level, ppm, polygon } of footprint) {
      if (polygon.length < 3) continue;
      const points = polygon.map(([lat, lon]) => datum.toMap(lat, lon));
      L.polygon(points, { className: `plume ${level}`, interactive: false, weight: 2 })
        .addTo(this.group);
      this.#label(farthest(points, origin ?? points[0]), word("drill.footprint", { level: levelText(level), ppm }), "plume-label");
    }
    for (const { lat, lon, gas, active } of sources) {
      this.#label(datum.toMap(lat, lon), `☣ ${formula(gas) || gas}`, `plume-source${active ? " active" : ""}`);
    }
  }

  /** @param {[number, number]} at @param {string} text @param {string} classes */
  #label(at, text, classes) {
    const html = document.createElement("span");
    html.textContent = text;
    const icon = L.divIcon({ className: classes, html, iconSize: [0, 0] });
    L.marker(at, { icon, interactive: false, keyboard: false }).addTo(this.group);
  }
}

/**
 * The point of an outline that is farthest downwind, where labels do not crowd the source.
 * @param {[number, number][]} points @param {[number, number]} origin
 */
function farthest(points, [lat, lon]) {
  const squares = points.map((point) => (point[0] - lat) ** 2 + (point[1] - lon) ** 2);
  return points[squares.indexOf(Math.max(...squares))];
}

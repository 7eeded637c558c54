/** Meridians and parallels with their degrees: the map where there is no map. */
import * as L from "leaflet";

/** About so many lines each way. */
const LINES = 5;
/** Lines reach so much beyond the window, so that a drag does not run out of them. */
const MARGIN = 0.6;

/** @param {number} span degrees @returns {number} 1, 2 or 5 times a power of ten */
export function stepFor(span) {
  const raw = span / LINES;
  const power = 10 ** Math.floor(Math.log10(raw));
  return [1, 2, 5, 10].map((digit) => digit * power).find((step) => step >= raw) ?? 10 * power;
}

/** @param {number} degrees @param {number} step @param {string} positive @param {string} negative */
export function degreeText(degrees, step, positive, negative) {
  const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
  return `${Math.abs(degrees).toFixed(digits)}°${degrees < 0 ? negative : positive}`;
}

/** @param {number} low @param {number} high @param {number} step @returns {number[]} */
export function multiples(low, high, step) {
  const first = Math.ceil(low / step - 1e-9);
  const count = Math.floor(high / step + 1e-9) - first + 1;
  return Array.from({ length: Math.max(0, Math.min(count, 60)) }, (_, i) => (first + i) * step);
}

export class Graticule extends L.Layer {
  constructor() {
    super();
    this.lines = L.layerGroup();
    this.redraw = () => this.#draw();
  }

  /** @param {L.Map} map */
  onAdd(map) {
    this.lines.addTo(map);
    map.on("moveend resize", this.redraw);
    this.#draw();
    return this;
  }

  /** @param {L.Map} map */
  onRemove(map) {
    map.off("moveend resize", this.redraw);
    this.lines.remove();
    return this;
  }

  #draw() {
    const map = this._map;
    const inner = map.getBounds();
    const outer = inner.pad(MARGIN);
    const { x, y } = map.getSize();
    const step = stepFor((inner.getEast() - inner.getWest()) * Math.min(1, 700 / Math.max(x, 1)));
    this.lines.clearLayers();
    for (const lat of multiples(outer.getSouth(), outer.getNorth(), step)) {
      this.#line([[lat, outer.getWest()], [lat, outer.getEast()]]);
      const at = map.latLngToContainerPoint([lat, inner.getWest()]);
      if (at.y > 30 && at.y < y - 40) this.#label(map, 0, at.y, degreeText(lat, step, "N", "S"), "lat");
    }
    for (const lon of multiples(outer.getWest(), outer.getEast(), step)) {
      this.#line([[outer.getSouth(), lon], [outer.getNorth(), lon]]);
      const at = map.latLngToContainerPoint([inner.getNorth(), lon]);
      if (at.x > 60 && at.x < x - 130) this.#label(map, at.x, 0, degreeText(lon, step, "E", "W"), "lon");
    }
  }

  /** @param {[number, number][]} ends */
  #line(ends) {
    L.polyline(ends, { className: "graticule", interactive: false, weight: 1 }).addTo(this.lines);
  }

  /** @param {L.Map} map @param {number} x @param {number} y @param {string} text @param {string} way */
  #label(map, x, y, text, way) {
    const icon = L.divIcon({ className: `graticule-label ${way}`, html: text, iconSize: [0, 0] });
    L.marker(map.containerPointToLatLng([x, y]), { icon, interactive: false, keyboard: false })
      .addTo(this.lines);
  }
}

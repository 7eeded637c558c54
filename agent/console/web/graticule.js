/** Meridians and parallels with their degrees: the map where there is no map. */
import * as L from "leaflet";
import { degreeText, multiples, stepFor } from "./degrees.js";

/** Lines reach so much beyond the window, so that a drag does not run out of them. */
const MARGIN = 0.6;

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

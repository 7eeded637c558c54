/** The map: base map or graticule, the units, the scale, and which datum all this is in. */
import * as L from "leaflet";
import { baseLayer } from "./basemap.js";
import { WGS84, datumOf } from "./datum.js";
import { button, el, setText } from "./dom.js";
import { Graticule } from "./graticule.js";
import { labelled, language, titled, word } from "./lang.js";
import { UnitMarker } from "./marker.js";
import { Plume } from "./plume.js";
import { placeText } from "./reading.js";

/** @typedef {import("./fleet.js").Unit} Unit */
/** @typedef {import("./marker.js").Caption} Caption */
/** @typedef {import("./types.js").MapSource} MapSource */

/** Nearer than this (about 300 m across) nothing is gained by fitting. */
const FIT_ZOOM = 17;
/** Kept free about the units, pixels: for their labels, and so that a step moves no map. */
const EDGE = L.point(110, 85);
/** A label hangs so far below its mark, pixels. */
const LABEL = 84;
/** Nearer than this two labels cover each other, pixels. */
const NEAR = L.point(150, 75);
/** China, until a unit has been placed. */
const START = /** @type {[number, number]} */ ([32, 108]);

export class FleetMap {
  /** @param {HTMLElement} node @param {(id: string) => void} select */
  constructor(node, select) {
    this.select = select;
    this.datum = WGS84;
    /** @type {MapSource|null} */
    this.source = null;
    /** What is wrong with the base map, in the language of the moment. */
    this.problem = () => "";
    this.following = true;
    /** @type {Map<string, UnitMarker>} */
    this.markers = new Map();
    this.map = L.map(node, { zoomControl: false, attributionControl: false, zoomSnap: 0.5 })
      .setView(START, 4);
    this.map.on("dragstart", () => this.#follow(false));
    node.addEventListener("wheel", () => this.#follow(false), { passive: true });
    /** @type {L.Layer} */
    this.base = new Graticule().addTo(this.map);
    this.plume = new Plume(this.map);
    this.#controls(node);
    new ResizeObserver(() => this.map.invalidateSize({ pan: false })).observe(node);
  }

  /** @param {HTMLElement} node */
  #controls(node) {
    const zoom = (/** @type {number} */ by) => () => {
      this.#follow(false);
      this.map.setZoom(this.map.getZoom() + by);
    };
    this.fit = button("map-fit", () => this.#follow(true));
    node.append(el("div", "map-tools",
      titled(button("", zoom(1), "+"), "map.zoomin"),
      titled(button("", zoom(-1), "−"), "map.zoomout"), this.fit));
    L.DomEvent.disableClickPropagation(/** @type {HTMLElement} */ (node.lastElementChild));
    this.says = el("div", "map-datum");
    this.cursor = el("div", "map-cursor");
    node.append(this.says, this.cursor);
    L.control.scale({ imperial: false, maxWidth: 140 }).addTo(this.map);
    this.map.on("mousemove", ({ latlng }) => setText(this.cursor ?? node,
      placeText(...this.datum.fromMap(latlng.lat, latlng.lng))));
    this.map.on("mouseout", () => setText(this.cursor ?? node, ""));
    this.#follow(true);
  }

  /** @param {boolean} on */
  #follow(on) {
    this.following = on;
    if (!this.fit) return;
    labelled(this.fit, on ? "map.follow" : "map.fit");
    this.fit.setAttribute("aria-pressed", String(on));
    if (on) this.#fitAll();
  }

  #fitAll() {
    const places = [...this.markers.values()].flatMap(({ place }) => (place ? [place] : []));
    if (!places.length) return;
    const { x, y } = this.map.getSize();
    const inside = places.every((place) => {
      const at = this.map.latLngToContainerPoint(place);
      return at.x > EDGE.x / 2 && at.x < x - EDGE.x / 2 && at.y > EDGE.y / 2 && at.y < y - LABEL;
    });
    const bounds = L.latLngBounds(places);
    const best = Math.min(FIT_ZOOM, this.map.getBoundsZoom(bounds, false, EDGE.multiplyBy(2)));
    // Moved only when somebody is about to leave, or when far too much is shown: a calm map.
    if (inside && best - this.map.getZoom() < 1.5) return;
    this.map.fitBounds(bounds, { maxZoom: FIT_ZOOM, animate: false, padding: EDGE });
  }

  /** @param {MapSource} source */
  async setSource(source) {
    if (JSON.stringify(source) === JSON.stringify(this.source)) return;
    this.source = source;
    this.problem = () => "";
    if (source.kind === "none" || !source.url) return;
    const datum = datumOf(source.datum);
    if (!datum) {
      this.problem = () => word("map.datum.refused", { datum: source.datum ?? "" });
      return;
    }
    const dark = document.documentElement.dataset.theme !== "light";
    const layer = await baseLayer(source, language(), dark, (reason) => {
      this.problem = () => word("map.failed", { reason });
    });
    this.base.remove();
    this.base = layer.addTo(this.map);
    this.datum = datum;
  }

  /** @param {Unit[]} units @param {(unit: Unit) => Caption} captionOf */
  update(units, captionOf) {
    const ids = new Set(units.map(({ id }) => id));
    for (const [id, marker] of this.markers) {
      if (ids.has(id)) continue;
      marker.remove();
      this.markers.delete(id);
    }
    for (const unit of units) {
      let marker = this.markers.get(unit.id);
      if (!marker) {
        marker = new UnitMarker(this.map, unit.id, () => this.select(unit.id));
        this.markers.set(unit.id, marker);
      }
      marker.update(unit, captionOf(unit), this.datum);
    }
    if (this.following) this.#fitAll();
    this.#spread();
    this.#state();
  }

  /** Labels of units that stand close together go to the sides. */
  #spread() {
    const placed = [...this.markers.values()].flatMap((marker) =>
      (marker.place ? [{ marker, at: this.map.latLngToContainerPoint(marker.place) }] : []));
    for (const { marker, at } of placed) {
      const near = placed.filter((one) => one.marker !== marker &&
        Math.abs(one.at.x - at.x) < NEAR.x && Math.abs(one.at.y - at.y) < NEAR.y);
      const left = near.every((one) => at.x < one.at.x);
      marker.putLabel(near.length ? (left ? "left" : "right") : "below");
    }
  }

  #state() {
    if (!this.says) return;
    const drawn = !(this.base instanceof Graticule);
    const text = !drawn ? word("map.datum.none")
      : word(this.datum.shifted ? "map.datum.shifted" : "map.datum", { datum: this.datum.name });
    const problem = this.problem();
    setText(this.says, [problem, text].filter(Boolean).join(" — "));
    this.says.classList.toggle("problem", problem !== "");
  }

  /** @param {string} id */
  show(id) {
    const place = this.markers.get(id)?.place;
    if (!place) return;
    this.#follow(false);
    this.map.setView(place, Math.max(this.map.getZoom(), 15));
  }
}

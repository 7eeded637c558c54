/** One unit on the map: where it is, where it heads, where it came from, how old that is. */
import * as L from "leaflet";
import { el, setClass, setText } from "./dom.js";

/** @typedef {import("./fleet.js").Unit} Unit */
/** @typedef {import("./datum.js").Datum} Datum */

/** Slower than this (m/s) a course over ground means nothing. */
const STILL_M_S = 0.3;
const SVG = "http://www.w3.org/2000/svg";
/** Outlines in a box of 40 about the middle: with and without a heading. */
const SHAPES = {
  vehicle: "M-11-11H11V11H-11Z",
  person: "M0-11A11 11 0 1 1 0 11A11 11 0 1 1 0-11Z",
  heading: "M0-29L9-15H-9Z",
};

/**
 * What a marker says beside the unit itself.
 * @typedef {object} Caption
 * @property {string} name
 * @property {string} age "" where the position is fresh
 * @property {string} sign of the worst alarm, "" without
 * @property {boolean} open nobody has acknowledged it
 * @property {boolean} old
 * @property {boolean} selected
 * @property {string} colour
 */

export class UnitMarker {
  /** @param {L.Map} map @param {string} id @param {() => void} pressed */
  constructor(map, id, pressed) {
    this.map = map;
    this.path = svg("path", "m-body");
    this.needle = svg("path", "m-heading");
    this.needle.setAttribute("d", SHAPES.heading);
    const drawing = svg("svg", "m-shape", this.needle, this.path);
    drawing.setAttribute("viewBox", "-30 -30 60 60");
    this.sign = el("span", "m-sign");
    this.name = el("b");
    this.age = el("span", "m-age");
    this.node = el("div", "m", drawing, this.sign, el("div", "m-label", this.name, this.age));
    this.marker = L.marker([0, 0], {
      icon: L.divIcon({ className: "m-icon", html: this.node, iconSize: [54, 54] }),
      title: id, alt: id, riseOnHover: true,
    }).on("click", pressed);
    this.track = L.polyline([], { weight: 3, interactive: false, className: "track" });
    this.error = L.circle([0, 0], { radius: 0, weight: 1, interactive: false, className: "error" });
  }

  /** @param {Unit} unit @param {Caption} caption @param {Datum} datum */
  update(unit, caption, datum) {
    const { fix, track, status } = unit.state;
    const last = track[track.length - 1];
    const placed = typeof fix?.lat === "number" && typeof fix.lon === "number";
    const here = placed ? [fix.lat, fix.lon] : last ? [last[1], last[2]] : null;
    if (!here) return;
    const at = datum.toMap(/** @type {number} */ (here[0]), /** @type {number} */ (here[1]));
    this.track.setLatLngs(track.map(([, lat, lon]) => datum.toMap(lat, lon)));
    this.track.setStyle({ color: caption.colour });
    this.error.setLatLng(at).setRadius(fix?.eph ?? 0);
    this.error.setStyle({ color: caption.colour, fillColor: caption.colour });
    this.marker.setLatLng(at).setZIndexOffset(caption.selected ? 1000 : caption.sign ? 500 : 0);
    if (!this.map.hasLayer(this.marker)) {
      for (const layer of [this.error, this.track, this.marker]) layer.addTo(this.map);
    }
    this.#dress(unit, caption, status?.profile ?? "");
  }

  /** @param {Unit} unit @param {Caption} caption @param {string} profile */
  #dress({ state: { fix } }, caption, profile) {
    this.path.setAttribute("d", profile === "soldier" ? SHAPES.person : SHAPES.vehicle);
    const moving = typeof fix?.track === "number" && (fix.speed ?? 0) >= STILL_M_S;
    this.needle.toggleAttribute("hidden", !moving);
    this.needle.setAttribute("transform", `rotate(${(fix?.track ?? 0).toFixed(0)})`);
    this.node.style.setProperty("--unit", caption.colour);
    setText(this.name, caption.name);
    setText(this.age, caption.age);
    setText(this.sign, caption.sign);
    setClass(this.node, "old", caption.old);
    setClass(this.node, "selected", caption.selected);
    setClass(this.sign, "acked", !caption.open);
  }

  /** Where the label stands: below, or beside where two would cover each other. @param {string} side */
  putLabel(side) {
    if (this.node.dataset.label !== side) this.node.dataset.label = side;
  }

  /** @returns {L.LatLng|null} on the map, shifted if the map is */
  get place() {
    return this.map.hasLayer(this.marker) ? this.marker.getLatLng() : null;
  }

  remove() {
    for (const layer of [this.error, this.track, this.marker]) layer.remove();
  }
}

/** @param {string} tag @param {string} classes @param {...Element} children */
function svg(tag, classes, ...children) {
  const node = document.createElementNS(SVG, tag);
  node.setAttribute("class", classes);
  node.append(...children);
  return node;
}

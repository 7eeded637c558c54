/** Readings as people read them: numbers, units, symbols, ages.  Pure. */

/** SenML's unit codes that people do not write so. @type {Record<string, string>} */
const UNITS = {
  "/100": "%vol", "Cel": "°C", "deg": "°", "ug/m3": "µg/m³", "W/m2": "W/m²", "%RH": "%RH",
  "%EL": "%", "uSv/h": "µSv/h", "mg/m3": "mg/m³", "lx": "lx",
};

/** Formulas with digits set low, for the quantities that are named by one. */
const FORMULA = /^(cl2|co2?|h2s?|o[23]|nh3|so2|no2?|ch4|ch2o|hcl|hf|hcn|ph3|c2h4)$/;
/** @type {Record<string, string>} */
const ATOMS = { c: "C", h: "H", n: "N", o: "O", s: "S", p: "P", f: "F", cl: "Cl" };

/** Gases come first, then what hurts slowly, then the weather. */
const GAS = /^(cl2|co|h2s|o2|nh3|so2|no2?|ch4|ch2o|o3|hcl|hf|hcn|ph3|eto|c2h4|h2|co2|voc|combustible)$/;

/** @param {string} quantity */
export const isGas = (quantity) => GAS.test(quantity);

/** @param {string} quantity @returns {boolean} shown in the head of a card, not as a tile */
export const isBattery = (quantity) => /^(battery|state_of_charge)/.test(quantity);

/** @param {string} quantity @returns {string} "Cl₂" for `cl2`, "" where there is no formula */
export function formula(quantity) {
  if (quantity === "combustible") return "Ex";
  if (quantity === "eto") return "C₂H₄O";
  if (quantity === "voc") return "VOC";
  if (!FORMULA.test(quantity)) return "";
  return quantity.replace(/cl|[a-z]|\d/g, (part) =>
    ATOMS[part] ?? String.fromCharCode(0x2080 + Number(part)));
}

/** @param {string|undefined} unit */
export const unitText = (unit) => (unit ? UNITS[unit] ?? unit : "");

/**
 * A number with the digits that a person can use.
 * @param {number|null|undefined} value @param {string} [unit]
 */
export function valueText(value, unit = "") {
  if (value === null || value === undefined || !Number.isFinite(value)) return "—";
  const size = Math.abs(value);
  if (unit === "deg" || unit === "hPa" || size >= 100) return value.toFixed(0);
  if (unit === "/100" || unit === "Cel" || unit === "dB" || unit === "m/s") return value.toFixed(1);
  if (unit === "%RH" || unit === "%EL" || unit === "%") return value.toFixed(0);
  return value.toFixed(size >= 10 ? 1 : 2);
}

/** @param {number|null|undefined} value @param {string} [unit] @returns {string} "0.52 ppm" */
export function quantityText(value, unit = "") {
  const text = unitText(unit);
  return text === "°" ? `${valueText(value, unit)}°` : `${valueText(value, unit)} ${text}`.trim();
}

/**
 * The order of tiles in a card and of charts: gases, then the rest, each by name.
 * @param {string} a @param {string} b quantities
 */
export function byImportance(a, b) {
  return Number(isGas(b)) - Number(isGas(a)) || a.localeCompare(b);
}

/**
 * @param {number} ms @returns {{key: "age.s"|"age.min"|"age.h"|"age.d", values: Record<string, number>}}
 */
export function ageParts(ms) {
  const s = Math.max(0, Math.floor(ms / 1000));
  if (s < 100) return { key: "age.s", values: { n: s } };
  if (s < 3600) return { key: "age.min", values: { n: Math.floor(s / 60), s: s % 60 } };
  if (s < 86400) {
    return { key: "age.h", values: { n: Math.floor(s / 3600), min: Math.floor((s % 3600) / 60) } };
  }
  return { key: "age.d", values: { n: Math.floor(s / 86400) } };
}

/** @param {number} s @returns {string} "3:07" */
export function clockText(s) {
  const whole = Math.max(0, Math.floor(s));
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}

/** @param {number} lat @param {number} lon degrees */
export function placeText(lat, lon) {
  const ns = lat < 0 ? "S" : "N", ew = lon < 0 ? "W" : "E";
  return `${Math.abs(lat).toFixed(5)}°${ns} ${Math.abs(lon).toFixed(5)}°${ew}`;
}

/** Readings as people read them: numbers, units, symbols, ages.  Pure. */

/** SenML's unit codes that people do not write so. @type {Record<string, string>} */
const UNITS = {
  "/100": "%", "%EL": "%", "/": "", "Cel": "°C", "deg": "°", "ug/m3": "µg/m³", "mg/m3": "mg/m³",
  "g/m3": "g/m³", "kg/m3": "kg/m³", "W/m2": "W/m²", "uSv/h": "µSv/h", "1/min": "/min",
  "1/cm3": "/cm³", "um": "µm",
};

/** Digits after the point, by unit; others by size. @type {Record<string, number>} */
const DIGITS = {
  "deg": 0, "hPa": 0, "%RH": 0, "%EL": 0, "%": 0, "dBm": 0, "1/min": 0, "W": 0, "W/m2": 0, "lx": 0,
  "/100": 1, "Cel": 1, "dB": 1, "m/s": 1, "mm": 1, "GB": 1, "V": 1, "/": 0, "": 0,
};

/** Formulas with digits set low, for the quantities that are named by one. */
const FORMULA = /^(cl2|clo2|co2?|h2s?|o[23]|nh3|so2|no[2x]?|ch4|ch2o|hcl|hf|hcn|ph3|ash3|sih4|c2h[24]|c3h8|c6h6)$/;
/** @type {Record<string, string>} */
const ATOMS = { c: "C", h: "H", n: "N", o: "O", s: "S", p: "P", f: "F", cl: "Cl", as: "As", si: "Si", x: "ₓ" };

const GAS = /^(cl2|clo2|co2?|h2s?|o[23]|nh3|so2|no[2x]?|ch4|ch2o|hcl|hf|hcn|ph3|ash3|sih4|eto|c2h[24]|c3h8|c6h6|voc|combustible)$/;
const MODIFIER = /_(min|max|mean|apparent)(?=_|$)/g;

/** What else hurts, then the weather, then the kit itself, each in the order of its use. */
const DANGERS = ["dose_rate", "count_rate", "gas_class", "voc_grade"];
const AROUND = `wind_speed wind_direction temperature humidity pressure pressure_station
  pressure_sea_level dew_point wet_bulb absolute_humidity air_density rain rain_intensity
  rain_duration hail hail_intensity hail_duration precipitation_type radiation sunshine illuminance
  water_temperature level noise pm2_5 pm10 pm1 pm4 pn0_3 pn0_5 pn1 pn2_5 pn4 pn5 pn10
  particle_size`.split(/\s+/);
const KIT = `battery voltage current power time_left cell_temperature mains mains_voltage load
  load_current solar_power solar_voltage network_generation signal_quality rsrp rssi rsrq sinr
  cpu_temperature under_voltage throttled cpu_load memory_used disk_free disk_used supply_voltage
  reference_voltage internal_temperature heater_temperature heater_voltage heading pitch
  roll`.split(/\s+/);

/** Of the weather, what nobody needs at a glance; a minimum, maximum or mean neither. */
const ASIDE = new Set(`pressure_station pressure_sea_level dew_point wet_bulb absolute_humidity
  air_density rain rain_duration hail hail_duration hail_intensity radiation sunshine illuminance
  noise pm1 pm4 pn0_3 pn0_5 pn1 pn2_5 pn4 pn5 pn10 particle_size`.split(/\s+/));

/** @typedef {"gas"|"around"|"kit"} Group */

/** @param {string} quantity */
export const isGas = (quantity) => GAS.test(quantity);

/** @param {string} quantity @returns {string[]} `wind_speed` and its modifiers, `max` and `apparent` */
export const partsOf = (quantity) => [
  quantity.replace(MODIFIER, ""), ...[...quantity.matchAll(MODIFIER)].map(([, one]) => one),
];

/** @param {string} quantity @returns {Group} what nobody knows stands with the weather */
export function groupOf(quantity) {
  const [base] = partsOf(quantity);
  if (isGas(quantity) || DANGERS.includes(base)) return "gas";
  return KIT.includes(base) ? "kit" : "around";
}

/** @param {string} quantity @returns {boolean} shown only to who asks, unless an alarm stands */
export function isAside(quantity) {
  const [base, ...modifiers] = partsOf(quantity);
  const rough = modifiers.some((modifier) => modifier !== "apparent");
  return groupOf(quantity) === "kit" || (groupOf(quantity) === "around" && (rough || ASIDE.has(base)));
}

/** @param {string} quantity @returns {string} "Cl₂" for `cl2`, "" where there is no formula */
export function formula(quantity) {
  if (quantity === "combustible") return "Ex";
  if (quantity === "eto") return "C₂H₄O";
  if (quantity === "voc") return "VOC";
  if (!FORMULA.test(quantity)) return "";
  return quantity.replace(/cl|as|si|[a-z]|\d/g, (part) =>
    ATOMS[part] ?? String.fromCharCode(0x2080 + Number(part)));
}

/**
 * @param {string|undefined} unit @param {string} [quantity]
 * @returns {string} of a gas, a share is one of volume: %vol
 */
export function unitText(unit, quantity = "") {
  if (unit === "/100" && (quantity === "" || isGas(quantity))) return "%vol";
  return unit ? UNITS[unit] ?? unit : "";
}

/**
 * A number with the digits that a person can use.
 * @param {number|null|undefined} value @param {string} [unit]
 */
export function valueText(value, unit = "ppm") {
  if (value === null || value === undefined || !Number.isFinite(value)) return "—";
  const size = Math.abs(value);
  if (size >= 100) return value.toFixed(0);
  const share = (unit === "/" || unit === "") && !Number.isInteger(value);
  return value.toFixed(share ? 2 : DIGITS[unit] ?? (size >= 10 ? 1 : 2));
}

/**
 * @param {number|null|undefined} value @param {string} [unit] @param {string} [quantity]
 * @returns {string} "0.52 ppm"
 */
export function quantityText(value, unit = "ppm", quantity = "") {
  const text = unitText(unit, quantity);
  return text === "°" ? `${valueText(value, unit)}°` : `${valueText(value, unit)} ${text}`.trim();
}

/** @param {string} quantity @returns {number} */
function place(quantity) {
  const [base, ...modifiers] = partsOf(quantity);
  const order = [...DANGERS, ...AROUND, ...KIT].indexOf(base);
  if (isGas(quantity)) return -1;
  return order < 0 ? DANGERS.length + AROUND.length - 0.5 : order + modifiers.length / 10;
}

/**
 * The order of tiles in a card and of charts: gases by name, the weather, then the kit itself.
 * @param {string} a @param {string} b quantities
 */
export const byImportance = (a, b) => place(a) - place(b) || a.localeCompare(b);

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

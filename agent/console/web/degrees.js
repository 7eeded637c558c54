/** Which degrees a graticule shows, and how they are written.  Pure. */

/** About so many lines each way. */
const LINES = 5;

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

/**
 * Datums of base maps.  Positions come in WGS-84; public maps of mainland China are drawn in
 * GCJ-02, where an unshifted mark would stand some 600 m away from the person.
 */

/** Krasovsky's ellipsoid, as GCJ-02 uses it: semi-major axis in m, first eccentricity squared. */
const A = 6378245.0;
const E2 = 0.00669342162296594323;
const RAD = Math.PI / 180;

/** Only inside this box is anything shifted (degrees). */
const WEST = 72.004, EAST = 137.8347, SOUTH = 0.8293, NORTH = 55.8271;

/**
 * The two sine terms that latitude and longitude share.
 * @param {number} x @param {number} a @param {number} b
 */
const waves = (x, a, b) =>
  ((20 * Math.sin(x * Math.PI) + 40 * Math.sin((x / 3) * Math.PI)) * 2) / 3 +
  ((a * Math.sin((x / 12) * Math.PI) + b * Math.sin((x / 30) * Math.PI)) * 2) / 3;

/** @param {number} x @param {number} y degrees east of 105, north of 35 @returns {number} m */
function northing(x, y) {
  return -100 + 2 * x + 3 * y + 0.2 * y * y + 0.1 * x * y + 0.2 * Math.sqrt(Math.abs(x)) +
    ((20 * Math.sin(6 * x * Math.PI) + 20 * Math.sin(2 * x * Math.PI)) * 2) / 3 +
    waves(y, 160, 320);
}

/** @param {number} x @param {number} y degrees east of 105, north of 35 @returns {number} m */
function easting(x, y) {
  return 300 + x + 2 * y + 0.1 * x * x + 0.1 * x * y + 0.1 * Math.sqrt(Math.abs(x)) +
    ((20 * Math.sin(6 * x * Math.PI) + 20 * Math.sin(2 * x * Math.PI)) * 2) / 3 +
    waves(x, 150, 300);
}

/**
 * WGS-84 to GCJ-02 (the usual transform, good to about a metre against the official one).
 * @param {number} lat @param {number} lon degrees @returns {[number, number]} lat, lon in degrees
 */
export function gcj02FromWgs84(lat, lon) {
  if (lon < WEST || lon > EAST || lat < SOUTH || lat > NORTH) return [lat, lon];
  const magic = 1 - E2 * Math.sin(lat * RAD) ** 2;
  const meridian = (A * (1 - E2)) / (magic * Math.sqrt(magic));
  const parallel = (A / Math.sqrt(magic)) * Math.cos(lat * RAD);
  return [
    lat + northing(lon - 105, lat - 35) / (meridian * RAD),
    lon + easting(lon - 105, lat - 35) / (parallel * RAD),
  ];
}

/**
 * GCJ-02 to WGS-84 by fixed-point iteration (8 steps end below 1e-8 m).
 * @param {number} lat @param {number} lon degrees @returns {[number, number]} lat, lon in degrees
 */
export function wgs84FromGcj02(lat, lon) {
  let [y, x] = [lat, lon];
  for (let step = 0; step < 8; step += 1) {
    const [shiftedLat, shiftedLon] = gcj02FromWgs84(y, x);
    y += lat - shiftedLat;
    x += lon - shiftedLon;
  }
  return [y, x];
}

/**
 * How WGS-84 positions get onto a map, and back from it.
 * @typedef {object} Datum
 * @property {string} name as it is shown
 * @property {boolean} shifted
 * @property {(lat: number, lon: number) => [number, number]} toMap
 * @property {(lat: number, lon: number) => [number, number]} fromMap
 */

/** @type {Record<string, Datum>} */
const KNOWN = {
  wgs84: {
    name: "WGS-84", shifted: false,
    toMap: (lat, lon) => [lat, lon], fromMap: (lat, lon) => [lat, lon],
  },
  gcj02: { name: "GCJ-02", shifted: true, toMap: gcj02FromWgs84, fromMap: wgs84FromGcj02 },
};

/** The datum without a base map. */
export const WGS84 = KNOWN.wgs84;

/**
 * @param {string|null|undefined} code as `--map-datum` gives it
 * @returns {Datum|null} null where the datum is not known: such a map must not be shown
 */
export function datumOf(code) {
  return Object.hasOwn(KNOWN, code ?? "") ? KNOWN[code ?? ""] : null;
}

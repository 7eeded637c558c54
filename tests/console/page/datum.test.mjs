import assert from "node:assert/strict";
import test from "node:test";
import { datumOf, gcj02FromWgs84, wgs84FromGcj02 } from "../../../agent/console/web/datum.js";

/** WGS-84, then GCJ-02: pairs published beside the transform; to a tenth of a metre or so. */
const PLACES = {
  Wuhan: [30.593067, 114.305850, 30.590658, 114.311295],
  Yichang: [30.691900, 111.286500, 30.689461, 111.292160],
  Beijing: [39.904200, 116.407400, 39.905603, 116.413642],
  Shenzhen: [22.543100, 114.057900, 22.540383, 114.063014],
};

test("GCJ-02 of known places", () => {
  for (const [name, [lat, lon, wantedLat, wantedLon]] of Object.entries(PLACES)) {
    const [gotLat, gotLon] = gcj02FromWgs84(lat, lon);
    assert.ok(Math.abs(gotLat - wantedLat) < 1e-6 && Math.abs(gotLon - wantedLon) < 1e-6, name);
  }
});

test("there and back again ends where it began", () => {
  for (const [name, [lat, lon]] of Object.entries(PLACES)) {
    const [backLat, backLon] = wgs84FromGcj02(...gcj02FromWgs84(lat, lon));
    assert.ok(Math.abs(backLat - lat) < 1e-10 && Math.abs(backLon - lon) < 1e-10, name);
  }
});

test("nothing is shifted outside of China's box", () => {
  assert.deepEqual(gcj02FromWgs84(48.85, 2.35), [48.85, 2.35]);
  assert.deepEqual(gcj02FromWgs84(-33.9, 115.0), [-33.9, 115.0]);
});

test("a datum that is not known is none, also under an object's own names", () => {
  assert.equal(datumOf("wgs84")?.shifted, false);
  assert.equal(datumOf("gcj02")?.name, "GCJ-02");
  for (const code of ["bd09", "", null, undefined, "toString", "WGS84"]) assert.equal(datumOf(code), null);
});

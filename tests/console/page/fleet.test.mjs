import assert from "node:assert/strict";
import test from "node:test";
import { Fleet, LOG_ENTRIES, SERIES_POINTS, insertByTime } from "../../../agent/console/web/fleet.js";

const reading = (t, value, more = {}) => ({
  t, value, seq: t, source: "gas1", quantity: "cl2", unit: "ppm", quality: "good", late: false, ...more,
});
const records = (...list) => ({ type: "records", unit: "ex-a", records: list });
const alarm = (code, rank, more = {}) => ({
  alarm: `gas1/cl2/${code}`, code, rank, change: "raised", state: "unacknowledged",
  source: "gas1", quantity: "cl2", ...more,
});

test("what comes late fills the curve and leaves the newest value alone", () => {
  const fleet = new Fleet();
  fleet.apply(records(reading(1000, 1), reading(3000, 3)));
  fleet.apply(records(reading(2000, 2, { late: true })));
  const { latest, series } = fleet.unit("ex-a").state;
  assert.equal(latest["gas1/cl2"].value, 3);
  assert.deepEqual(series["gas1/cl2"], [[1000, 1], [2000, 2], [3000, 3]]);
});

test("the same time twice is one point", () => {
  const list = [[1, "a"], [3, "c"]];
  insertByTime(list, [3, "d"], 10, false);
  assert.deepEqual(list, [[1, "a"], [3, "d"]]);
});

test("a curve is bounded, and starts anew when the unit's clock is set back", () => {
  const list = [];
  for (let t = 0; t < SERIES_POINTS + 50; t += 1) insertByTime(list, [t, t], SERIES_POINTS, false);
  assert.equal(list.length, SERIES_POINTS);
  assert.equal(list[0][0], 50);
  const ahead = [[9_000_000, 1]];
  insertByTime(ahead, [1000, 2], 10, false);
  assert.deepEqual(ahead, [[1000, 2]]);
  const late = [[9_000_000, 1]];
  insertByTime(late, [1000, 2], 10, true);
  assert.equal(late.length, 2);
});

test("a fix moves the unit and lengthens its track", () => {
  const fleet = new Fleet();
  const fix = { mode: 3, lat: 30.5, lon: 114.3 };
  fleet.apply(records(reading(1000, null, { source: "gnss", quantity: "position", fix })));
  fleet.apply(records(reading(2000, null, { source: "gnss", quantity: "position", fix: { mode: 1 } })));
  const { state } = fleet.unit("ex-a");
  assert.deepEqual(state.track, [[1000, 30.5, 114.3]]);
  assert.equal(state.fix.mode, 1);
  assert.deepEqual(state.latest, {});
});

test("alarms stand in the order of their rank, those acknowledged last", () => {
  const fleet = new Fleet();
  fleet.apply({ type: "active", unit: "ex-a", alarms: [alarm("low", 3), alarm("high", 1, { state: "acknowledged" })] });
  fleet.apply({ type: "active", unit: "ex-b", alarms: [alarm("sos", 2)] });
  assert.deepEqual(fleet.alarms().map(({ alarm: { code } }) => code), ["sos", "low", "high"]);
});

test("the strictest limit of all units is drawn", () => {
  const fleet = new Fleet();
  const say = (unit, limit) => fleet.apply({ type: "status", unit, status: { limits: [limit] } });
  say("ex-a", { quantity: "o2", unit: "/100", low: 23.5, deficient: 19.5 });
  say("ex-b", { quantity: "o2", unit: "/100", low: 23, deficient: 19 });
  assert.deepEqual(Object.fromEntries(fleet.limits.get("o2")), { low: 23, deficient: 19.5 });
  assert.equal(fleet.limits.get("co"), undefined);
});

test("a transition changes what stands; one that comes late does not", () => {
  const fleet = new Fleet();
  const say = (record) => fleet.apply({ type: "alarm", unit: "ex-a", record: { t: 1, ...record } });
  say(alarm("high", 1, { limit: 1 }));
  assert.equal(fleet.alarms().length, 1);
  assert.equal(fleet.limits.get("cl2").get("high"), 1);
  say(alarm("low", 3, { late: true }));
  assert.equal(fleet.alarms().length, 1);
  say(alarm("high", 1, { state: "normal", change: "cleared" }));
  assert.equal(fleet.alarms().length, 0);
  assert.equal(fleet.log.length, 3);
});

test("the log is newest first and bounded", () => {
  const fleet = new Fleet();
  for (let t = 1; t <= LOG_ENTRIES + 9; t += 1) {
    fleet.apply({ type: "event", unit: "ex-a", record: { t, event: "source_up" } });
  }
  fleet.apply({ type: "event", unit: "ex-a", record: { t: 100, event: "older" } });
  assert.equal(fleet.log.length, LOG_ENTRIES);
  assert.equal(fleet.log[0].t, LOG_ENTRIES + 9);
  assert.ok(fleet.log.every((entry, at, log) => !at || log[at - 1].t >= entry.t));
});

test("a unit is old without news, without a link, and when it has stopped", () => {
  const fleet = new Fleet();
  fleet.apply(records(reading(50_000, 1)));
  const unit = fleet.unit("ex-a");
  assert.equal(unit.isOld(51_000), false);
  assert.equal(unit.isOld(61_000), true);
  fleet.apply({ type: "link", unit: "ex-a", path: "center", state: "lost" });
  assert.equal(unit.isOld(51_000), true);
  fleet.apply({ type: "link", unit: "ex-a", path: "local", state: "up" });
  assert.equal(unit.isOld(51_000), false);
  assert.equal(unit.link, "up");
  fleet.apply({ type: "status", unit: "ex-a", status: { state: "stopped", name: {} } });
  assert.equal(unit.isOld(51_000), true);
});

test("a snapshot replaces all that was known", () => {
  const fleet = new Fleet();
  fleet.apply(records(reading(1000, 1)));
  fleet.apply({ type: "snapshot", units: { "ex-b": { alarms: [alarm("low", 3, { limit: 0.5 })] } } });
  assert.deepEqual([...fleet.units.keys()], ["ex-b"]);
  assert.deepEqual(fleet.units.get("ex-b").state.counts, { received: 0, repeated: 0, missing: 0 });
  assert.equal(fleet.limits.get("cl2").get("low"), 0.5);
});

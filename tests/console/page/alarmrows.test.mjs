import assert from "node:assert/strict";
import test from "node:test";
import { FLOOD, rowsOf } from "../../../agent/console/web/alarmrows.js";

/** @param {string} unit @param {string} code @param {number} rank */
const one = (unit, code, rank, quantity = "cl2", state = "unacknowledged") =>
  ({ unit: { id: unit }, alarm: { code, rank, quantity, state, alarm: `${unit}/${quantity}/${code}` } });
const units = (count, ...rest) => Array.from({ length: count }, (_, at) => one(`u${String(at).padStart(2, "0")}`, ...rest));

test("few alarms stand each for itself, in the order that was given", () => {
  const few = units(FLOOD, "high", 1);
  assert.deepEqual(rowsOf(few).map(({ members }) => members[0]), few);
});

test("in a flood the same of many shares a row, by rank, and people keep rows of their own", () => {
  const rows = rowsOf([...units(20, "silent", 4, "co"), ...units(3, "sos", 2, "sos"), ...units(20, "low", 3), ...units(20, "high", 1)]);
  assert.deepEqual(rows.map(({ key, members }) => [key, members.length]),
    [["high/cl2", 20], ["", 1], ["", 1], ["", 1], ["low/cl2", 20], ["silent", 20]]);
});

test("too many people share a row too; faults of all kinds of sensors do", () => {
  const rows = rowsOf([...units(6, "sos", 2, "sos"), ...units(4, "silent", 4, "co"), ...units(4, "silent", 4, "o2")]);
  assert.deepEqual(rows.map(({ key, members }) => [key, members.length]), [["sos", 6], ["silent", 8]]);
});

test("what has been seen goes behind, and a group with one that has not does not", () => {
  const seen = units(20, "high", 1, "co", "acknowledged");
  const rows = rowsOf([...seen, ...units(19, "low", 3), one("u19", "low", 3, "cl2", "acknowledged")]);
  assert.deepEqual(rows.map(({ key }) => key), ["low/cl2", "high/co"]);
});

test("nobody is lost, and rows do not jump while the same alarms are told in another order", () => {
  const all = [...units(20, "high", 1), ...units(20, "high", 1, "co"), ...units(2, "sos", 2, "sos")];
  const names = (list) => rowsOf(list).map(({ key, members }) => key || members[0].alarm.alarm);
  assert.deepEqual(names([...all].reverse()), names(all));
  assert.equal(rowsOf(all).flatMap(({ members }) => members).length, all.length);
});

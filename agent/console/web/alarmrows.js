/** Which alarms share a row when there are many: a flood must not hide a call for help. Pure. */
import { isOpen, isPerson } from "./alarm.js";

/** @typedef {import("./types.js").Alarm} Alarm */
/** @typedef {{unit: {id: string}, alarm: Alarm}} One */

/** More than so many alarms, and those that say the same share a row. */
export const FLOOD = 8;
/** So many people in need each keep a row of their own. */
const PEOPLE = 4;
const FAULT_RANK = 4;

/**
 * The first to read first: not acknowledged before acknowledged, then by rank, then as they are
 * called, so that nothing jumps while more come.
 * @template {One} T
 * @param {T[]} standing in order
 * @returns {{key: string, members: T[]}[]}
 */
export function rowsOf(standing) {
  if (standing.length <= FLOOD) return standing.map((one) => ({ key: "", members: [one] }));
  /** @type {Map<string, T[]>} */
  const groups = new Map();
  for (const one of standing) {
    const key = keyOf(one.alarm);
    const there = groups.get(key);
    if (there) there.push(one);
    else groups.set(key, [one]);
  }
  return [...groups].flatMap(([key, members]) => {
    const alone = members.length === 1 || (isPerson(members[0].alarm) && members.length <= PEOPLE);
    return alone ? members.map((one) => ({ key: "", members: [one], sort: key }))
      : [{ key, members, sort: key }];
  }).sort((a, b) => weight(a.members) - weight(b.members) || a.sort.localeCompare(b.sort)
    || a.members[0].unit.id.localeCompare(b.members[0].unit.id));
}

/** What says the same: one gas at one level, or one kind of fault. @param {Alarm} alarm */
const keyOf = (alarm) =>
  (alarm.rank >= FAULT_RANK || isPerson(alarm) ? alarm.code : `${alarm.code}/${alarm.quantity}`);

/** @param {One[]} members */
const weight = (members) => Math.min(...members.map(({ alarm }) => alarm.rank + (isOpen(alarm) ? 0 : 10)));

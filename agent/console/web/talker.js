/** Who is heard in a unit's speaker. */

/** @typedef {import("./types.js").EventRecord} EventRecord */

/** An end that was never told of is one after so long. */
const TALK_MS = 90_000;

/** As the unit last said; empty: nobody. @param {EventRecord[]} events @param {number} now */
export function talkerOf(events, now) {
  const last = events.filter(({ event }) => event === "talk").at(-1);
  if (!last || last.data?.state !== "begins" || now - last.t > TALK_MS) return "";
  return String(last.data.by ?? "");
}

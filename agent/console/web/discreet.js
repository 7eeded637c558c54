/**
 * A silent call for help must not be seen where it was made: a page at that unit shows nothing of it
 * but dots beside the heart.  Everywhere else it is an alarm like any other.
 */

/** @typedef {import("./types.js").Message} Message */
/** @typedef {import("./types.js").Status} Status */

const CODE = "sos_silent";

/**
 * Only a page at the unit itself may call for help there.
 * @param {Status|null|undefined} status
 */
export const isHere = (status) => status?.verbs?.includes("sos.raise") ?? false;

/** @param {Status|null|undefined} status */
export const isDiscreet = (status) => isHere(status) && (status?.person?.sos?.silent ?? false);

/** @param {{event: string, data?: Record<string, unknown>}} record @param {Status|null|undefined} status */
const isOfCall = ({ event, data = {} }, status) => data.silent === true ||
  (event === "command" && String(data.verb).startsWith("sos.") && isDiscreet(status));

/**
 * What of a message may be shown; null: nothing.
 * @param {Message} message @param {(unit: string) => Status|null|undefined} statusOf
 * @returns {Message|null}
 */
export function shown(message, statusOf) {
  switch (message.type) {
    case "snapshot": return { ...message, units: Object.fromEntries(
      Object.entries(message.units).map(([id, state]) => [id, isHere(state.status) ? {
        ...state, alarms: (state.alarms ?? []).filter(({ code }) => code !== CODE),
        events: (state.events ?? []).filter((record) => !isOfCall(record, state.status)),
      } : state])) };
    case "active": return isHere(statusOf(message.unit))
      ? { ...message, alarms: message.alarms.filter(({ code }) => code !== CODE) } : message;
    case "alarm": return isHere(statusOf(message.unit)) && message.record.code === CODE ? null : message;
    case "event": return isHere(statusOf(message.unit)) && isOfCall(message.record, statusOf(message.unit))
      ? null : message;
    default: return message;
  }
}

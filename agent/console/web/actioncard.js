/** Which action card belongs to an alarm: what to do about a substance, as the console serves it. */

/** @typedef {import("./types.js").Alarm} Alarm */

/** Quantities that have a card (tests/console/test_cards.py compares them with config/cards). */
export const CARDS = new Set(["c3h8", "ch4", "cl2", "co", "combustible", "h2s", "nh3"]);

const EXCEEDED = new Set(["high", "low", "over_range", "stel", "twa"]);

/**
 * A sensor that is silent or broken says nothing of a substance: no card.
 * @param {Alarm} alarm @param {string} lang @returns {string} the card's address; "" where there is none
 */
export function cardOf({ quantity, code }, lang) {
  return CARDS.has(quantity) && EXCEEDED.has(code) ? `/api/cards/${quantity}/${lang}` : "";
}

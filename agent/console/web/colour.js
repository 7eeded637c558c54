/** One colour (and one dash) for each unit, the same on the map, the card and the curves. */

/** Without red and amber, which are alarms'.  For the dark page and for the light one. */
const DARK = ["#5cc8ff", "#c9a2ff", "#5fe3b3", "#ff9ecb", "#a9c4ff", "#d8e07a"];
const LIGHT = ["#0b6fb3", "#6b3fc4", "#0c7a55", "#b02a72", "#3456b8", "#6b7000"];
const DASHES = [[], [8, 4], [2, 3], [10, 3, 2, 3], [5, 5], [12, 3]];

/** @type {string[]} */
const known = [];

/** @param {string} id @returns {number} */
function place(id) {
  const at = known.indexOf(id);
  return at >= 0 ? at : known.push(id) - 1;
}

/** @returns {boolean} */
export const isDark = () => document.documentElement.dataset.theme !== "light";

/** @param {string} id @returns {string} */
export const colourOf = (id) => {
  const colours = isDark() ? DARK : LIGHT;
  return colours[place(id) % colours.length];
};

/** @param {string} id @returns {number[]} */
export const dashOf = (id) => DASHES[place(id) % DASHES.length];

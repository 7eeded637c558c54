/** Directions in words. */
import { codeWord } from "./lang.js";

/** @param {number} degrees true @returns {string} "NE" */
export const compass = (degrees) => codeWord("compass", String(Math.round((((degrees % 360) + 360) % 360) / 45) % 8));

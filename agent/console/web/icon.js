/** Signs for buttons, drawn: a bare system has no font with pictures in it. */

const SVG = "http://www.w3.org/2000/svg";

/** Strokes in a field of 24 by 24; `wave` is shown while the button is pressed. */
const STROKES = {
  speaker: { still: "M3 9.5v5h4l5 4v-13l-5 4z", wave: "M15.5 9a4.5 4.5 0 0 1 0 6M18 6a8.5 8.5 0 0 1 0 12" },
  microphone: {
    still: "M12 3.5a2.8 2.8 0 0 1 2.8 2.8v5.2a2.8 2.8 0 0 1-5.6 0V6.3A2.8 2.8 0 0 1 12 3.5z"
      + "M6 11.5a6 6 0 0 0 12 0M12 17.5v3M8.5 20.5h7",
    wave: "",
  },
};

/** @param {keyof typeof STROKES} name */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  for (const [part, strokes] of Object.entries(STROKES[name])) {
    if (!strokes) continue;
    const path = document.createElementNS(SVG, "path");
    path.setAttribute("class", part);
    path.setAttribute("d", strokes);
    svg.append(path);
  }
  return svg;
}

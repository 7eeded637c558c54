/** The base map, if one is configured: a PMTiles file or raster tiles.  Loaded only when needed. */
import * as L from "leaflet";

/** @typedef {import("./types.js").MapSource} MapSource */

/**
 * @param {MapSource} source @param {string} lang @param {boolean} dark
 * @param {(reason: string) => void} failed told at most once
 * @returns {Promise<L.Layer>}
 */
export async function baseLayer(source, lang, dark, failed) {
  const url = new URL(source.url ?? "", location.href).href.replace(/%7B/g, "{").replace(/%7D/g, "}");
  let told = false;
  const tell = (/** @type {string} */ reason) => {
    if (!told) failed(reason);
    told = true;
  };
  if (source.kind === "raster") {
    return L.tileLayer(url, { maxZoom: 19 }).on("tileerror", ({ error }) => tell(String(error?.message ?? url)));
  }
  const [{ PMTiles }, { leafletLayer }] = await Promise.all([
    import("pmtiles"), import("protomaps-leaflet"),
  ]);
  const file = new PMTiles(url);
  file.getHeader().catch((error) => tell(String(error.message ?? error)));
  const layer = leafletLayer({ url: file, flavor: dark ? "dark" : "light", lang });
  return /** @type {L.Layer} */ (/** @type {unknown} */ (layer));
}

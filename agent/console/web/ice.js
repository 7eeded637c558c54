/** The STUN and TURN servers that an answer names in its `Link` headers (RFC 9725, 4.6). */

const LINK = /<([^>]*)>((?:\s*;\s*[\w-]+\s*(?:=\s*(?:"(?:[^"\\]|\\.)*"|[^\s;,"]*))?)*)/g;
const PARAMETER = /;\s*([\w-]+)\s*(?:=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s;,"]*)))?/g;
const SERVER = /^(?:stun|turns?):/;

/**
 * What cannot be used is left out: an answer is not refused for a server.
 * @param {string|null} header several links are folded into one by commas
 * @returns {RTCIceServer[]}
 */
export function iceServers(header) {
  const found = [];
  for (const [, url, rest] of (header ?? "").matchAll(LINK)) {
    /** @type {Record<string, string>} */
    const given = {};
    for (const [, name, quoted, plain] of rest.matchAll(PARAMETER)) {
      given[name.toLowerCase()] ??= quoted?.replace(/\\(.)/g, "$1") ?? plain ?? "";
    }
    if (!(given.rel ?? "").toLowerCase().split(/\s+/).includes("ice-server")) continue;
    if (!SERVER.test(url) || (given["credential-type"] ?? "password") !== "password") continue;
    const { username, credential } = given;
    if (url.startsWith("stun:")) found.push({ urls: url });
    else if (username && credential) found.push({ urls: url, username, credential });
  }
  return found;
}

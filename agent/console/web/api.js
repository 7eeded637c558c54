/** What the page asks of the console over HTTP. */
import { operatorName } from "./operator.js";

const TIMEOUT_MS = 8000;

/** The console's sentence why not. */
export class ApiError extends Error {}

/**
 * The sentence in an answer that is no success (RFC 9457), else its status.
 * @param {Response} response @returns {Promise<string>}
 */
export async function reasonOf(response) {
  const text = await response.text();
  try {
    const { detail, title } = JSON.parse(text);
    return detail || title || `${response.status} ${response.statusText}`;
  } catch {
    return text.slice(0, 200) || `${response.status} ${response.statusText}`;
  }
}

/**
 * @param {string} path @param {object} body
 * @returns {Promise<Record<string, unknown>>} ApiError where it is refused or nobody answers
 */
async function post(path, body) {
  let response;
  try {
    response = await fetch(path, {
      method: "POST", headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body), signal: AbortSignal.timeout(TIMEOUT_MS),
    });
  } catch (error) {
    throw new ApiError(error instanceof Error ? error.message : String(error));
  }
  if (!response.ok) throw new ApiError(await reasonOf(response));
  const text = await response.text();
  return text ? JSON.parse(text) : {};
}

/** Who it is, where that was said. @returns {{by?: string}} */
function named() {
  const by = operatorName();
  return by ? { by } : {};
}

/**
 * Give a unit a command.
 * @param {string} unit @param {string} verb @param {Record<string, unknown>} args
 * @returns {Promise<string>} the command's id; its outcome comes as an ack record
 */
export async function command(unit, verb, args) {
  const answer = await post(
    `/api/units/${encodeURIComponent(unit)}/commands/${verb}`, { args, ...named() });
  return String(answer.id ?? "");
}

/**
 * Tell the drill's director.
 * @param {"pause"|"resume"|"inject"|"end"|"real_emergency"} action @param {string} [inject]
 */
export const drill = (action, inject) => post(`/api/drill/${action}`, { ...(inject ? { inject } : {}), ...named() });

/** One WHEP session: a unit's camera, its voice beside it, or voice alone. */
import { reasonOf } from "./api.js";
import { iceServers } from "./ice.js";
import { operatorName } from "./operator.js";

const GATHER_MS = 1000;
/** A relay over a satellite takes two round trips to say where it listens. */
const GATHER_RELAY_MS = 3000;
const ANSWER_MS = 12_000;
/** A path that is said to be disconnected for so long is given up. */
const DISCONNECTED_MS = 700;
/** Without a path by then, the servers that the unit has named are asked for one. */
const DIRECT_MS = 1500;

/** In place of a camera, where an offer has no pictures. */
const VOICE = "-";

/** By unit: servers without which it was not reached. @type {Map<string, RTCIceServer[]>} */
const needed = new Map();

/** Why there is no video, in a sentence. */
export class WhepError extends Error {}

/** @typedef {{frames: number, packets: number, freezes: number}} WhepStats */
/** @typedef {{sdp: string, location: string, note: string, servers: RTCIceServer[]}} Answer */

export class WhepSession {
  /**
   * @param {RTCPeerConnection} peer @param {string} location
   * @param {string} note what the unit does not give, in its words
   */
  constructor(peer, location, note) {
    this.peer = peer;
    this.location = location;
    this.note = note;
    this.losing = new AbortController();
    /** There is another way to try, at once. */
    this.elsewhere = false;
    peer.onconnectionstatechange = () => this.#changed();
    this.id = location.split("/").at(-1) ?? "";
    /** The unit's voice. @type {MediaStreamTrack|null} */
    this.audio = null;
    this.closed = false;
  }

  /** Aborted when the session is over, or its path is dead. */
  get lost() {
    return this.losing.signal;
  }

  /** Ask these servers next time, where there is no path by then. @param {() => void} relay */
  relayUnlessConnected(relay) {
    setTimeout(() => {
      if (this.closed || this.peer.connectionState === "connected") return;
      relay();
      this.elsewhere = true;
      this.losing.abort();
    }, DIRECT_MS);
  }

  #changed() {
    const { peer } = this;
    if (peer.connectionState === "failed" || peer.connectionState === "closed") {
      this.losing.abort();
    } else if (peer.connectionState === "disconnected") {
      setTimeout(() => {
        if (peer.connectionState === "disconnected") this.losing.abort();
      }, DISCONNECTED_MS);
    }
  }

  /** Whether the unit has ended it: the console then knows it no more. */
  async isOver() {
    try {
      return (await fetch(this.location, { cache: "no-store" })).status === 404;
    } catch {
      return false;
    }
  }

  /** @returns {Promise<WhepStats>} counted since the start */
  async stats() {
    const total = { frames: 0, packets: 0, freezes: 0 };
    (await this.peer.getStats()).forEach((report) => {
      if (report.type !== "inbound-rtp" || report.kind !== "video") return;
      total.frames += report.framesDecoded ?? 0;
      total.packets += report.packetsReceived ?? 0;
      total.freezes += report.freezeCount ?? 0;
    });
    return total;
  }

  /** Also when the page goes away: `keepalive` lets the DELETE outlive it. */
  close() {
    if (this.closed) return;
    this.closed = true;
    this.peer.close();
    void fetch(this.location, { method: "DELETE", keepalive: true }).catch(() => undefined);
  }
}

/**
 * @param {string} unit @param {string} camera empty: voice alone
 * @param {HTMLVideoElement} video @param {AbortSignal} signal
 * @param {{listen: boolean, track: MediaStreamTrack|null}|null} voice what it shall carry beside
 * @returns {Promise<WhepSession>} WhepError where there is none
 */
export async function watch(unit, camera, video, signal, voice = null) {
  const relays = needed.get(unit) ?? [];
  const peer = new RTCPeerConnection({ iceServers: relays, bundlePolicy: "max-bundle" });
  try {
    const pictures = camera ? peer.addTransceiver("video", { direction: "recvonly" }).receiver : null;
    playAtOnce(pictures);
    const audio = voice && peer.addTransceiver(voice.track ?? "audio", {
      direction: !voice.track ? "recvonly" : voice.listen ? "sendrecv" : "sendonly",
    });
    const shown = new MediaStream();
    video.muted = !voice?.listen;
    peer.ontrack = ({ track }) => {
      playAtOnce(pictures);
      shown.addTrack(track);
      video.srcObject = shown;
    };
    await peer.setLocalDescription(await peer.createOffer());
    await gathered(peer, relays.length ? GATHER_RELAY_MS : GATHER_MS);
    const { sdp, location, note, servers } = await exchange(
      `/whep/${encodeURIComponent(unit)}/${encodeURIComponent(camera || VOICE)}${who()}`,
      peer.localDescription?.sdp ?? "", signal);
    const session = new WhepSession(peer, location, note);
    if (signal.aborted) {
      session.close();
      throw new WhepError("aborted");
    }
    if (relays.length) needed.set(unit, servers);
    else if (servers.length) session.relayUnlessConnected(() => needed.set(unit, servers));
    await peer.setRemoteDescription({ type: "answer", sdp });
    const heard = audio?.currentDirection;
    if (heard === "sendrecv" || heard === "recvonly") session.audio = audio?.receiver.track ?? null;
    return session;
  } catch (error) {
    peer.close();
    throw error instanceof WhepError ? error : new WhepError(String(error));
  }
}

/**
 * Show each frame when it comes: a rescuer's picture is for now, not for smoothness.
 * @param {RTCRtpReceiver|null} receiver null: there are no pictures
 */
function playAtOnce(receiver) {
  if (!receiver) return;
  const hints = /** @type {{jitterBufferTarget?: number|null, playoutDelayHint?: number}} */ (
    /** @type {unknown} */ (receiver));
  if ("jitterBufferTarget" in hints) hints.jitterBufferTarget = 0;
  if ("playoutDelayHint" in hints) hints.playoutDelayHint = 0;
}

/** @param {RTCPeerConnection} peer @param {number} ms at most */
function gathered(peer, ms) {
  return new Promise((resolve) => {
    const done = () => peer.iceGatheringState === "complete" && resolve(undefined);
    peer.onicegatheringstatechange = done;
    setTimeout(resolve, ms, undefined);
    done();
  });
}

/** @returns {string} the name of who sits here, for the address */
function who() {
  const by = operatorName();
  return by ? `?by=${encodeURIComponent(by)}` : "";
}

/**
 * @param {string} url @param {string} offer @param {AbortSignal} signal
 * @returns {Promise<Answer>}
 */
async function exchange(url, offer, signal) {
  let response;
  const either = new AbortController();
  const timer = setTimeout(() => either.abort(), ANSWER_MS);
  signal.addEventListener("abort", () => either.abort(), { once: true });
  try {
    response = await fetch(url, {
      method: "POST", headers: { "Content-Type": "application/sdp" }, body: offer,
      signal: either.signal,
    });
  } catch (error) {
    throw new WhepError(error instanceof Error ? error.message : String(error));
  } finally {
    clearTimeout(timer);
  }
  const location = response.headers.get("Location");
  if (response.status !== 201 || !location) throw new WhepError(await reasonOf(response));
  const note = decodeURIComponent(response.headers.get("Outpost-Note") ?? "");
  return {
    sdp: await response.text(), location: new URL(location, response.url).href, note,
    servers: iceServers(response.headers.get("Link")),
  };
}

// @ts-check
/** The one WebSocket of the page: it follows answers from a position, comes back by itself, and draws nothing. */

/**
 * @typedef {{type: string, generation?: string, from?: number, to?: number, text?: string, reasoning?: string,
 *   phase?: string, fraction?: number, ahead?: number, wait?: number | null, status?: string, reason?: string, topic?: string, id?: string,
 *   kind?: string, replace?: boolean, reason?: {kind: string, machine: string, message: string}, error?: {kind: string, message: string} | null, stats?: Record<string, number>}} Frame
 * @typedef {{cursor: number, listener: (frame: Frame) => void, asked: number, heard: number, again: number}} Follower
 */

/** Fires `connection` (detail: "open" | "lost" | "refused"), `trouble` and `notice` (detail: the frame). */
export const news = new EventTarget();

/** As long as this an answer may be silent before we ask whether we still hear it. */
const SILENCE_MS = 4000;
/** After this without any frame the connection itself may be dead, as after a laptop's sleep. */
const DEAD_MS = 20000;

/** @type {Map<string, Follower>} */
const followers = new Map();
/** @type {WebSocket | null} */
let socket = null;
let attempts = 0;
let timer = 0;
let leaving = false;
/** When the socket last showed that it lives, and when the page went out of sight. */
let alive = 0;
let hidden = 0;

/** @param {string} name @param {unknown} detail */
function tell(name, detail) {
  news.dispatchEvent(new CustomEvent(name, { detail }));
}

/** @param {object} message */
function send(message) {
  if (socket?.readyState !== WebSocket.OPEN) return false;
  socket.send(JSON.stringify(message));
  return true;
}

/** @param {string} id */
function ask(id) {
  const follower = followers.get(id);
  if (!follower) return;
  follower.asked = Date.now();
  send({ type: "follow", generation: id, cursor: follower.cursor });
}

/** A log that is being put back says nothing of itself when it is there again. */
function askSilent() {
  if (followers.size && socket && Date.now() - alive > DEAD_MS) renew();
  const before = Date.now() - SILENCE_MS;
  for (const [id, follower] of followers) {
    if (follower.asked < before && follower.heard < before) ask(id);
  }
}

/**
 * Calls back with every frame of an answer that continues at its cursor, each token once.
 * @param {string} id
 * @param {number} cursor
 * @param {(frame: Frame) => void} listener
 */
export function follow(id, cursor, listener) {
  followers.set(id, { cursor, listener, asked: 0, heard: 0, again: 0 });
  ask(id);
}

/** @param {string} id */
export function unfollow(id) {
  if (followers.delete(id)) send({ type: "unfollow", generation: id });
}

/**
 * @param {string} id
 * @returns {boolean} whether the wish could be sent now
 */
export function stop(id) {
  return send({ type: "stop", generation: id });
}

/**
 * A frame that begins elsewhere means that something was missed: ask again, but not for each such frame. Where two
 * questions crossed what came to the first, nothing more may come that could remind us.
 * @param {string} id
 * @param {Follower} follower
 */
function askAgain(id, follower) {
  const pause = follower.asked + 500 - Date.now();
  clearTimeout(follower.again);
  if (pause <= 0) ask(id);
  else follower.again = window.setTimeout(ask, pause, id);
}

/**
 * Whether a frame continues what the reader has: `false` for an old one, `null` where something was missed.
 * @param {Frame} frame
 * @param {number} cursor
 */
function continues(frame, cursor) {
  const to = frame.to ?? 0;
  if (frame.type === "done") return to > cursor ? null : true;
  if (frame.type !== "delta") return true;
  // A replacing one that ends where we are may still bring characters that were held back.
  if (frame.replace) return to >= cursor;
  if (to <= cursor) return false;
  return frame.from === cursor ? true : null;
}

/** @param {Frame} frame */
function deliver(frame) {
  const id = frame.generation ?? "";
  const follower = followers.get(id);
  if (!follower) return;
  follower.heard = Date.now();
  const next = continues(frame, follower.cursor);
  if (next === null) askAgain(id, follower);
  if (!next) return;
  if (frame.type === "delta") {
    follower.cursor = frame.to ?? 0;
    clearTimeout(follower.again);
  }
  if (frame.type === "done" || frame.type === "missing") followers.delete(id);
  follower.listener(frame);
}

/** @param {MessageEvent<string>} event */
function receive(event) {
  alive = Date.now();
  /** @type {Frame} */
  const frame = JSON.parse(event.data);
  if (frame.type === "notice" || frame.type === "trouble") tell(frame.type, frame);
  else deliver(frame);
  if (frame.type === "trouble" && frame.kind === "ok") for (const id of followers.keys()) ask(id);
}

/** @param {CloseEvent} event */
function closed(event) {
  if (event.target !== socket) return;
  socket = null;
  if (leaving) return;
  if (event.code === 4401) {
    tell("connection", "refused");
    return;
  }
  attempts += 1;
  tell("connection", "lost");
  // Up to eight seconds, each time a random part of it: a restarted site is not met by all at once.
  const ceiling = Math.min(8000, 250 * 2 ** Math.min(attempts, 6));
  timer = window.setTimeout(connect, ceiling * (0.5 + Math.random() / 2));
}

export function connect() {
  window.clearTimeout(timer);
  if (socket) return;
  const scheme = location.protocol === "https:" ? "wss" : "ws";
  alive = Date.now();
  socket = new WebSocket(`${scheme}://${location.host}/ws/`);
  socket.addEventListener("open", () => {
    attempts = 0;
    tell("connection", "open");
    for (const id of followers.keys()) ask(id);
  });
  socket.addEventListener("message", receive);
  socket.addEventListener("close", closed);
}

/** A dead connection can take minutes to be called closed: it is left behind. */
function renew() {
  const old = socket;
  socket = null;
  old?.close();
  connect();
}

/** Waking up is a better moment than the end of a pause. */
function seen() {
  if (document.visibilityState === "hidden") hidden = Date.now();
  else if (!socket) connect();
  else if (Date.now() - hidden > DEAD_MS && Date.now() - alive > DEAD_MS) renew();
}

window.setInterval(askSilent, 1000);
window.addEventListener("online", renew);
document.addEventListener("visibilitychange", seen);
window.addEventListener("pagehide", () => {
  leaving = true;
  socket?.close();
});
// A page that comes back from the browser's cache was left and lost its socket.
window.addEventListener("pageshow", (event) => {
  if (!event.persisted) return;
  leaving = false;
  socket = null;
  connect();
});

// @ts-check
/** The one WebSocket of the page: it follows answers from a position, comes back by itself, and draws nothing. */

/**
 * @typedef {{type: string, generation?: string, from?: number, to?: number, text?: string, reasoning?: string,
 *   phase?: string, fraction?: number, ahead?: number, status?: string, reason?: string, topic?: string, id?: string,
 *   kind?: string, error?: {kind: string, message: string} | null, stats?: Record<string, number>}} Frame
 * @typedef {{cursor: number, listener: (frame: Frame) => void, again: number}} Follower
 */

/** Fires `connection` (detail: "open" | "lost" | "refused"), `trouble` and `notice` (detail: the frame). */
export const news = new EventTarget();

/** @type {Map<string, Follower>} */
const followers = new Map();
/** @type {WebSocket | null} */
let socket = null;
let attempts = 0;
let timer = 0;
let leaving = false;

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
  if (follower) send({ type: "follow", generation: id, cursor: follower.cursor });
}

/**
 * Calls back with every frame of an answer that continues at its cursor, each token once.
 * @param {string} id
 * @param {number} cursor
 * @param {(frame: Frame) => void} listener
 */
export function follow(id, cursor, listener) {
  followers.set(id, { cursor, listener, again: 0 });
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
 * A frame from further on means that something was missed: ask again, but not for each such frame.
 * @param {string} id
 * @param {Follower} follower
 */
function askAgain(id, follower) {
  const now = Date.now();
  if (now - follower.again < 500) return;
  follower.again = now;
  ask(id);
}

/** @param {Frame} frame */
function deliver(frame) {
  const id = frame.generation ?? "";
  const follower = followers.get(id);
  if (!follower) return;
  if (frame.type === "delta") {
    if ((frame.to ?? 0) <= follower.cursor) return;
    if (frame.from !== follower.cursor) {
      askAgain(id, follower);
      return;
    }
    follower.cursor = frame.to ?? follower.cursor;
  } else if (frame.type === "done" && (frame.to ?? 0) > follower.cursor) {
    askAgain(id, follower);
    return;
  }
  if (frame.type === "done" || frame.type === "missing") followers.delete(id);
  follower.listener(frame);
}

/** @param {MessageEvent<string>} event */
function receive(event) {
  /** @type {Frame} */
  const frame = JSON.parse(event.data);
  if (frame.type === "notice" || frame.type === "trouble") tell(frame.type, frame);
  else deliver(frame);
}

/** @param {CloseEvent} event */
function closed(event) {
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
  socket = new WebSocket(`${scheme}://${location.host}/ws/`);
  socket.addEventListener("open", () => {
    attempts = 0;
    tell("connection", "open");
    for (const id of followers.keys()) ask(id);
  });
  socket.addEventListener("message", receive);
  socket.addEventListener("close", closed);
}

/** Waking up or finding the network again is a better moment than the end of a pause. */
function wake() {
  if (!socket && document.visibilityState === "visible") connect();
}

window.addEventListener("online", wake);
document.addEventListener("visibilitychange", wake);
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

// @ts-check
/** The turns of the thread: shows their text, lets answers grow as frames come, and writes what stands under them. */

import * as markdown from "./markdown.js";
import * as socket from "./socket.js";

/** @typedef {import("./socket.js").Frame} Frame */

/** Fires `painted` after text has grown, `changed` when an answer begins or ends, and `ended` or `missing` at its end. */
export const news = new EventTarget();

/** @param {string} name */
const tell = (name) => news.dispatchEvent(new Event(name));

/** @param {ParentNode} root @param {string} selector */
const find = (root, selector) => /** @type {HTMLElement | null} */ (root.querySelector(selector));

/** A number of the stats, which the server and the last frame put on the turn. @param {HTMLElement} turn @param {string} key */
function stat(turn, key) {
  const value = Number.parseFloat(turn.getAttribute(`data-stat-${key}`) ?? "");
  return Number.isFinite(value) ? value : null;
}

/** @param {number} ms */
function seconds(ms) {
  return (ms / 1000).toFixed(ms < 10000 ? 2 : 1);
}

/** The line under an answer. @param {HTMLElement} turn */
function writeStats(turn) {
  const line = find(turn, "[data-stats]");
  if (!line) return;
  const speed = stat(turn, "tokens_per_second");
  const first = stat(turn, "first_token_ms");
  const read = stat(turn, "prompt_tokens");
  const written = stat(turn, "completion_tokens");
  const left = stat(turn, "left_out");
  const parts = [];
  if (turn.dataset.status === "stopped") parts.push(gettext("stopped"));
  if (turn.dataset.reason === "length") parts.push(gettext("cut at the length limit"));
  if (speed !== null) parts.push(interpolate(gettext("%s tokens/s"), [speed.toFixed(1)]));
  if (first !== null) parts.push(interpolate(gettext("first token after %s s"), [seconds(first)]));
  if (read !== null && written !== null) {
    parts.push(interpolate(gettext("%(read)s tokens read, %(written)s written"), { read, written }, true));
  }
  if (left) {
    parts.push(interpolate(ngettext("%s old message left out", "%s old messages left out", left), [left]));
  }
  line.replaceChildren(
    ...parts.map((part) => Object.assign(document.createElement("span"), { textContent: part })),
  );
}

/** @param {HTMLElement} turn @param {{kind: string, message: string}} error */
function writeError(turn, error) {
  const place = find(turn, "[data-error]");
  const blank = /** @type {HTMLTemplateElement} */ (document.getElementById("blank-error"));
  const card = /** @type {HTMLElement} */ (blank.content.firstElementChild?.cloneNode(true));
  card.dataset.kind = error.kind;
  const words = find(card, "[data-text]");
  if (words) words.textContent = error.message;
  place?.replaceChildren(card);
}

/** Raw text stays in its <pre>, hidden, for copying and editing. @param {HTMLElement | null} box @param {string} text */
function showText(box, text) {
  const raw = box && find(box, "[data-raw]");
  const target = box && find(box, "[data-target]");
  if (!raw || !target) return;
  if (raw.textContent !== text) raw.textContent = text;
  const shown = markdown.show(target, text);
  raw.hidden = shown;
  target.hidden = !shown;
}

/** @param {Element} turn */
export function textOf(turn) {
  const box = turn.querySelector(".answer, .bubble");
  return box?.querySelector("[data-raw]")?.textContent ?? "";
}

/** An answer that is being written, whichever element shows it just now. */
class Answer {
  /** @param {string} id */
  constructor(id) {
    this.id = id;
    this.text = "";
    this.reasoning = "";
    /** @type {Frame | null} */
    this.end = null;
    /** @type {Frame | null} */
    this.state = null;
    /** @type {HTMLElement | null} */
    this.turn = null;
    this.began = 0;
    this.thoughtMs = 0;
    this.cost = 0;
    this.planned = false;
    this.stopping = false;
  }

  /** @param {HTMLElement} turn */
  attach(turn) {
    this.turn = turn;
    if (this.end) this.finish();
    else this.paint();
  }

  /** @param {Frame} frame */
  take(frame) {
    if (frame.type === "state") {
      this.state = frame;
    } else if (frame.type === "delta" || frame.type === "done") {
      this.grow(frame);
    }
    if (frame.type === "done" || frame.type === "missing") {
      this.end = frame;
      this.finish();
      return;
    }
    this.plan();
  }

  /** @param {Frame} frame */
  grow(frame) {
    this.state = null;
    if (frame.replace) this.text = this.reasoning = "";
    if (frame.reasoning) {
      this.began ||= performance.now();
      this.reasoning += frame.reasoning;
    }
    if (!frame.text) return;
    if (this.began && !this.thoughtMs) this.thoughtMs = performance.now() - this.began;
    this.text += frame.text;
  }

  /** The whole text is rendered each time, so a longer one is rendered less often. */
  plan() {
    if (this.planned) return;
    this.planned = true;
    setTimeout(
      () =>
        requestAnimationFrame(() => {
          this.planned = false;
          if (!this.end) this.paint();
        }),
      Math.max(30, Math.min(500, this.cost * 4)),
    );
  }

  paint() {
    if (!this.turn?.isConnected) return;
    const start = performance.now();
    this.paintPhase(this.turn);
    this.paintThought(this.turn);
    if (this.text) showText(find(this.turn, ".answer"), this.text);
    const paused = Boolean(this.text) && Boolean(pauseText(this.state));
    this.turn.classList.toggle("turn--paused", paused && !this.end);
    this.turn.classList.toggle("turn--writing", Boolean(this.text) && !this.end && !paused);
    this.cost = performance.now() - start;
    tell("painted");
  }

  /** @param {HTMLElement} turn */
  paintPhase(turn) {
    const line = find(turn, "[data-phase]");
    const words = find(turn, "[data-phase-text]");
    if (!line || !words) return;
    const begun = Boolean(this.text || this.reasoning);
    const text = begun ? pauseText(this.state) : phaseText(this.state);
    line.hidden = Boolean(this.end) || (begun && !text);
    const shown = this.stopping ? gettext("Stopping…") : text;
    if (words.textContent !== shown) words.textContent = shown;
  }

  /** @param {HTMLElement} turn */
  paintThought(turn) {
    const box = /** @type {HTMLDetailsElement | null} */ (find(turn, ".thought"));
    if (!box || !this.reasoning) return;
    box.hidden = false;
    const thinking = !this.text && !this.end;
    box.classList.toggle("thought--live", thinking);
    const words = find(box, "[data-thought]");
    if (words) words.textContent = thoughtText(thinking, this.thoughtMs);
    if (box.open) showText(box, this.reasoning);
    else box.querySelector("[data-raw]")?.replaceChildren(this.reasoning);
  }

  finish() {
    const { turn, end } = this;
    if (!turn || !end) return;
    this.paint();
    turn.removeAttribute("data-live");
    turn.removeAttribute("aria-busy");
    turn.removeAttribute("aria-live");
    turn.dataset.status = end.status ?? "failed";
    turn.dataset.reason = end.reason ?? "";
    for (const [key, value] of Object.entries(end.stats ?? {}))
      turn.setAttribute(`data-stat-${key}`, String(value));
    if (end.error) writeError(turn, end.error);
    writeStats(turn);
    tell("painted");
    tell(end.type === "missing" ? "missing" : "ended");
    tell("changed");
  }
}

/** @param {Frame | null} state */
function phaseText(state) {
  if (state?.phase === "waiting")
    return state.reason?.message ?? queueText(state.ahead ?? 0, state.wait ?? 0);
  const percent = Math.round((state?.fraction ?? 0) * 100);
  if (state?.phase === "loading") {
    return percent
      ? interpolate(gettext("Loading the model, %s"), [`${percent}%`])
      : gettext("Loading the model…");
  }
  if (state?.phase === "reading") return gettext("Reading your message…");
  return "";
}

/** The place in the queue, as far as it is known. @param {number} ahead @param {number} wait in seconds */
function queueText(ahead, wait) {
  const parts = [];
  if (ahead) parts.push(interpolate(ngettext("%s before you", "%s before you", ahead), [ahead]));
  else if (wait) parts.push(gettext("You are next"));
  if (wait >= 90) parts.push(interpolate(gettext("about %s min"), [Math.round(wait / 60)]));
  // A guess that is told to the second looks like a promise.
  else if (wait)
    parts.push(interpolate(gettext("about %s s"), [wait < 10 ? wait : Math.round(wait / 5) * 5]));
  return parts.join(" · ");
}

/** Why an answer that has begun does not grow just now. @param {Frame | null} state */
function pauseText(state) {
  if (state?.phase === "loading") return phaseText(state);
  if (state?.phase !== "waiting") return "";
  if (state.reason) return state.reason.message;
  return queueText(state.ahead ?? 0, state.wait ?? 0) || gettext("Taking turns, goes on in a moment");
}

/** @param {boolean} thinking @param {number} ms */
function thoughtText(thinking, ms) {
  if (thinking) return gettext("Thinking…");
  if (ms < 1500) return gettext("Thought for a moment");
  const count = Math.round(ms / 1000);
  return interpolate(ngettext("Thought for %s second", "Thought for %s seconds", count), [count]);
}

/** Answers outlive their elements: a thread that is fetched anew shows at once what has come so far. @type {Map<string, Answer>} */
const answers = new Map();

/** @param {HTMLElement} turn */
function resume(turn) {
  const id = turn.dataset.generation ?? "";
  let answer = answers.get(id);
  if (answer) {
    answer.attach(turn);
    return;
  }
  answer = new Answer(id);
  answers.set(id, answer);
  answer.attach(turn);
  const known = answer;
  socket.follow(id, 0, (frame) => known.take(frame));
}

/** @param {HTMLElement} turn */
function showTurn(turn) {
  if (turn.dataset.role === "user") return;
  if (turn.hasAttribute("data-live")) {
    resume(turn);
    return;
  }
  showText(find(turn, ".answer"), textOf(turn));
  writeStats(turn);
}

/** @param {ParentNode} root */
function showAll(root) {
  for (const turn of root.querySelectorAll(".turn")) showTurn(/** @type {HTMLElement} */ (turn));
}

/**
 * Gives life to turns that came as HTML; where the renderer is there, before they are painted.
 * @param {ParentNode} root
 */
export function revive(root) {
  showAll(root);
  if (!markdown.ready() && root.querySelector(".turn")) {
    markdown.prepare().then(
      () => {
        showAll(root);
        tell("painted");
      },
      () => undefined,
    ); // Plain text stays, which is readable.
  }
  tell("changed");
}

/** Ends what no element shows any more. */
export function forgetAbsent() {
  for (const [id, answer] of answers) {
    if (answer.turn?.isConnected) continue;
    socket.unfollow(id);
    answers.delete(id);
  }
}

/** @returns {Answer | undefined} the answer that is being written */
export function live() {
  const turn = /** @type {HTMLElement | null} */ (document.querySelector("#thread .turn[data-live]"));
  return turn ? answers.get(turn.dataset.generation ?? "") : undefined;
}

/** @returns {boolean} whether something was there to stop */
export function stopLive() {
  const answer = live();
  if (!answer || answer.stopping) return Boolean(answer);
  answer.stopping = socket.stop(answer.id);
  answer.plan();
  return true;
}

/** How full the context is after the last answer. @returns {{used: number, size: number} | null} */
export function fill() {
  const turns = [...document.querySelectorAll("#thread .turn--assistant")].reverse();
  for (const turn of /** @type {HTMLElement[]} */ (turns)) {
    const size = stat(turn, "context_length");
    if (size)
      return { used: (stat(turn, "prompt_tokens") ?? 0) + (stat(turn, "completion_tokens") ?? 0), size };
  }
  return null;
}

document.addEventListener(
  "toggle",
  (event) => {
    const box = /** @type {HTMLElement} */ (event.target);
    if (!(box instanceof HTMLDetailsElement) || !box.classList.contains("thought") || !box.open) return;
    showText(box, box.querySelector("[data-raw]")?.textContent ?? "");
  },
  true,
);

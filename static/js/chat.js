// @ts-check
/** The chat page put together: scrolling, keys, older messages, and what the socket has to tell. */

import * as composer from "./composer.js";
import { toast } from "./page.js";
import * as sidebar from "./sidebar.js";
import * as socket from "./socket.js";
import * as turns from "./turn.js";

/** @template {HTMLElement} T @param {string} id @returns {T} */
const byId = (id) => /** @type {T} */ (document.getElementById(id));

const app = byId("app");
const scroller = byId("scroller");
const thread = byId("thread");
const latest = byId("latest");

/* Scrolling: the end stays in view until the reader scrolls up, and again when he is back there. */

let stuck = true;
let lastTop = 0;

const distance = () => scroller.scrollHeight - scroller.clientHeight - scroller.scrollTop;

function toEnd() {
  scroller.scrollTop = scroller.scrollHeight;
  lastTop = scroller.scrollTop;
  latest.hidden = true;
}

function keepEnd() {
  if (stuck) toEnd();
  else latest.hidden = distance() < 120;
}

function scrolled() {
  const top = scroller.scrollTop;
  if (top < lastTop - 1 && distance() > 8) stuck = false;
  else if (distance() < 40) stuck = true;
  lastTop = top;
  latest.hidden = stuck || distance() < 120;
}

/* Fragments that the script fetches by itself. */

/** @param {string} url @returns {Promise<string | null>} */
async function fetchFragment(url) {
  try {
    const answer = await fetch(url, { headers: { "HX-Request": "true" } });
    // A session that ended; drafts are kept and are there again after the login.
    const away = answer.headers.get("HX-Redirect");
    if (away) location.assign(away);
    return answer.ok ? await answer.text() : null;
  } catch {
    return null;
  }
}

function toLogin() {
  location.assign(`${app.dataset.login}?next=${encodeURIComponent(location.pathname)}`);
}

let fetching = false;

/** Older messages come above while what is read stays where it is. @param {HTMLElement} marker */
async function loadEarlier(marker) {
  if (fetching) return;
  fetching = true;
  const html = await fetchFragment(marker.dataset.earlier ?? "");
  fetching = false;
  if (html === null || !marker.isConnected) {
    setTimeout(() => marker.isConnected && watcher.observe(marker), 2000);
    return;
  }
  const first = marker.nextElementSibling;
  const before = first?.getBoundingClientRect().top ?? 0;
  scroller.classList.add("scroller--held");
  htmx.swap(marker, html, { swapStyle: "outerHTML", swapDelay: 0, settleDelay: 0 });
  turns.revive(thread);
  scroller.scrollTop += (first?.getBoundingClientRect().top ?? 0) - before;
  lastTop = scroller.scrollTop;
  scroller.classList.remove("scroller--held");
  watchEarlier();
}

const watcher = new IntersectionObserver(
  (entries) => {
    for (const entry of entries) {
      if (!entry.isIntersecting) continue;
      watcher.unobserve(entry.target);
      void loadEarlier(/** @type {HTMLElement} */ (entry.target));
    }
  },
  { root: scroller, rootMargin: "800px 0px 0px" },
);

function watchEarlier() {
  const marker = thread.querySelector(".earlier");
  if (marker) watcher.observe(marker);
}

/** What makes two views of a thread the same one. @param {ParentNode} root */
function shape(root) {
  return [...root.querySelectorAll(".turn")].map((turn) => {
    const { message, status } = /** @type {HTMLElement} */ (turn).dataset;
    return `${message} ${status ?? ""} ${turn.querySelector(".branches__count")?.textContent ?? ""}`;
  });
}

/** Counts what was put into the thread. */
let changes = 0;

/** Somebody changed the thread elsewhere, or nothing did: our own change comes back as a notice too. */
async function reloadThread() {
  if (composer.isSending()) {
    setTimeout(reloadThread, 300);
    return;
  }
  const { thread: url, conversation } = composer.state();
  if (!url || thread.querySelector(".edit")) return;
  const before = changes;
  const html = await fetchFragment(url);
  // What was asked for before our own change came would take that change away again.
  if (before !== changes) {
    void reloadThread();
    return;
  }
  if (html === null || composer.isSending() || composer.state().conversation !== conversation) return;
  // Opened while this was fetched: what is typed there must stay.
  if (thread.querySelector(".edit")) return;
  const fresh = shape(new DOMParser().parseFromString(html, "text/html"));
  const shown = shape(thread).slice(-fresh.length);
  if (fresh.join("|") === shown.join("|") && (fresh.length || !shown.length)) return;
  htmx.swap(thread, html, { swapStyle: "innerHTML", swapDelay: 0, settleDelay: 0 });
  threadChanged();
}

/** A post that was repeated brings turns that are on the page already. */
function dropDoubles() {
  for (const turn of thread.querySelectorAll(".turn")) {
    const same = thread.querySelectorAll(`#${turn.id}`);
    if (same.length > 1) same[0].remove();
  }
}

function threadChanged() {
  changes += 1;
  dropDoubles();
  turns.revive(thread);
  turns.forgetAbsent();
  watchEarlier();
  keepEnd();
}

/* News from the socket. */

let lostTimer = 0;

/** @param {string} words */
function sayConnection(words) {
  byId("connection").textContent = words;
}

/** A short break is nobody's business; a longer one is said calmly. @param {Event} event */
function connectionChanged(event) {
  const change = /** @type {CustomEvent} */ (event).detail;
  window.clearTimeout(lostTimer);
  if (change === "refused") toLogin();
  else if (change === "open") {
    sayConnection("");
    if (wasLost) void reloadThread();
    wasLost = false;
  } else {
    wasLost = true;
    lostTimer = window.setTimeout(() => sayConnection(gettext("Reconnecting…")), 1200);
  }
}

let wasLost = false;

/** @param {Event} event */
function noticed(event) {
  const { topic, id } = /** @type {CustomEvent} */ (event).detail;
  if (topic === "conversations") sidebar.refreshList();
  else if (topic === "models") sidebar.refreshModels();
  else if (topic === "conversation" && id === composer.state().conversation) void reloadThread();
}

/** @param {Event} event */
function troubled(event) {
  const { kind } = /** @type {CustomEvent} */ (event).detail;
  const words =
    kind === "storage"
      ? gettext("The server's disk is full, so the answer waits. It goes on when there is room again.")
      : gettext("The answer is held up for a moment. It goes on by itself.");
  sayConnection(kind === "ok" ? "" : words);
}

/** Readers who hear the page are told once that an answer is there, not word by word. */
function answerEnded() {
  const last = [...thread.querySelectorAll(".turn--assistant")].at(-1);
  const words = last ? turns.textOf(last).trim() : "";
  byId("announcer").textContent = interpolate(gettext("Answer: %s"), [words.slice(0, 500)]);
  sidebar.refreshList();
}

/* Keys. */

function stop() {
  if (turns.live() && !turns.stopLive())
    toast(gettext("There is no connection just now. Try again in a moment."));
  composer.refresh();
}

/** @param {KeyboardEvent} event */
function pressed(event) {
  const command = event.ctrlKey || event.metaKey;
  if (command && !event.shiftKey && !event.altKey && event.key.toLowerCase() === "k") {
    event.preventDefault();
    sidebar.focusSearch();
  } else if (command && event.shiftKey && event.key.toLowerCase() === "o") {
    event.preventDefault();
    location.assign(app.dataset.home ?? "/");
  } else if (event.key === "Escape" && !event.isComposing && !event.defaultPrevented) {
    if (!sidebar.closeDrawer()) stop();
  }
}

function start() {
  // Cells of the settings panel say what they are named; the page's name is its last part.
  app.dataset.name = document.title.split(" · ").at(-1);
  sidebar.start();
  composer.start(stop);
  turns.news.addEventListener("painted", keepEnd);
  turns.news.addEventListener("ended", answerEnded);
  turns.news.addEventListener("missing", () => setTimeout(reloadThread, 1000));
  socket.news.addEventListener("connection", connectionChanged);
  socket.news.addEventListener("notice", noticed);
  socket.news.addEventListener("trouble", troubled);
  scroller.addEventListener("scroll", scrolled, { passive: true });
  new ResizeObserver(keepEnd).observe(scroller);
  latest.addEventListener("click", () => {
    stuck = true;
    toEnd();
  });
  document.addEventListener("keydown", pressed);
  document.addEventListener("chat:said", () => {
    stuck = true;
    threadChanged();
    sidebar.refreshList();
  });
  document.body.addEventListener("htmx:afterSwap", (event) => {
    if (event.target === thread) threadChanged();
  });
  threadChanged();
  toEnd();
  socket.connect();
}

start();

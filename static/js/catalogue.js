// @ts-check
/** What the pages of the models do by themselves: look again while somebody watches, and uploads. */

import { start } from "./upload.js";

/** When each live part was asked for last. @type {Map<string, number>} */
const asked = new Map();

/** Parts with data-poll ask again after so many milliseconds, in a tab that is seen. */
function look() {
  if (document.hidden) return;
  const now = performance.now();
  for (const part of /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll("[data-poll]"))) {
    // Whoever is about to choose in it is not disturbed.
    if (part.querySelector("details[open], .htmx-request") || part.classList.contains("htmx-request"))
      continue;
    const before = asked.get(part.id);
    if (before === undefined) asked.set(part.id, now);
    else if (now - before >= Number(part.dataset.poll)) {
      asked.set(part.id, now);
      htmx.trigger(part, "look");
    }
  }
}

setInterval(look, 250);
document.addEventListener("visibilitychange", () => {
  asked.clear();
  if (!document.hidden)
    for (const part of document.querySelectorAll("[data-poll]")) htmx.trigger(part, "look");
});

document.addEventListener("htmx:configRequest", (event) => {
  const { elt, parameters, verb } = /** @type {CustomEvent} */ (event).detail;
  if (verb === "get" && elt.dataset.mark) parameters.mark = elt.dataset.mark;
});

// The answer to a click is newer than what was asked for before it.
document.addEventListener("htmx:beforeRequest", (event) => {
  const { elt, target } = /** @type {CustomEvent} */ (event).detail;
  if (elt !== target && target?.dataset?.poll) htmx.trigger(target, "htmx:abort");
});

// What takes seconds says so on its button, and is sent once.
document.addEventListener("submit", (event) => {
  const button = /** @type {HTMLButtonElement | null} */ (/** @type {SubmitEvent} */ (event).submitter);
  if (event.defaultPrevented || !button?.dataset.busy) return;
  const words = button.querySelector("span") ?? button;
  const before = words.textContent;
  words.textContent = button.dataset.busy;
  // Later: a button that is off would not be sent.
  setTimeout(() => {
    button.disabled = true;
  });
  addEventListener("pageshow", () => {
    button.disabled = false;
    words.textContent = before;
  });
});

const upload = /** @type {HTMLElement | null} */ (document.querySelector("[data-upload]"));
if (upload) start(upload);

// @ts-check
/** What stands beside the thread: the conversations, the drawers, the model picker and the panel of parameters. */

import { reasonOf, state } from "./composer.js";
import { toast } from "./page.js";

/** @template {HTMLElement} T @param {string} id @returns {T} */
const byId = (id) => /** @type {T} */ (document.getElementById(id));

const app = byId("app");
const UNDO_MS = 6000;

/** Below this the two sides lie over the thread instead of beside it. */
const narrow = { sidebar: matchMedia("(width < 48rem)"), panel: matchMedia("(width < 75rem)") };

/** @typedef {"sidebar" | "panel"} Side */

/** @param {Side} side */
const isOver = (side) => narrow[side].matches;

/** @param {Side} side */
const isOpen = (side) => (isOver(side) ? app.dataset.drawer === side : app.dataset[side] === "open");

/** @param {Side} side @param {boolean} open */
function setSide(side, open) {
  if (isOver(side)) {
    if (open) app.dataset.drawer = side;
    else delete app.dataset.drawer;
  } else {
    app.dataset[side] = open ? "open" : "closed";
    // A cookie, so that the server draws the page as it was left and nothing jumps.
    // biome-ignore lint/suspicious/noDocumentCookie: the Cookie Store API needs https, and a LAN has none.
    document.cookie = `${side}=${open ? "open" : "closed"}; path=/; max-age=31536000; samesite=lax`;
  }
  describeSides();
}

function describeSides() {
  const drawer = app.dataset.drawer;
  byId("scrim").hidden = !drawer;
  byId("main").inert = Boolean(drawer);
  for (const side of /** @type {Side[]} */ (["sidebar", "panel"])) {
    const open = isOpen(side);
    byId(side).inert = !open;
    for (const button of document.querySelectorAll(`[data-action="toggle-${side}"]`)) {
      button.setAttribute("aria-expanded", String(open));
    }
  }
}

/** @param {Side} side */
function toggle(side) {
  const open = !isOpen(side);
  setSide(side, open);
  const inside = /** @type {HTMLElement | null} */ (byId(side).querySelector("button, a, input, textarea"));
  const outside = /** @type {HTMLElement | null} */ (
    byId("main").querySelector(`[data-action="toggle-${side}"]`)
  );
  (open ? inside : outside)?.focus({ preventScroll: true });
}

/** @returns {boolean} whether a drawer was open */
export function closeDrawer() {
  const side = /** @type {Side | undefined} */ (app.dataset.drawer);
  if (!side) return false;
  toggle(side);
  return true;
}

export function focusSearch() {
  if (!isOpen("sidebar")) setSide("sidebar", true);
  const field = /** @type {HTMLInputElement} */ (byId("search"));
  field.focus();
  field.select();
}

/** The list changes under the hand of somebody who renames, opens a menu or presses a link; it waits. */
let refreshTimer = 0;
let pressed = false;

const inUse = () =>
  pressed || Boolean(document.querySelector("#conversations form, #conversations details[open]"));

/** A link that is replaced between press and release is never clicked: the browser drops the click. */
function watchPresses() {
  byId("conversations").addEventListener("pointerdown", () => {
    pressed = true;
  });
  for (const end of ["pointerup", "pointercancel"]) {
    // After the click, which follows the release.
    document.addEventListener(end, () => setTimeout(() => (pressed = false)), { capture: true });
  }
}

/** Nobody asked for it by hand. @param {any} requestConfig */
const isRefresh = (requestConfig) => requestConfig.triggeringEvent?.type === "refresh";

/** The answer of a refresh that was asked for before the hand was there waits, too. @param {Event} event */
function guardList(event) {
  const { requestConfig, target } = /** @type {CustomEvent} */ (event).detail;
  if (target?.id !== "conversations" || !isRefresh(requestConfig) || !inUse()) return;
  event.preventDefault();
  refreshList();
}

export function refreshList() {
  window.clearTimeout(refreshTimer);
  refreshTimer = window.setTimeout(() => {
    if (inUse()) refreshList();
    else htmx.trigger("#conversations", "refresh");
  }, 150);
}

/** Marks the shown conversation and takes over its title. */
export function describeCurrent() {
  const id = state().conversation;
  for (const item of document.querySelectorAll("#conversations .conversation")) {
    const link = item.querySelector("a");
    const here = /** @type {HTMLElement} */ (item).dataset.conversation === id;
    link?.toggleAttribute("aria-current", here);
    if (here) link?.setAttribute("aria-current", "page");
    const title = here && item.querySelector(".conversation__title")?.textContent;
    if (!title) continue;
    byId("heading").textContent = title;
    document.title = `${title} · ${app.dataset.name}`;
  }
}

/** @param {string} url @param {object} [values] */
function post(url, values = {}) {
  return htmx.ajax("POST", url, {
    source: "#conversations",
    target: "#conversations",
    swap: "innerHTML",
    values: {
      current: state().conversation ?? "",
      q: /** @type {HTMLInputElement} */ (byId("search")).value,
      ...values,
    },
  });
}

/** @param {HTMLElement} item @param {string} url */
function rename(item, url) {
  const link = /** @type {HTMLElement} */ (item.querySelector("a"));
  const blank = /** @type {HTMLTemplateElement} */ (byId("blank-rename"));
  const form = /** @type {HTMLFormElement} */ (blank.content.firstElementChild?.cloneNode(true));
  const input = /** @type {HTMLInputElement} */ (form.querySelector("input"));
  const was = item.querySelector(".conversation__title")?.textContent ?? "";
  input.value = was;
  item.classList.add("conversation--renaming");
  link.before(form);
  input.select();
  input.focus();
  let over = false;
  const end = (/** @type {boolean} */ save) => {
    if (over) return;
    over = true;
    const title = input.value.trim();
    form.remove();
    item.classList.remove("conversation--renaming");
    link.focus();
    if (save && title && title !== was) void post(url, { title });
  };
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    end(true);
  });
  input.addEventListener("blur", () => end(true));
  input.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || event.isComposing) return;
    event.stopPropagation();
    end(false);
  });
}

/** @param {string} url @param {number} ms */
function offerUndo(url, ms) {
  toast(gettext("Conversation deleted"), {
    action: gettext("Undo"),
    ms,
    onAction: () => void post(url).then(() => toast(gettext("The conversation is back"))),
  });
}

/** @param {HTMLElement} button */
async function remove(button) {
  const { url, restore } = button.dataset;
  const id = /** @type {HTMLElement | null} */ (button.closest(".conversation"))?.dataset.conversation;
  if (!url || !restore) return;
  const failures = failed;
  await post(url);
  if (failed > failures) return;
  if (id !== state().conversation) {
    offerUndo(restore, UNDO_MS);
    return;
  }
  // The page of a deleted conversation is gone; its toast goes with us to the empty one.
  sessionStorage.setItem("deleted", JSON.stringify({ restore, until: Date.now() + UNDO_MS + 1000 }));
  location.assign(app.dataset.home ?? "/");
}

function offerPendingUndo() {
  const kept = sessionStorage.getItem("deleted");
  sessionStorage.removeItem("deleted");
  if (!kept) return;
  const { restore, until } = JSON.parse(kept);
  if (until > Date.now()) offerUndo(restore, until - Date.now());
}

let failed = 0;

/** A refresh that fails, or that a page which is being left breaks off, is no news. @param {CustomEvent} event */
function complainAboutList(event) {
  const { elt, successful, xhr, requestConfig } = event.detail;
  if (successful || isRefresh(requestConfig) || elt.closest?.("#sidebar") === null) return;
  failed += 1;
  toast(reasonOf(xhr), { ms: 6000 });
}

/* The panel. */

let saveTimer = 0;

/** @param {string} words @param {boolean} [bad] */
function sayPanel(words, bad = false) {
  byId("panel-state").textContent = words;
  byId("panel-state").toggleAttribute("data-bad", bad);
}

/** Parameters belong to the conversation; a new one gets them with its first message. @param {number} delay */
function savePanel(delay) {
  window.clearTimeout(saveTimer);
  const url = state().settings;
  if (!url) return;
  sayPanel("");
  saveTimer = window.setTimeout(async () => {
    const body = new URLSearchParams(
      /** @type {any} */ (new FormData(/** @type {HTMLFormElement} */ (byId("panel-form")))),
    );
    const model = /** @type {HTMLInputElement | null} */ (
      document.querySelector('#models input[name="model"]:checked')
    );
    if (model) body.set("model", model.value);
    const headers = JSON.parse(app.getAttribute("hx-headers") ?? "{}");
    try {
      const answer = await fetch(url, {
        method: "POST",
        body,
        headers: { ...headers, "HX-Request": "true" },
      });
      const refusal = answer.ok ? null : await answer.json().catch(() => null);
      sayPanel(answer.ok ? gettext("Saved") : (refusal?.error?.message ?? gettext("Not saved")), !answer.ok);
    } catch {
      sayPanel(gettext("Not saved: the server could not be reached."), true);
    }
  }, delay);
}

/** Sliders and their numbers show the same value; an empty number shows the default. */
function linkRanges() {
  for (const range of /** @type {NodeListOf<HTMLInputElement>} */ (
    document.querySelectorAll("#panel [data-for]")
  )) {
    const number = /** @type {HTMLInputElement} */ (byId(range.dataset.for ?? ""));
    const show = () => {
      range.value = number.value || number.placeholder;
      const span = Number(range.max) - Number(range.min);
      range.style.setProperty("--share", `${((Number(range.value) - Number(range.min)) / span) * 100}%`);
      range.toggleAttribute("data-unset", !number.value);
    };
    show();
    number.addEventListener("input", show);
    range.addEventListener("input", () => {
      number.value = range.value;
      show();
      savePanel(600);
    });
  }
}

function resetPanel() {
  for (const field of /** @type {NodeListOf<HTMLInputElement>} */ (
    byId("panel-form").querySelectorAll("[name]")
  )) {
    if (field.type === "checkbox") field.checked = false;
    else field.value = "";
    field.dispatchEvent(new Event("input", { bubbles: true }));
  }
  savePanel(0);
}

/** @param {HTMLInputElement} choice */
function chooseModel(choice) {
  const title = document.querySelector("[data-model-title]");
  if (title) title.textContent = choice.dataset.title ?? choice.value;
  const greeting = document.querySelector(".empty__model strong");
  if (greeting) greeting.textContent = choice.dataset.title ?? choice.value;
  savePanel(0);
}

/** The picker anew, by reading this very page again; what is chosen stays chosen. */
export function refreshModels() {
  const choice = /** @type {HTMLInputElement | null} */ (
    document.querySelector('#models input[name="model"]:checked')
  );
  const here = `${location.pathname}?${new URLSearchParams({ model: choice?.value ?? "" })}`;
  htmx.ajax("GET", here, { target: "#models", select: "#models", swap: "outerHTML" });
}

/** @param {MouseEvent} event */
function clicked(event) {
  const button = /** @type {HTMLElement | null} */ (
    /** @type {Element} */ (event.target).closest("[data-action]")
  );
  switch (button?.dataset.action) {
    case "toggle-sidebar":
      return toggle("sidebar");
    case "toggle-panel":
      return toggle("panel");
    case "reset-panel":
      return resetPanel();
    case "delete":
      return void remove(button);
    case "rename":
      return rename(/** @type {HTMLElement} */ (button.closest(".conversation")), button.dataset.url ?? "");
    default:
      return undefined;
  }
}

export function start() {
  describeSides();
  linkRanges();
  offerPendingUndo();
  watchPresses();
  document.addEventListener("click", clicked);
  byId("scrim").addEventListener("click", closeDrawer);
  for (const query of Object.values(narrow)) {
    query.addEventListener("change", () => {
      delete app.dataset.drawer;
      describeSides();
    });
  }
  byId("panel-form").addEventListener("input", (event) => {
    if (/** @type {HTMLInputElement} */ (event.target).name) savePanel(800);
  });
  byId("panel-form").addEventListener("submit", (event) => event.preventDefault());
  document.addEventListener("change", (event) => {
    const input = /** @type {HTMLInputElement} */ (event.target);
    if (input.name === "model") chooseModel(input);
  });
  document.body.addEventListener("htmx:afterRequest", (event) =>
    complainAboutList(/** @type {CustomEvent} */ (event)),
  );
  document.body.addEventListener("htmx:beforeSwap", guardList);
  document.body.addEventListener("htmx:afterSwap", (event) => {
    if (/** @type {Element} */ (event.target).closest("#conversations")) describeCurrent();
  });
}

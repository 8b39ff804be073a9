// @ts-check
/** What every page can do: toasts, copying without the clipboard API, confirming, closing menus. No chat in here. */

/** @param {string} id name of a symbol in templates/_icons.html */
export function icon(id) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  use.setAttribute("href", `#i-${id}`);
  svg.append(use);
  return svg;
}

/**
 * Short news at the bottom of the page, with at most one action.
 * @param {string} text
 * @param {{action?: string, onAction?: () => void, ms?: number}} [options]
 */
export function toast(text, { action, onAction, ms = 4000 } = {}) {
  const element = document.createElement("div");
  element.className = "toast";
  const words = document.createElement("span");
  words.textContent = text;
  element.append(words);
  if (action) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "toast__action";
    button.textContent = action;
    button.addEventListener("click", () => {
      element.remove();
      onAction?.();
    });
    element.append(button);
  }
  document.getElementById("toasts")?.append(element);
  setTimeout(() => element.remove(), ms);
  return element;
}

/**
 * Browsers hide navigator.clipboard on http://<LAN address>, so the old command is the second way.
 * @param {string} text
 * @returns {Promise<boolean>}
 */
export async function copyText(text) {
  if (navigator.clipboard && window.isSecureContext) {
    try {
      await navigator.clipboard.writeText(text);
      return true;
    } catch {
      // A permission that was refused: the old command may still be allowed.
    }
  }
  const area = document.createElement("textarea");
  area.value = text;
  area.className = "visually-hidden";
  area.setAttribute("aria-hidden", "true");
  area.tabIndex = -1;
  const before = /** @type {HTMLElement | null} */ (document.activeElement);
  // Inside an open dialog everything outside of it is inert and cannot be selected.
  (document.querySelector("dialog[open]") ?? document.body).append(area);
  area.select();
  const copied = document.execCommand("copy");
  area.remove();
  before?.focus({ preventScroll: true });
  return copied;
}

/**
 * Copies and says so on the button itself.
 * @param {HTMLElement} button
 * @param {string} text
 */
export async function copyFrom(button, text) {
  if (!(await copyText(text))) {
    toast(gettext("Your browser did not let us copy this. Select the text and copy it by hand."));
    return;
  }
  const use = button.querySelector("use");
  const was = use?.getAttribute("href") ?? "";
  use?.setAttribute("href", "#i-check");
  button.dataset.copied = "";
  setTimeout(() => {
    if (was !== "#i-check") use?.setAttribute("href", was);
    delete button.dataset.copied;
  }, 1600);
  toast(gettext("Copied"), { ms: 1600 });
}

/**
 * A UUIDv4 by hand: crypto.randomUUID does not exist on http://<LAN address>.
 * @returns {string}
 */
export function makeNonce() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}

document.addEventListener("click", (event) => {
  const target = /** @type {Element} */ (event.target);
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    // The arrow keys choose among models, too; only a press of the pointer has chosen for good.
    const chosen =
      menu.contains(target) && target.closest(event.detail ? ".menu__item, .model" : ".menu__item");
    if (chosen || !menu.contains(target)) menu.removeAttribute("open");
  }
  const copier = /** @type {HTMLElement | null} */ (target.closest("[data-copy]"));
  if (!copier) return;
  const source = copier.dataset.copy
    ? /** @type {HTMLInputElement | null} */ (document.querySelector(copier.dataset.copy))
    : null;
  void copyFrom(
    copier,
    source ? (source.value ?? source.textContent ?? "") : (copier.dataset.copyText ?? ""),
  );
});

document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  const open = document.querySelector("details.menu[open]");
  if (!open) return;
  open.removeAttribute("open");
  open.querySelector("summary")?.focus();
  event.stopImmediatePropagation();
});

/** Forms and buttons with data-confirm ask before they are sent. */
document.addEventListener("submit", (event) => {
  const form = /** @type {HTMLFormElement} */ (event.target);
  const submitter = /** @type {HTMLElement | null} */ (event.submitter);
  const question = submitter?.dataset.confirm ?? form.dataset.confirm;
  if (question && !window.confirm(question)) event.preventDefault();
});

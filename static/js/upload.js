// @ts-check
/** An upload of gigabytes in pieces: it goes on where it was, after a break and after a reload. */

const TRIES = 8;

/** @typedef {{id: string, offset: number, piece: number, next?: string}} Standing */

class Refused extends Error {}

/** @param {number} bytes */
function size(bytes) {
  const units = ["B", "KB", "MB", "GB", "TB"];
  let number = bytes;
  let unit = 0;
  while (number >= 1024 && unit < units.length - 1) {
    number /= 1024;
    unit += 1;
  }
  return `${number.toFixed(unit > 1 ? 1 : 0)} ${units[unit]}`;
}

/** @param {number} seconds */
function span(seconds) {
  if (seconds < 60) return gettext("less than a minute left");
  const minutes = Math.ceil(seconds / 60);
  const words = ngettext("%(number)s minute left", "%(number)s minutes left", minutes);
  return interpolate(words, { number: minutes }, true);
}

/** @param {number} ms */
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** One upload card on the page. @param {HTMLElement} card */
export function start(card) {
  const form = /** @type {HTMLFormElement} */ (card.querySelector("form"));
  const input = /** @type {HTMLInputElement} */ (form.querySelector('input[type="file"]'));
  const drop = /** @type {HTMLElement} */ (form.querySelector(".library-drop"));
  const name = /** @type {HTMLElement} */ (form.querySelector("[data-upload-name]"));
  const go = /** @type {HTMLButtonElement} */ (form.querySelector('button[type="submit"]'));
  const stop = /** @type {HTMLButtonElement} */ (form.querySelector("[data-upload-stop]"));
  const progress = /** @type {HTMLElement} */ (form.querySelector("[data-upload-progress]"));
  const trouble = /** @type {HTMLElement} */ (form.querySelector("[data-upload-trouble]"));
  const text = /** @type {HTMLElement} */ (form.querySelector("[data-upload-text]"));
  const token = /** @type {HTMLInputElement} */ (form.querySelector('[name="csrfmiddlewaretoken"]')).value;
  const address = card.dataset.upload ?? "";
  /** @type {File | null} */
  let file = null;
  /** @type {AbortController | null} */
  let running = null;
  form.hidden = false;

  /** @param {File | undefined} chosen */
  function choose(chosen) {
    if (!chosen || running) return;
    file = chosen;
    name.textContent = `${file.name} (${size(file.size)})`;
    go.disabled = file.size === 0;
    trouble.hidden = true;
    go.textContent = remembered() ? gettext("Go on with the upload") : gettext("Upload");
  }

  const key = () => `upload:${file?.name}:${file?.size}:${file?.lastModified}`;
  const remembered = () => localStorage.getItem(key());

  /**
   * @param {string} path
   * @param {RequestInit} options
   * @returns {Promise<Standing>}
   */
  async function ask(path, options = {}) {
    const headers = { "X-CSRFToken": token, ...options.headers };
    const answer = await fetch(path, { ...options, headers, signal: running?.signal });
    const said = await answer.json().catch(() => ({}));
    if (answer.ok) return said;
    if (answer.status < 500 && said.text) throw new Refused(said.text);
    throw new Error(String(answer.status));
  }

  /** Where it is; begun anew where the server does not know it any more. */
  async function standing() {
    const id = remembered();
    if (id) {
      const answer = await fetch(`${address}/${id}`, { signal: running?.signal });
      if (answer.ok) return /** @type {Promise<Standing>} */ (answer.json());
      if (answer.status !== 404) throw new Error(String(answer.status));
    }
    const body = new URLSearchParams({ name: file?.name ?? "", size: String(file?.size ?? 0) });
    const begun = await ask(address, { method: "POST", body });
    localStorage.setItem(key(), begun.id);
    return begun;
  }

  async function send() {
    let now = await standing();
    const total = file?.size ?? 0;
    const began = performance.now();
    const before = now.offset;
    while (now.offset < total) {
      const body = file?.slice(now.offset, now.offset + now.piece);
      now = await ask(`${address}/${now.id}?offset=${now.offset}`, { method: "PUT", body });
      const speed = (now.offset - before) / ((performance.now() - began) / 1000);
      show(now.offset, total, speed);
    }
    const ended = await ask(`${address}/${now.id}`, { method: "POST" });
    localStorage.removeItem(key());
    running = null;
    location.assign(ended.next ?? card.dataset.done ?? "/");
  }

  /** @param {number} done @param {number} total @param {number} speed */
  function show(done, total, speed) {
    const share = total ? (100 * done) / total : 0;
    progress.hidden = false;
    progress.querySelector("rect")?.setAttribute("width", share.toFixed(2));
    progress.querySelector("svg")?.setAttribute("aria-valuenow", share.toFixed(0));
    const facts = { done: size(done), total: size(total), speed: size(speed) };
    const words = interpolate(gettext("%(done)s of %(total)s, %(speed)s/s"), facts, true);
    text.textContent = speed ? `${words}, ${span((total - done) / speed)}` : words;
  }

  /** What is sent again and again moves no further. */
  const reached = () => Number(progress.querySelector("rect")?.getAttribute("width") ?? 0);
  const paused = () => !running || running.signal.aborted;

  /** @param {boolean} busy */
  function dress(busy) {
    go.hidden = busy;
    stop.hidden = !busy;
    go.textContent = remembered() ? gettext("Go on with the upload") : gettext("Upload");
  }

  async function run() {
    if (!file || running) return;
    running = new AbortController();
    trouble.hidden = true;
    dress(true);
    const ended = await insist();
    running = null;
    if (!ended) dress(false);
  }

  /** What came of sending: done, over (paused or refused), or broke. */
  async function attempt() {
    try {
      await send();
      return "done";
    } catch (error) {
      if (paused()) return "over";
      if (!(error instanceof Refused)) return "broke";
      say(error.message);
      return "over";
    }
  }

  /** A break of the line is waited out. Whether the upload is complete. */
  async function insist() {
    let furthest = -1;
    for (let tries = 0; tries < TRIES; tries += 1) {
      const outcome = await attempt();
      if (outcome !== "broke") return outcome === "done";
      if (reached() > furthest) tries = 0;
      furthest = reached();
      text.textContent = gettext("The connection broke. It goes on by itself.");
      await pause(Math.min(1000 * 2 ** tries, 15_000));
    }
    say(gettext("The server cannot be reached. What is there stays: go on later."));
    return false;
  }

  /** @param {string} words */
  function say(words) {
    const paragraph = trouble.querySelector("p");
    if (paragraph) paragraph.textContent = words;
    trouble.hidden = false;
  }

  input.addEventListener("change", () => choose(input.files?.[0]));
  for (const type of ["dragover", "dragleave", "drop"])
    drop.addEventListener(type, (event) => {
      event.preventDefault();
      drop.toggleAttribute("data-over", type === "dragover");
      if (type === "drop") choose(/** @type {DragEvent} */ (event).dataTransfer?.files[0]);
    });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    void run();
  });
  stop.addEventListener("click", () => {
    running?.abort();
    text.textContent = gettext("Paused. What is there stays.");
  });
  addEventListener("beforeunload", (event) => {
    if (running) event.preventDefault();
  });
}

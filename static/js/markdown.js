// @ts-check
/** The one Markdown renderer: render, then sanitise, then insert. Nothing of a message reaches the page another way. */

import { icon } from "./page.js";

const app = /** @type {HTMLElement} */ (document.getElementById("app"));

/** @type {Map<string, Promise<void>>} */
const scripts = new Map();
/** @type {any} */
let engine = null;
/** Elements with the source they show; those in `unfinished` wait for a library and are shown anew. */
/** @type {WeakMap<Element, string>} */
const sources = new WeakMap();
/** @type {Set<Element>} */
const unfinished = new Set();
/** What the current rendering would have needed. */
const wanted = new Set();

/** Highlighted code by language and text: a streaming answer renders its finished blocks many times. */
/** @type {Map<string, string>} */
const highlighted = new Map();

/**
 * @param {string} name data attribute of #app with the address
 * @returns {Promise<void>}
 */
function load(name) {
  const known = scripts.get(name);
  if (known) return known;
  const promise = new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = app.dataset[name] ?? "";
    script.addEventListener("load", () => resolve(undefined));
    script.addEventListener("error", () => {
      scripts.delete(name);
      reject(new Error(name));
    });
    document.head.append(script);
  });
  scripts.set(name, promise);
  return promise;
}

const present = {
  markdown: () => "markdownit" in globalThis,
  purify: () => "DOMPurify" in globalThis,
  highlight: () => "hljs" in globalThis,
  katex: () => "katex" in globalThis,
};

/** Loads a library once, then shows again what waited for it. @param {"highlight" | "katex"} name */
function fetchFor(name) {
  load(name).then(
    () => {
      const elements = [...unfinished];
      unfinished.clear();
      for (const element of elements) if (element.isConnected) show(element, sources.get(element) ?? "");
    },
    () => undefined, // The text is readable without it; the next rendering tries again.
  );
}

/** @param {string} text */
function escapeText(text) {
  return text.replace(/[&<>"]/g, (c) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" })[c] ?? c);
}

/** @param {string} code @param {string} language */
function colour(code, language) {
  if (!present.highlight()) {
    wanted.add("highlight");
    return escapeText(code);
  }
  if (!hljs.getLanguage(language) || code.length > 30000) return escapeText(code);
  const key = `${language}\n${code}`;
  const known = highlighted.get(key);
  if (known !== undefined) return known;
  const html = hljs.highlight(code, { language, ignoreIllegals: true }).value;
  if (highlighted.size > 200) highlighted.clear();
  highlighted.set(key, html);
  return html;
}

/** @param {string} source @param {boolean} display */
function maths(source, display) {
  const plain = `<code class="maths">${escapeText(source)}</code>`;
  if (!present.katex()) {
    wanted.add("katex");
    return plain;
  }
  try {
    const html = katex.renderToString(source, {
      displayMode: display,
      output: "mathml",
      throwOnError: true,
      trust: false,
      strict: false,
      maxSize: 20,
      maxExpand: 300,
    });
    // The TeX source would survive the sanitiser as readable text beside the formula.
    return html.replace(/<annotation[^>]*>[^<]*<\/annotation>/g, "").replace(/<\/?semantics>/g, "");
  } catch {
    return plain;
  }
}

/** Which maths opens at a position, and what closes it. @param {string} src @param {number} pos */
function opening(src, pos) {
  const two = src.slice(pos, pos + 2);
  if (two === "\\(") return { open: two, close: "\\)", display: false };
  if (two === "\\[") return { open: two, close: "\\]", display: true };
  if (two === "$$") return { open: two, close: two, display: true };
  return src[pos] === "$" ? { open: "$", close: "$", display: false } : null;
}

/** A single dollar is maths only when it hugs its formula: "$5 and $6" are prices. @param {string} content @param {string} next */
function isPrice(content, next) {
  return /^\s|\s$|\n\s*\n/.test(content) || /\d/.test(next);
}

/** `\(…\)`, `\[…\]`, `$$…$$` and `$…$` in a line. @param {any} state @param {boolean} silent */
function inlineMaths(state, silent) {
  const { src, pos, posMax } = state;
  const kind = opening(src, pos);
  if (!kind) return false;
  const start = pos + kind.open.length;
  let end = src.indexOf(kind.close, start);
  while (kind.open === "$" && end > 0 && src[end - 1] === "\\") end = src.indexOf("$", end + 1);
  if (end <= start || end >= posMax) return false;
  const content = src.slice(start, end);
  if (kind.open === "$" && isPrice(content, src[end + 1] ?? "")) return false;
  if (!silent) {
    const token = state.push("maths", "", 0);
    token.content = content.trim();
    token.meta = kind.display;
  }
  state.pos = end + kind.close.length;
  return true;
}

/** `$$` or `\[` at the start of a line, up to the line that closes it. */
/** @param {any} state @param {number} first @param {number} last @param {boolean} silent */
function blockMaths(state, first, last, silent) {
  const from = state.bMarks[first] + state.tShift[first];
  const kind = opening(state.src, from);
  if (!kind?.display || state.sCount[first] - state.blkIndent >= 4) return false;
  const end = state.src.indexOf(kind.close, from + 2);
  let line = first;
  while (line < last && state.eMarks[line] < end) line += 1;
  if (end < 0 || line >= last || state.src.slice(end + 2, state.eMarks[line]).trim()) return false;
  if (silent) return true;
  const token = state.push("maths", "", 0);
  token.block = true;
  token.content = state
    .getLines(first, line + 1, state.blkIndent, false)
    .trim()
    .slice(2, -2)
    .trim();
  token.meta = true;
  token.map = [first, line + 1];
  state.line = line + 1;
  return true;
}

/** Inline styles are forbidden on this site, so that a cell's alignment becomes a class. */
/** @param {any[]} tokens @param {number} index @param {any} options @param {any} _env @param {any} self */
function cell(tokens, index, options, _env, self) {
  const style = tokens[index].attrGet("style");
  tokens[index].attrs = style ? [["class", `is-${style.split(":")[1]}`]] : null;
  return self.renderToken(tokens, index, options);
}

function makeEngine() {
  DOMPurify.addHook("uponSanitizeAttribute", checkLink);
  const md = markdownit({ html: false, linkify: true, breaks: true, typographer: false });
  md.linkify.set({ fuzzyLink: false, fuzzyEmail: false, fuzzyIP: false });
  md.inline.ruler.before("escape", "maths", inlineMaths);
  md.block.ruler.before("fence", "maths", blockMaths, {
    alt: ["paragraph", "reference", "blockquote", "list"],
  });
  md.renderer.rules.maths = (/** @type {any[]} */ tokens, /** @type {number} */ i) => {
    const html = maths(tokens[i].content, tokens[i].meta);
    return tokens[i].meta ? `<span class="maths-block">${html}</span>` : html;
  };
  md.renderer.rules.th_open = cell;
  md.renderer.rules.td_open = cell;
  md.renderer.rules.fence = (/** @type {any[]} */ tokens, /** @type {number} */ i) => {
    const language = tokens[i].info
      .trim()
      .split(/\s+/)[0]
      .toLowerCase()
      .replace(/[^\w+#.-]/g, "");
    const name = language ? ` class="language-${language}"` : "";
    return `<pre><code${name}>${language ? colour(tokens[i].content, language) : escapeText(tokens[i].content)}</code></pre>\n`;
  };
  // An image of a model's would tell a foreign server that the answer was read: it stays a link.
  md.renderer.rules.image = (/** @type {any[]} */ tokens, /** @type {number} */ i) => {
    const words = tokens[i].content || gettext("Image");
    return `<a class="image-link" href="${escapeText(tokens[i].attrGet("src") ?? "")}">${escapeText(words)}</a>`;
  };
  return md;
}

/** Only whole addresses: a link of a model's into this very site could make the reader do something here. */
/** @param {Element} _node @param {{attrName: string, attrValue: string, keepAttr: boolean}} attribute */
function checkLink(_node, attribute) {
  if (attribute.attrName === "href" && !/^(?:https?:\/\/|mailto:)/i.test(attribute.attrValue))
    attribute.keepAttr = false;
}

/** @param {string} html @returns {DocumentFragment} */
function sanitise(html) {
  return DOMPurify.sanitize(html, {
    USE_PROFILES: { html: true, mathMl: true },
    FORBID_TAGS: [
      "img",
      "picture",
      "source",
      "video",
      "audio",
      "track",
      "style",
      "form",
      "input",
      "button",
      "select",
      "textarea",
      "dialog",
      "details",
      "template",
      "slot",
    ],
    FORBID_ATTR: ["style", "id", "name", "src", "srcset", "background", "action", "tabindex"],
    ALLOW_DATA_ATTR: false,
    RETURN_DOM_FRAGMENT: true,
  });
}

/** @param {Element} pre */
function frameCode(pre) {
  const code = pre.querySelector("code");
  const frame = document.createElement("div");
  frame.className = "code";
  const bar = document.createElement("div");
  bar.className = "code__bar";
  const name = document.createElement("span");
  name.textContent = code?.className.match(/language-(\S+)/)?.[1] ?? gettext("text");
  const button = document.createElement("button");
  button.type = "button";
  button.className = "code__copy";
  button.dataset.action = "copy-code";
  const words = document.createElement("span");
  words.textContent = gettext("Copy");
  button.append(icon("copy"), words);
  bar.append(name, button);
  pre.replaceWith(frame);
  pre.setAttribute("tabindex", "0");
  frame.append(bar, pre);
}

/** What we add ourselves, after the sanitiser. @param {DocumentFragment} fragment */
function dress(fragment) {
  for (const link of fragment.querySelectorAll("a[href]")) {
    link.setAttribute("target", "_blank");
    link.setAttribute("rel", "noopener noreferrer nofollow");
    if (link.classList.contains("image-link")) link.append(icon("out"));
  }
  for (const table of fragment.querySelectorAll("table")) {
    const frame = document.createElement("div");
    frame.className = "table-frame";
    frame.tabIndex = 0;
    table.replaceWith(frame);
    frame.append(table);
  }
  for (const pre of fragment.querySelectorAll("pre")) frameCode(pre);
}

/** Replaces only what differs, so that a selection and a scrolled code block survive the next token. */
/** @param {Element} element @param {DocumentFragment} fragment */
function patch(element, fragment) {
  const fresh = [...fragment.childNodes];
  fresh.forEach((node, index) => {
    const old = element.childNodes[index];
    if (!old) element.append(node);
    else if (!old.isEqualNode(node)) old.replaceWith(node);
  });
  while (element.childNodes.length > fresh.length) element.lastChild?.remove();
}

/** @returns {boolean} whether Markdown can be rendered at once */
export function ready() {
  return present.markdown() && present.purify();
}

/** Loads the renderer; later calls cost nothing. */
export async function prepare() {
  const missing = [];
  if (!present.markdown()) missing.push(load("markdown"));
  if (!present.purify()) missing.push(load("purify"));
  await Promise.all(missing);
}

/**
 * Shows a source in an element. Call `prepare` first; before it is ready nothing is shown.
 * @param {Element} element
 * @param {string} source
 * @returns {boolean} whether it was shown
 */
export function show(element, source) {
  if (!ready()) return false;
  engine ??= makeEngine();
  sources.set(element, source);
  wanted.clear();
  const fragment = sanitise(engine.render(source));
  dress(fragment);
  patch(element, fragment);
  if (wanted.size) unfinished.add(element);
  if (wanted.has("highlight")) fetchFor("highlight");
  if (wanted.has("katex")) fetchFor("katex");
  return true;
}

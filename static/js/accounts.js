// @ts-check
/** Small manners of the settings pages; every page works without them. */

// Choices of one click: the form is sent when the choice changes, and needs no button then.

for (const form of /** @type {NodeListOf<HTMLFormElement>} */ (
  document.querySelectorAll("form[data-autosubmit]")
)) {
  const button = form.querySelector("button");
  if (button) button.hidden = true;
  form.addEventListener("change", () => form.requestSubmit());
}

// A page that is shown once answers a form: a reload would send that form again.
const once = /** @type {HTMLElement | null} */ (document.querySelector("[data-once]"));
if (once?.dataset.once) history.replaceState(null, "", once.dataset.once);

// On a phone the settings' names are wider than the screen: one sees where one is.
document
  .querySelector(".settings__link[aria-current]")
  ?.scrollIntoView({ block: "nearest", inline: "center" });

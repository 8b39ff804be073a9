// @ts-check
/** Choices of one click: the form is sent when the choice changes, and needs no button then. Nothing else. */

for (const form of /** @type {NodeListOf<HTMLFormElement>} */ (
  document.querySelectorAll("form[data-autosubmit]")
)) {
  const button = form.querySelector("button");
  if (button) button.hidden = true;
  form.addEventListener("change", () => form.requestSubmit());
}

// Buttons that copy the whole of a value that is shown shortened.
const SHOWN_MILLISECONDS = 1500;

/** Shows the copy buttons in a part of the page, where the browser lets a page write to the clipboard. */
export function showCopyButtons(root) {
  if (!navigator.clipboard) return;
  for (const button of root.querySelectorAll("[data-copy]")) {
    button.hidden = false;
    button.addEventListener("click", () => copy(button));
  }
}

async function copy(button) {
  await navigator.clipboard.writeText(button.dataset.copy);
  button.dataset.copied = "";
  setTimeout(() => delete button.dataset.copied, SHOWN_MILLISECONDS);
}

// Live parts of a page. When the index has a new event, the page is fetched again and its live parts are replaced:
// the server alone renders them.
import { showCopyButtons } from "./copy.js";
import { showLocalTimes } from "./times.js";

const SUBSCRIPTION = "subscription { lifecycleEvents { cursor } }";
const PAUSE_MILLISECONDS = 1000;

/** Subscribes to events if the page has live parts and shows the present. */
export function keepLive() {
  if (!document.querySelector("[data-live]") || isOfThePast()) return;
  const source = new EventSource(`/graphql/stream?query=${encodeURIComponent(SUBSCRIPTION)}`);
  let waiting;
  source.addEventListener("next", () => {
    waiting ??= setTimeout(() => {
      waiting = undefined;
      refresh().catch(() => {});
    }, PAUSE_MILLISECONDS);
  });
}

function isOfThePast() {
  const parameters = new URLSearchParams(location.search);
  return ["asOf", "after", "before"].some((name) => parameters.get(name));
}

async function refresh() {
  const response = await fetch(location.href, { headers: { accept: "text/html" } });
  if (!response.ok) return;
  const page = new DOMParser().parseFromString(await response.text(), "text/html");
  const fresh = page.querySelectorAll("[data-live]");
  document.querySelectorAll("[data-live]").forEach((part, index) => fresh[index] && replace(part, fresh[index]));
}

function replace(part, fresh) {
  const known = new Set([...part.querySelectorAll("[id]")].map((element) => element.id));
  if (part.contains(document.activeElement)) return; // a reader is in it
  part.replaceChildren(...fresh.childNodes);
  for (const element of part.querySelectorAll(".event[id]")) {
    if (!known.has(element.id)) element.classList.add("event-new");
  }
  showCopyButtons(part);
  showLocalTimes(part);
}

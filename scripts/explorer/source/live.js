// Live parts of a page. When its subscription says that the page has aged, the page is fetched again and its live parts
// are replaced: the server alone renders them.
import { showCopyButtons } from "./copy.js";
import { showLocalTimes } from "./times.js";

const PAUSE_MILLISECONDS = 1000;
const PAUSE_AFTER_FAILURE_MILLISECONDS = 5000;

/** The HTML of each live part as the server sent it. */
const sent = new WeakMap();

/** Subscribes to the page's stream if it has live parts and shows the present. Call it before others change the parts. */
export function keepLive() {
  const parts = document.querySelectorAll("[data-live]");
  if (!parts.length || isOfThePast()) return;
  for (const part of parts) sent.set(part, part.innerHTML);
  const source = new EventSource(document.body.dataset.stream);
  const age = refresher();
  source.addEventListener("next", (event) => {
    if (!JSON.parse(event.data).errors) return age();
    source.close(); // refused: the answer to the same request would be the same
    showState(false);
  });
  source.addEventListener("open", () => {
    showState(true);
    age(); // something may have happened since the page was made, or since the stream was cut
  });
  source.addEventListener("error", () => showState(false));
}

/** Returns a function to call when the page has aged: it refreshes the page after a pause, and repeats what failed. */
function refresher() {
  let isAged = false;
  let isBusy = false;
  const age = async () => {
    isAged = true;
    if (isBusy) return;
    isBusy = true;
    for (let pause = PAUSE_MILLISECONDS; isAged; ) {
      await new Promise((resolve) => setTimeout(resolve, pause));
      isAged = false;
      pause = PAUSE_MILLISECONDS;
      await refresh(age).catch(() => {
        isAged = true;
        pause = PAUSE_AFTER_FAILURE_MILLISECONDS;
      });
    }
    isBusy = false;
  };
  return age;
}

function showState(isConnected) {
  for (const state of document.querySelectorAll("[data-live-state]")) state.hidden = !isConnected;
}

function isOfThePast() {
  const parameters = new URLSearchParams(location.search);
  return ["asOf", "after", "before"].some((name) => parameters.get(name));
}

/** Replaces the live parts of the page. Rejects if the page cannot be fetched now. */
async function refresh(age) {
  const response = await fetch(location.href, { headers: { accept: "text/html" } });
  if (response.status >= 500 || response.status === 429) throw new Error(`status ${response.status}`);
  if (!response.ok) return;
  const page = new DOMParser().parseFromString(await response.text(), "text/html");
  const fresh = page.querySelectorAll("[data-live]");
  document.querySelectorAll("[data-live]").forEach((part, index) => fresh[index] && replace(part, fresh[index], age));
}

function replace(part, fresh, age) {
  const html = fresh.innerHTML;
  if (sent.get(part) === html) return; // what a reader has opened or selected stays so
  // a reader is in it: later
  if (part.contains(document.activeElement)) return part.addEventListener("focusout", age, { once: true });
  const events = () => [...part.querySelectorAll(".event[id]")];
  const known = new Set(events().map((event) => event.id));
  const oldest = events().reduce((first, event) => (first && isBefore(first, event) ? first : event), undefined);
  sent.set(part, html);
  part.replaceChildren(...fresh.childNodes);
  for (const event of events()) {
    // an older one has only moved up, since a reorg removed others
    if (!known.has(event.id) && !(oldest && isBefore(event, oldest))) event.classList.add("event-new");
  }
  showCopyButtons(part);
  showLocalTimes(part);
}

/** Returns whether an event is before another one in the chain. */
function isBefore(event, other) {
  const [place, otherPlace] = [placeOf(event), placeOf(other)];
  const index = place.findIndex((number, index) => number !== otherPlace[index]);
  return index >= 0 && place[index] < otherPlace[index];
}

/** Returns the block, the log and the item of an event. */
function placeOf(event) {
  const [block, log, item] = event.id.split("-").slice(1, -1).map(Number);
  return [block, log, item ?? 0];
}

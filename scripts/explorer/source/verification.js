// The check of a bundle in this browser: on /verify of a file, on the page of a token of its bundle. Workers do the
// check, and the questions to a node; this module only shows what they say.
const VERDICTS = {
  PASS: { tone: "good", title: "Pass: nothing contradicts this bundle" },
  FAIL: { tone: "bad", title: "Fail: this bundle contradicts itself" },
  INCOMPLETE: { tone: "warn", title: "Incomplete: not all events are proven yet" },
};
const INVISIBLE = /[\u0000-\u001f\u007f-\u009f\u061c\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff]/g;

/** Makes the page check bundles, if it has a place for the result. */
export function offerVerification() {
  const place = document.querySelector("[data-verification]");
  if (!place) return;
  const verification = new Verification(place);
  for (const drop of document.querySelectorAll("[data-drop]")) acceptFiles(drop, verification);
  for (const button of document.querySelectorAll("[data-bundle]")) {
    button.addEventListener("click", (event) => {
      event.preventDefault();
      verification.checkBundleOf(button.dataset.bundle, button.dataset.did);
    });
  }
}

function acceptFiles(drop, verification) {
  const input = drop.querySelector("input");
  drop.hidden = false;
  input.addEventListener("change", () => {
    if (input.files[0]) verification.checkFile(input.files[0]);
    input.value = ""; // so that the same file can be chosen again
  });
  for (const type of ["dragenter", "dragover", "dragleave", "drop"]) {
    document.addEventListener(type, (event) => {
      event.preventDefault(); // else the browser would leave the page for the file
      drop.classList.toggle("drop-over", type === "dragenter" || type === "dragover");
    });
  }
  document.addEventListener("drop", ({ dataTransfer }) => dataTransfer.files[0] && verification.checkFile(dataTransfer.files[0]));
}

class Verification {
  constructor(place) {
    this.place = place;
    this.status = this.part("status");
    this.result = this.part("result");
    this.node = this.part("node");
    this.run = 0;
    this.node.addEventListener("submit", (event) => {
      event.preventDefault();
      this.compareHashes(this.node.querySelector("input").value.trim());
    });
  }

  checkFile(file) {
    return this.check(`${file.name}, ${(file.size / 1000).toLocaleString("en", { maximumFractionDigits: 1 })} kB`, () =>
      file.arrayBuffer(),
    );
  }

  checkBundleOf(href, did) {
    return this.check("the bundle of this page", async () => {
      const response = await fetch(href, { headers: { accept: "application/json" } });
      if (response.ok) return response.arrayBuffer();
      const answer = await response.json().catch(() => ({}));
      throw new Error(answer.error ?? `The server answered with status ${response.status}.`);
    }, did);
  }

  /** Reads and checks a bundle. `did` is the token that it must be about, if there is one. */
  async check(name, read, did) {
    const run = (this.run += 1);
    this.place.hidden = false;
    delete this.place.dataset.verdict;
    this.result.replaceChildren();
    this.node.hidden = true;
    this.say(`Reading ${name} …`);
    this.place.focus({ preventScroll: true });
    this.place.scrollIntoView({ block: "start" });
    try {
      this.bytes = await read();
      this.did = did;
      this.name = name;
      await this.checkWith([], run);
    } catch (error) {
      if (run === this.run) this.say(`The check could not be made. ${error.message}`);
    }
  }

  async checkWith(trusted, run) {
    const titles = (step) => run === this.run && this.say(`Checking ${this.name}: step ${step + 1} …`);
    const result = await ask(this.place.dataset.check, { bytes: this.bytes, trusted }, titles);
    if (run !== this.run) return; // another bundle was chosen meanwhile
    this.bundle = result.bundle;
    this.say(`Checked: ${this.name}.`);
    this.show(result);
  }

  /** Asks a node for the hashes of the bundle's blocks, and checks the bundle with them. */
  async compareHashes(url) {
    const run = this.run;
    const error = this.part("node-error");
    const button = this.node.querySelector("button");
    error.hidden = true;
    button.disabled = true;
    try {
      const { chainId, blocks } = this.bundle;
      const numbers = blocks.map(([number]) => number);
      const hashes = await ask(this.place.dataset.node, { url, chainId, numbers });
      if (run === this.run) await this.checkWith(hashes, run);
    } catch (reason) {
      error.textContent = visible(reason.message);
      error.hidden = false;
    } finally {
      button.disabled = false;
    }
  }

  show(result) {
    const ofAnother = this.did && result.bundle && result.bundle.did !== this.did.toLowerCase();
    const verdict = ofAnother ? "FAIL" : result.verdict;
    const failure = ofAnother ? `the server sent the bundle of another token, ${result.bundle.did}` : result.failure;
    this.result.replaceChildren(
      verdictBox(verdict, failure, result),
      this.steps(result),
      ...(failure === null ? [limits(result.limits)] : []),
      printed(result.report),
    );
    this.place.dataset.verdict = verdict;
    this.node.hidden = failure !== null || result.trusted === result.bundle.blocks.length;
  }

  steps({ steps, failure, trusted, bundle }) {
    const failed = failure === null ? -1 : steps.findIndex(({ detail }) => detail === null);
    const rows = steps.map(({ title, detail, isPartial }, index) => {
      const done = isPartial ? "OPEN" : "HOLDS";
      const state = detail !== null ? done : index === failed ? "WRONG" : "NOT_REACHED";
      return this.row(state, title, detail ?? (index === failed ? failure : ""));
    });
    if (failure === null) {
      const all = trusted === bundle.blocks.length;
      const compared = `${trusted} of ${bundle.blocks.length} hashes are those of the node that you named.`;
      const detail = all || trusted ? compared : "Nobody was asked. Name a node below.";
      rows.push(this.row(all ? "HOLDS" : "OPEN", "The blocks are of the real chain", detail));
    }
    return element("ol", { className: "checks" }, ...rows);
  }

  row(state, title, detail) {
    const chip = this.place.querySelector(`template[data-chip="${state}"]`).content.cloneNode(true);
    return element(
      "li",
      { className: "check" },
      element("div", {}, chip),
      element("div", {}, element("p", { className: "check-question" }, title), text("p", detail, "small soft wrap-anywhere")),
    );
  }

  say(words) {
    this.status.replaceChildren(text("p", words, "soft"));
  }

  part(name) {
    return this.place.querySelector(`[data-part="${name}"]`);
  }
}

function verdictBox(verdict, failure, { bundle, unproven, unprovenEvents }) {
  const { tone, title } = VERDICTS[verdict];
  const open = `${unprovenEvents} of ${bundle?.events} events are not proven yet. Nothing contradicts them.`;
  const about = bundle && `${bundle.did}: ${bundle.events} events in ${bundle.blocks.length} blocks, up to block ${bundle.asOf}.`;
  const lines = failure === null ? [about, ...(unproven.length ? [open] : [])] : [failure];
  return element(
    "div",
    { className: `verdict verdict-${tone}` },
    element("p", { className: "verdict-title" }, title),
    ...lines.map((line) => text("p", line)),
    ...(unproven.length ? [folded("Which, and until when", ...unproven.map((line) => text("p", `${line}.`, "small")))] : []),
  );
}

function limits(paragraphs) {
  return element(
    "div",
    { className: "limits" },
    element("h3", {}, "What this does not prove"),
    ...paragraphs.map((paragraph) => text("p", paragraph, "small")),
  );
}

const printed = (report) => folded("As certindex check prints it", text("pre", report, "printed"));

function folded(title, ...children) {
  return element("details", { className: "more" }, element("summary", {}, title), ...children);
}

/** Asks a worker, which lives for this question alone. Returns its result. Raises Error. */
function ask(script, message, onStep = () => {}) {
  const worker = new Worker(script);
  return new Promise((resolve, reject) => {
    worker.onerror = () => reject(new Error("Its script could not be loaded. Load the page again."));
    worker.onmessage = ({ data }) => {
      if ("step" in data) onStep(data.step);
      else if ("error" in data) reject(new Error(data.error));
      else resolve(data.result);
    };
    worker.postMessage(message);
  }).finally(() => worker.terminate());
}

function element(tag, properties, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

const text = (tag, words, className = "") => element(tag, { className }, visible(words));

/** Returns a text with a sign for each character that nobody sees, or that would reorder the text around it. */
function visible(words) {
  return words.replace(INVISIBLE, (character) =>
    character === "\n" ? character : `[U+${character.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}]`,
  );
}

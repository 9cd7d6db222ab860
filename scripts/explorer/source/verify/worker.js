// Checks a bundle away from the page, so that it stays responsive. The policy of this file's response allows no
// connection at all: a browser sends nothing that is checked here anywhere.
import declarations from "./declarations.json" with { type: "json" };
import { checkBundle, STEPS } from "./check.js";
import { report, unprovenBlocks, unprovenEvents, verdictOf } from "./report.js";

// Messages: { bytes, trusted: [[number, hash]] } -> { step }, ..., { result } or { error }
self.onmessage = ({ data: { bytes, trusted = [] } }) => {
  try {
    const check = checkBundle(bytes, new Map(trusted), (step) => self.postMessage({ step }));
    self.postMessage({ result: resultOf(check) });
  } catch (error) {
    self.postMessage({ error: String(error) });
  }
};

function resultOf(check) {
  const { bundle, failure, trusted } = check;
  const subject = bundle && declarations.bundleSubjects.find(({ member }) => member in bundle);
  const known = bundle ? bundle.blocks.filter(({ number }) => trusted.has(number)).length : 0;
  return {
    verdict: verdictOf(check),
    report: report(check).join("\n"),
    failure,
    steps: STEPS.map(({ title }, index) => ({ title, detail: null, ...check.steps[index] })),
    unproven: failure === null ? unprovenBlocks(check.unproven) : [],
    unprovenEvents: unprovenEvents(check),
    trusted: known,
    limits: subject ? limitsOf(subject, known === bundle.blocks.length) : [],
    bundle: bundle && {
      did: subject ? bundle[subject.member].did : "",
      chainId: bundle.chainId,
      asOf: bundle.asOf.number,
      events: bundle.events.length,
      blocks: bundle.blocks.map(({ number, hash }) => [number, hash]),
    },
  };
}

/** Returns the paragraphs of the trust statement that say what is not proven. */
function limitsOf(subject, blocksAreTrusted) {
  const begins = blocksAreTrusted ? /^(?:NOT PROVEN|OUTSIDE)/ : /^(?:NOT PROVEN|OUTSIDE|PROVEN ONLY)/;
  return subject.trust.split("\n\n").filter((paragraph) => begins.test(paragraph));
}

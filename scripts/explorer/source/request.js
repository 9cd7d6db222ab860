// The button that copies what a page asks as a request of curl.

/** Gives the button the request that GraphiQL would send for the link beside it. */
export function offerRequest() {
  const button = document.querySelector("[data-request]");
  if (button) button.dataset.copy = requestOf(new URL(document.querySelector("[data-query]").href));
}

function requestOf(address) {
  const values = new URLSearchParams(address.hash.slice(1));
  const body = JSON.stringify({ query: values.get("query"), variables: JSON.parse(values.get("variables")) });
  const escaped = body.replaceAll("'", "'\\''"); // a quote ends the shell's text, stands alone, and begins it again
  return `curl -H 'Content-Type: application/json' -d '${escaped}' ${address.origin}${address.pathname}`;
}

// The page at /graphql: GraphiQL with the tabs that the server put into the document.
import React from "react";
import { createRoot } from "react-dom/client";
import { GraphiQL } from "graphiql";
import "graphiql/graphiql.css";

const tabs = JSON.parse(document.getElementById("tabs").textContent);
const headers = { accept: "application/graphql-response+json", "content-type": "application/json" };

async function fetcher({ query, variables, operationName }) {
  const body = JSON.stringify({ query, variables, operationName });
  const response = await fetch(window.location.pathname, { method: "POST", headers, body });
  return response.json();
}

createRoot(document.getElementById("graphiql")).render(
  <GraphiQL
    fetcher={fetcher}
    defaultTabs={tabs}
    defaultEditorToolsVisibility="variables"
    isHeadersEditorEnabled={false}
  />,
);

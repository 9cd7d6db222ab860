// The page at /graphql: GraphiQL with the tabs that the server put into the document.
import React from "react";
import { createRoot } from "react-dom/client";
import { createGraphiQLFetcher } from "@graphiql/toolkit";
import { GraphiQL } from "graphiql";
import { createClient } from "graphql-ws";
import "graphiql/graphiql.css";

const tabs = JSON.parse(document.getElementById("tabs").textContent);
const url = window.location.origin + window.location.pathname;

const fetcher = createGraphiQLFetcher({
  url,
  headers: { accept: "application/graphql-response+json" },
  // connects when a subscription is run
  wsClient: createClient({ url: url.replace(/^http/, "ws") }),
  enableIncrementalDelivery: false,
});

// a link to this page may name a query and its variables in its fragment, which no server receives
const linked = new URLSearchParams(window.location.hash.slice(1));

// GraphiQL opens the first of the default tabs with its query, but without its variables
const isFirstVisit = window.localStorage.getItem("graphiql:tabState") === null;

createRoot(document.getElementById("graphiql")).render(
  <GraphiQL
    fetcher={fetcher}
    defaultTabs={tabs}
    query={linked.get("query") ?? undefined}
    variables={linked.get("variables") ?? (isFirstVisit ? tabs[0].variables : undefined)}
    defaultEditorToolsVisibility="variables"
    isHeadersEditorEnabled={false}
  />,
);

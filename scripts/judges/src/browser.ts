// The Chromium of this machine.
import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";
import { chromium, type Browser } from "playwright-core";

const NAMES = ["chromium-headless-shell", "chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];
const FLAGS = [
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-gpu",
  "--disable-quic",
  "--disable-sync",
  "--no-first-run",
];

/** Starts a browser, without a window and without requests of its own. */
export function launched(...flags: string[]): Promise<Browser> {
  const asRoot = process.getuid?.() === 0;
  return chromium.launch({ executablePath: installed(), args: [...FLAGS, ...flags], chromiumSandbox: !asRoot });
}

function installed(): string {
  const places = (process.env["PATH"] ?? "").split(delimiter);
  const found = NAMES.flatMap((name) => places.map((place) => join(place, name))).find(existsSync);
  const path = process.env["CHROMIUM"] ?? found;
  if (!path) throw new Error(`no Chromium on PATH: apt-get install ${NAMES[0]}, or set CHROMIUM=/path/to/chromium`);
  return path;
}

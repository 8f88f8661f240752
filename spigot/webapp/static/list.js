// Keeps a list of jobs, failures or clients up to date: lines change in place, and what is new is
// counted behind a link.

import { byId, fill, fillCopy, localise } from "./elements.js";
import { follow } from "./stream.js";

const SAY_EVERY_MS = 60000;
const list = byId("list");
const { list: name, noun } = list.dataset;
const lines = new Map([...list.querySelectorAll("[data-row]")].map((line) => [line.dataset.row, line]));
let saidAt = -SAY_EVERY_MS;

function count(order) {
  const fresh = order.filter((key) => !lines.has(key)).length;
  const words = `for ${fresh} new ${fresh === 1 ? noun : `${noun}s`}`;
  byId("newer").hidden = fresh === 0;
  const line = byId("newer").querySelector("span");
  if (line.textContent !== words) line.textContent = words;
  if (fresh === 0 || performance.now() - saidAt < SAY_EVERY_MS) return;
  saidAt = performance.now();
  byId("say").textContent = `Load again ${words}`;
}

follow(list.dataset.events, "list", (news) => {
  fill(document, news.page);
  for (const [key, values] of Object.entries(news.lines)) {
    if (lines.has(key)) fillCopy(name, lines.get(key), values);
  }
  if (news.order) count(news.order);
  localise();
});
localise();

// One stream of events for a page, which says when it is not up to date: nothing on it claims then
// what is not known.

import { byId } from "./elements.js";

const AWAY_AFTER_MS = 5000;
let heardAt = performance.now();

const STALE_TITLE = "Not up to date · Spigot";
let titleSeen = document.title;

export function tell(words) {
  byId("news").hidden = !words;
  byId("news").textContent = words;
  byId("live")?.classList.toggle("away", Boolean(words));
  if (byId("live-word")) byId("live-word").textContent = words ? "last seen" : "live,";
  document.body.classList.toggle("stale", Boolean(words));
  if (document.title !== STALE_TITLE) titleSeen = document.title;
  document.title = words ? STALE_TITLE : titleSeen;
}

function listen(url, event, show) {
  const stream = new EventSource(url);
  stream.addEventListener(event, ({ data }) => {
    heardAt = performance.now();
    tell("");
    show(JSON.parse(data));
  });
  stream.addEventListener("away", () => {
    heardAt = performance.now();
    tell("Not up to date: the server that keeps the jobs does not answer.");
  });
  stream.addEventListener("error", () => {
    if (stream.readyState === EventSource.CLOSED) setTimeout(listen, AWAY_AFTER_MS, url, event, show);
  });
}

export function follow(url, event, show) {
  listen(url, event, show);
  setInterval(() => {
    if (performance.now() - heardAt > AWAY_AFTER_MS) tell("Not up to date: no news from the server; asking again.");
  }, 1000);
}

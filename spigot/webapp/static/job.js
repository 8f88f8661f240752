// Keeps a job's page up to date, until the job has ended.

import { byId, fill, fillRows, localise } from "./elements.js";
import { tell } from "./stream.js";

const AWAY_AFTER_MS = 5000;
let heardAt = performance.now();
let word = document.querySelector('[data-text="job_word"]').textContent;

function show({ texts, rows }) {
  fill(document, texts);
  if (texts.page_title) document.title = texts.page_title;
  fillRows("steps", rows.steps);
  localise();
  if (texts.job_word && texts.job_word !== word) {
    word = texts.job_word;
    byId("say").textContent = `The job is ${word}`;
  }
}

function listen() {
  const stream = new EventSource(location.pathname + "/page-events");
  stream.addEventListener("job", (event) => {
    heardAt = performance.now();
    tell("");
    const news = JSON.parse(event.data);
    show(news);
    if (news.ended) finish(stream);
  });
  stream.addEventListener("away", () => {
    heardAt = performance.now();
    tell("Not up to date: the server that keeps the jobs does not answer.");
  });
  stream.addEventListener("gone", () => finish(stream));
}

let finished = false;

function finish(stream) {
  finished = true;
  stream.close();
}

localise();
if (!document.querySelector('[data-set="hidden:can_cancel"]').hidden) {
  listen();
  setInterval(() => {
    if (!finished && performance.now() - heardAt > AWAY_AFTER_MS) tell("Not up to date: no news from the server; asking again.");
  }, 1000);
}

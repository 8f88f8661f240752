// Keeps the overview and a bucket's page up to date by one stream of events.

import { byId, fill, fillCopy, fillRows, localise } from "./elements.js";

const SAY_EVERY_MS = 5000;
const MOVE_AFTER_MS = 10000;
const AWAY_AFTER_MS = 5000;

// Cards change places only if nobody points at one, and only after a while.
let wanted = null;
let wantedSince = 0;

function reorder() {
  const list = byId("cards");
  const now = [...list.children].map((card) => card.dataset.card).join();
  if (wanted === null || wanted.join() === now) {
    wantedSince = performance.now();
    return;
  }
  const busy = list.matches(":hover, :focus-within") || document.querySelector("details.do[open], dialog[open]");
  if (busy || performance.now() - wantedSince < MOVE_AFTER_MS) return;
  for (const name of wanted) {
    const card = list.querySelector(`[data-card="${name}"]`);
    if (card) list.append(card);
  }
}

// One line in five seconds is read aloud, and only what is new.
let saidAt = 0;
const toSay = new Map();

function say() {
  if (toSay.size === 0 || performance.now() - saidAt < SAY_EVERY_MS) return;
  saidAt = performance.now();
  byId("say").textContent = [...toSay.values()].join(". ");
  toSay.clear();
}

function show(news) {
  fill(document, news.page);
  if (news.page.page_title) document.title = news.page.page_title;
  for (const [name, values] of Object.entries(news.cards)) {
    const card = document.querySelector(`[data-card="${name}"]`);
    if (!card) {
      location.reload(); // a bucket that is new
      return;
    }
    const word = card.querySelector(".state span").textContent;
    fillCopy("cards", card, values);
    if (values.word && values.word !== word) {
      toSay.set(name, `${name}: ${values.word}, ${card.querySelector(".why").textContent}`);
    }
  }
  for (const [name, rows] of Object.entries(news.rows)) fillRows(name, rows);
  if (news.order) wanted = news.order;
  reorder();
  localise();
  say();
}

let heardAt = performance.now();

function tell(words) {
  byId("news").hidden = !words;
  byId("news").textContent = words;
  byId("live").classList.toggle("away", Boolean(words));
  byId("live-word").textContent = words ? "last seen" : "live,";
  document.body.classList.toggle("stale", Boolean(words));
}

function listen() {
  const stream = new EventSource(byId("cards").dataset.events);
  stream.addEventListener("overview", (event) => {
    heardAt = performance.now();
    tell("");
    show(JSON.parse(event.data));
  });
  stream.addEventListener("away", () => {
    heardAt = performance.now();
    tell("Not up to date: the server that keeps the jobs does not answer.");
  });
  stream.addEventListener("error", () => {
    if (stream.readyState === EventSource.CLOSED) setTimeout(listen, AWAY_AFTER_MS);
  });
}

// The buttons of a card lead to the forms of its bucket's page; here the form opens above the cards.
document.addEventListener("click", (event) => {
  const link = event.target.closest("[data-card] .acts a");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  const dialog = byId(`do-${new URL(link.href).searchParams.get("do")}`);
  dialog.querySelector("form").action = `${link.pathname}/form`;
  for (const of of dialog.querySelectorAll(".of")) of.textContent = link.closest("[data-card]").dataset.card;
  dialog.showModal();
});

if (byId("cards")) {
  localise();
  listen();
  setInterval(() => {
    if (performance.now() - heardAt > AWAY_AFTER_MS) tell("Not up to date: no news from the server; asking again.");
  }, 1000);
}

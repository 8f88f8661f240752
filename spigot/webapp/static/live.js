// Keeps the overview and a bucket's page up to date by one stream of events.

import { byId, copyOf, fill, fillCopy, fillRows, localise } from "./elements.js";
import { follow } from "./stream.js";

const SAY_EVERY_MS = 5000;
const MOVE_AFTER_MS = 10000;

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

// A bucket that is new comes last; the links of its card lead to no bucket yet.
function addCard(name) {
  const card = copyOf("cards");
  card.dataset.card = name;
  for (const link of card.querySelectorAll("a")) {
    const empty = /(\/buckets\/|[?&]bucket=)(?=\?|$)/;
    link.setAttribute("href", link.getAttribute("href").replace(empty, `$1${name}`));
  }
  byId("no-buckets")?.remove();
  byId("cards").append(card);
  return card;
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
    const card = document.querySelector(`[data-card="${name}"]`) ?? addCard(name);
    const word = card.querySelector(".state span")?.textContent; // a new card has none yet
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

localise();
follow(byId("cards").dataset.events, "overview", show);

// Sets what differs in a page: elements are never replaced, so focus, selection and open forms stay.
// Whatever others wrote becomes text or an attribute, and never HTML.

export const byId = (id) => document.getElementById(id);

function put(element, { text, set }, values) {
  if (text in values && element.textContent !== values[text]) element.textContent = values[text];
  for (const pair of (set ?? "").split(" ").filter(Boolean)) {
    const [name, from] = pair.split(":");
    if (!(from in values)) continue;
    if (name === "hidden") element.toggleAttribute("hidden", !values[from]);
    else if (element.getAttribute(name) !== values[from]) element.setAttribute(name, values[from]);
  }
}

const BOUND = "[data-text], [data-set]";

export function fill(root, values) {
  if (root !== document) put(root, root.dataset, values);
  for (const element of root.querySelectorAll(BOUND)) put(element, element.dataset, values);
}

// A copy does not say which text is whose: its template does, at the same place.
const templates = new Map();

function templateOf(name) {
  if (!templates.has(name)) {
    const template = document.querySelector(`template[data-for="${name}"]`)?.content.firstElementChild;
    const all = template ? [...template.querySelectorAll("*")] : [];
    const bound = [...all.entries()].filter(([, element]) => element.matches(BOUND));
    templates.set(name, { template, bound });
  }
  return templates.get(name);
}

export const copyOf = (name) => templateOf(name).template.cloneNode(true);

export function fillCopy(name, copy, values) {
  const { template, bound } = templateOf(name);
  if (!template) return fill(copy, values);
  const all = copy.getElementsByTagName("*");
  for (const [place, element] of bound) put(all[place], element.dataset, values);
}

export function fillRows(name, rows) {
  const list = document.querySelector(`[data-rows="${name}"]`);
  if (!list) return;
  const known = new Map([...list.children].map((row) => [row.dataset.row, row]));
  for (const [index, values] of rows.entries()) {
    let row = known.get(values.key);
    known.delete(values.key);
    if (!row) {
      row = copyOf(name);
      row.dataset.row = values.key;
    }
    fillCopy(name, row, values);
    if (list.children[index] !== row) list.insertBefore(row, list.children[index] ?? null);
  }
  for (const row of known.values()) row.remove();
}

export function localise() {
  const today = new Date().toDateString();
  for (const time of document.querySelectorAll('time[datetime]:not([datetime=""])')) {
    const at = new Date(time.dateTime);
    const text = at.toDateString() === today ? at.toLocaleTimeString() : at.toLocaleString();
    if (time.textContent !== text) time.textContent = text;
  }
}

// Escape closes an open form, and the focus goes back to its button.
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  for (const open of document.querySelectorAll("details.do[open]")) {
    open.open = false;
    open.querySelector("summary").focus();
  }
});

// A button that stands in many lines leads to a form on another page; here, the one form of its
// kind opens above this page.
document.addEventListener("click", (event) => {
  const link = event.target.closest("a[href*='?do=']");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
  const asked = new URL(link.href).searchParams;
  const dialog = byId(`do-${asked.get("do")}`);
  if (!dialog) return;
  event.preventDefault();
  const name = asked.get("client") ?? link.pathname.split("/").pop();
  dialog.querySelector("form").action = `${link.pathname}/form`;
  for (const of of dialog.querySelectorAll(".of")) of[of.matches("input") ? "value" : "textContent"] = name;
  dialog.showModal();
});

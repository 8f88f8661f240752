// Sets what differs in a page: elements are never replaced, so focus, selection and open forms stay.
// Whatever others wrote becomes text or an attribute, and never HTML.

export const byId = (id) => document.getElementById(id);

function put(element, values) {
  const key = element.dataset.text;
  if (key in values && element.textContent !== values[key]) element.textContent = values[key];
  for (const pair of (element.dataset.set ?? "").split(" ").filter(Boolean)) {
    const [name, from] = pair.split(":");
    if (!(from in values)) continue;
    if (name === "hidden") element.toggleAttribute("hidden", !values[from]);
    else if (element.getAttribute(name) !== values[from]) element.setAttribute(name, values[from]);
  }
}

export function fill(root, values) {
  if (root !== document) put(root, values);
  for (const element of root.querySelectorAll("[data-text], [data-set]")) put(element, values);
}

export function fillRows(name, rows) {
  const list = document.querySelector(`[data-rows="${name}"]`);
  if (!list) return;
  const known = new Map([...list.children].map((row) => [row.dataset.row, row]));
  for (const [index, values] of rows.entries()) {
    let row = known.get(values.key);
    known.delete(values.key);
    if (!row) {
      row = document.querySelector(`template[data-for="${name}"]`).content.firstElementChild.cloneNode(true);
      row.dataset.row = values.key;
    }
    fill(row, values);
    if (list.children[index] !== row) list.insertBefore(row, list.children[index] ?? null);
  }
  for (const row of known.values()) row.remove();
}

export function localise() {
  for (const time of document.querySelectorAll("time[datetime]")) {
    const text = new Date(time.dateTime).toLocaleTimeString();
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

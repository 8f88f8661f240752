// The live page: asks every two seconds while somebody looks. Whatever others wrote (types, errors,
// names of clients) becomes text nodes and never HTML.

const PERIOD_MS = 2000;

function element(name, content, kind = "") {
  const made = document.createElement(name);
  if (kind) made.className = kind;
  made.append(content);
  return made;
}

const cell = (content, kind) => element("td", content, kind);
const number = (content) => cell(String(content), "number");

function link(address, text) {
  const made = element("a", text);
  made.href = address;
  return made;
}

function fill(waiting, capacity) {
  const made = element("progress", `${waiting} of ${capacity}`, "fill");
  made.max = capacity;
  made.value = waiting;
  return made;
}

function seconds(from, to) {
  const count = Math.max(0, Math.round((to - from) / 1000));
  if (count < 120) return `${count} s`;
  return count < 7200 ? `${Math.round(count / 60)} min` : `${Math.round(count / 3600)} h`;
}

function holdOf(bucket, now) {
  const spent = bucket.hold_kind === "quota" ? "quota spent, " : "";
  const reason = bucket.hold_reason ? `: ${bucket.hold_reason}` : "";
  if (!bucket.held_until) return `${spent}asks with one job at a time${reason}`;
  return `${spent}held for ${seconds(now, Date.parse(bucket.held_until))}${reason}`;
}

function stateOf(bucket, now) {
  if (bucket.paused) return ["paused", "warn"];
  if (bucket.hold_kind) return [holdOf(bucket, now), bucket.hold_kind === "quota" ? "bad" : "warn"];
  if (bucket.workers === 0) return ["no worker is alive", "bad"];
  if (bucket.draining) return ["draining: takes no more jobs", "warn"];
  if (bucket.waiting >= bucket.capacity) return ["full", "bad"];
  return bucket.waiting + bucket.running > 0 ? ["busy", "good"] : ["idle", "soft"];
}

function bucketRow(bucket, now) {
  const atOnce = bucket.max_running ? ` of ${bucket.max_running}` : "";
  const pools = bucket.concurrency > bucket.workers ? ` for ${bucket.concurrency} jobs` : "";
  return [
    cell(bucket.name), cell(...stateOf(bucket, now)), cell(bucket.rate),
    number(bucket.waiting), cell(fill(bucket.waiting, bucket.capacity)),
    number(bucket.delayed), number(`${bucket.running}${atOnce}`), number(`${bucket.workers}${pools}`),
  ];
}

function jobCell(job, table) {
  return cell(link(table.dataset.jobs + encodeURIComponent(job.id), job.id.slice(0, 8)));
}

function progressOf(job) {
  if (!job.progress) return "";
  const { done, total, note } = job.progress;
  return `${done}${total === null ? "" : ` of ${total}`} ${note}`;
}

const rows = {
  running: (job, now, table) => [
    jobCell(job, table), cell(job.type), cell(job.bucket), number(job.attempts),
    cell(progressOf(job)), cell(job.started_at ? seconds(Date.parse(job.started_at), now) : ""),
  ],
  ended: (job, now, table) => [
    jobCell(job, table), cell(job.type), cell(job.bucket),
    cell(job.status, { finished: "good", failed: "bad" }[job.status] ?? "warn"),
    cell(job.error ?? "", "error"), cell(`${seconds(Date.parse(job.ended_at), now)} ago`),
  ],
  refused: (refused) => [
    cell(refused.client), cell(refused.rule), number(refused.count),
  ],
};

function show(table, items, row, now, nothing = "none") {
  const made = items.map((item) => {
    const line = document.createElement("tr");
    line.append(...row(item, now, table));
    return line;
  });
  if (made.length === 0) {
    const only = cell(nothing, "soft");
    only.colSpan = table.tHead.rows[0].cells.length;
    made.push(element("tr", only));
  }
  table.tBodies[0].replaceChildren(...made);
}

async function ask(path) {
  const answer = await fetch(new URL(document.body.dataset.root + path, location.origin), { cache: "no-store" });
  const told = await answer.json();
  if (!answer.ok) throw new Error(told.detail ?? answer.statusText);
  return [told, Date.parse(answer.headers.get("Date"))]; // the clock that the times are read from
}

function tell(text, kind) {
  const news = document.getElementById("news");
  news.textContent = text;
  news.className = kind;
}

async function refresh() {
  const [status, now] = await ask("/api/status");
  show(document.getElementById("buckets"), status.buckets, bucketRow, now);
  if (document.getElementById("ended")) {
    const [activity] = await ask("/api/activity");
    for (const [name, row] of Object.entries(rows)) {
      const away = "the server of the door does not answer";
      show(document.getElementById(name), activity[name] ?? [], row, now, activity[name] ? "none" : away);
    }
  }
  tell(`As of ${new Date(now).toLocaleTimeString()}`, "soft");
}

async function live() {
  if (!document.hidden) {
    try {
      await refresh();
    } catch (error) {
      tell(`Not up to date: ${error.message}`, "bad");
    }
  }
  setTimeout(live, PERIOD_MS);
}

live();

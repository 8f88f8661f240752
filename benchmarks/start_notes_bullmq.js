// The measured job as BullMQ knows it: `worker MAX DURATION_MS`, or `fill COUNT`.
const fs = require("fs");
const { Queue, Worker } = require("bullmq");

const url = new URL(process.env.URL);
const connection = { host: url.hostname, port: Number(url.port), maxRetriesPerRequest: null };
const [, , action, ...numbers] = process.argv;

function note() {
  const us = Math.round((performance.timeOrigin + performance.now()) * 1000);
  fs.appendFileSync(process.env.START_NOTES, `${us} 0\n`);
}

async function work(max, duration) {
  const worker = new Worker("notes", async () => note(), { connection, limiter: { max, duration } });
  await worker.waitUntilReady();
  console.log("ready");
}

async function fill(count) {
  const queue = new Queue("notes", { connection });
  await queue.addBulk(Array.from({ length: count }, () => ({ name: "note", data: {} })));
  await queue.close();
}

(action === "worker" ? work : fill)(...numbers.map(Number));

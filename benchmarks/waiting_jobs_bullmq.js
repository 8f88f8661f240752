// The measured jobs as BullMQ knows them: `worker CONCURRENCY`, or, to enqueue, `KIND COUNT NUMBER`.
const fs = require("fs");
const http = require("http");
const { Queue, Worker } = require("bullmq");

const url = new URL(process.env.URL);
const connection = { host: url.hostname, port: Number(url.port), maxRetriesPerRequest: null };
const [, , action, ...numbers] = process.argv;

const jobs = {
  wait: (port) =>
    new Promise((resolve, reject) => {
      const request = http.get({ host: "127.0.0.1", port, agent: false }, (response) => {
        response.resume().on("end", () => resolve(1));
      });
      request.on("error", reject);
    }),
  nothing: async (number) => {
    fs.writeSync(notes, new BigInt64Array([unixMicroseconds()]));
    return number;
  },
};

function unixMicroseconds() {
  return BigInt(Math.round((performance.timeOrigin + performance.now()) * 1000));
}

let notes;

async function work(concurrency) {
  notes = fs.openSync(process.env.START_NOTES, "a");
  const worker = new Worker("jobs", (job) => jobs[job.name](job.data), { connection, concurrency });
  await worker.waitUntilReady();
  process.on("SIGTERM", () => worker.close().then(() => process.exit(0)));
  console.log("ready");
}

async function enqueue(name, count, data) {
  const queue = new Queue("jobs", { connection });
  await queue.addBulk(Array.from({ length: count }, () => ({ name, data })));
  await queue.close();
}

if (action === "worker") work(Number(numbers[0]));
else enqueue(action, ...numbers.map(Number));

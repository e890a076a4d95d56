// BullMQ: one process, a hundred at a time; finished jobs are not kept. See tally.py.
const fs = require('fs');
const { Queue, Worker } = require('bullmq');

const connection = { host: '127.0.0.1', port: Number(process.env.BENCH_PORT), maxRetriesPerRequest: null };
const tally = fs.openSync(process.env.BENCH_TALLY, 'r+');
const ran = new Uint8Array(fs.fstatSync(tally).size);
let hits = 0;
let told = 0;

function tell() {
  if (told !== hits) fs.writeSync(tally, ran, 0, ran.length, 0);
  told = hits;
}

async function enqueue(count) {
  const queue = new Queue('bench', { connection });
  const opts = { removeOnComplete: true };
  for (let start = 0; start < count; start += 1000) {
    const some = Array.from({ length: Math.min(1000, count - start) }, (_, k) => ({
      name: 'noop', data: { number: start + k }, opts,
    }));
    await queue.addBulk(some);
  }
  await queue.close();
}

function work() {
  const noop = async (job) => { ran[job.data.number] += 1; hits += 1; };
  const concurrency = Number(process.env.BENCH_CONCURRENCY || 100);
  new Worker('bench', noop, { connection, concurrency });
  setInterval(tell, 20);
  process.on('SIGTERM', () => { tell(); process.exit(0); });
}

if (process.argv[2] === 'enqueue') enqueue(Number(process.argv[3])).then(() => process.exit(0));
else work();

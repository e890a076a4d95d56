// BullMQ's job schedulers, spread over their period. See fires.py.
const fs = require('fs');
const { Queue, Worker } = require('bullmq');

const connection = { host: '127.0.0.1', port: Number(process.env.BENCH_PORT), maxRetriesPerRequest: null };
const every = Number(process.env.BENCH_PERIOD_MS);
const opts = { removeOnComplete: true };

async function enqueue(count) {
  const queue = new Queue('bench', { connection });
  const first = Date.now() + 1000 + Math.ceil(count / 4); // when all of them are there
  for (let start = 0; start < count; start += 500) {
    const some = [];
    for (let i = start; i < Math.min(start + 500, count); i += 1) {
      const startDate = first + Math.floor((i * every) / count);
      some.push(queue.upsertJobScheduler(`s${i}`, { every, startDate }, { name: 'fire', opts }));
    }
    await Promise.all(some);
  }
  await queue.close();
  console.log('"upserted"');
  process.exit(0);
}

function work() {
  const tally = fs.openSync(process.env.BENCH_TALLY, 'r+');
  const words = new Uint32Array(fs.fstatSync(tally).size / 4);
  const last = new Map();
  let told = 0;
  const fire = async (job) => {
    const [, name, millis] = job.id.split(':');
    const due = Number(millis);
    const before = last.get(name);
    words[0] += 1;
    if (before !== undefined) {
      if (due <= before) words[1] += 1;
      else if (due - before !== every) words[2] += Math.floor((due - before) / every) - 1;
    }
    last.set(name, due);
    words[3 + Math.min(Math.max(0, Date.now() - due), words.length - 4)] += 1;
  };
  new Worker('bench', fire, { connection, concurrency: 100 });
  setInterval(() => {
    if (told !== words[0]) fs.writeSync(tally, words, 0, words.byteLength, 0);
    told = words[0];
  }, 100);
}

if (process.argv[2] === 'enqueue') enqueue(Number(process.argv[3]));
else work();

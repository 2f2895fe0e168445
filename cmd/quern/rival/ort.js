// Runs a model in onnxruntime for `quern bench`: node ort.js CONFIG.json, then one JSON request a line on stdin, one answer a line on stdout.
// CONFIG: {ort (folder with node_modules, or ""), inputs: [{name, shape (of one, batch first), file (float32, image after image)}], images}
const fs = require('fs'), path = require('path'), readline = require('readline');
const config = JSON.parse(fs.readFileSync(process.argv[2]));
const folder = config.ort && path.join(path.resolve(config.ort), 'node_modules', 'onnxruntime-node');
let ort;
try {
  ort = require(folder || 'onnxruntime-node');
} catch (e) {
  console.log(JSON.stringify({error: `cannot load ${folder || 'onnxruntime-node'}: ${e.message.split('\n')[0]}`}));
  process.exit(0);
}
const data = config.inputs.map(i => {
  const b = fs.readFileSync(i.file);
  return new Float32Array(b.buffer, b.byteOffset, b.length / 4);
});
const sessions = {}, feeds = {};

// batches are the inputs of all images, so many at a time, beginning anew at the end of the last one; made once.
function batches(size) {
  if (!feeds[size]) {
    feeds[size] = [];
    for (let first = 0; first < config.images; first += size) {
      const feed = {};
      config.inputs.forEach((input, k) => {
        const n = input.shape.reduce((a, d) => a * d, 1), x = new Float32Array(n * size);
        for (let j = 0; j < size; j++) {
          const i = (first + j) % config.images;
          x.set(data[k].subarray(i * n, (i + 1) * n), j * n);
        }
        feed[input.name] = new ort.Tensor('float32', x, input.shape.length ? [size, ...input.shape.slice(1)] : []);
      });
      feeds[size].push(feed);
    }
  }
  return feeds[size];
}

const quantile = (x, p) => x[Math.min(x.length - 1, Math.floor(p * x.length))];

const answer = {
  version: async () => ({version: ort.env.versions ? ort.env.versions.node || ort.env.versions.common : '', node: process.version}),
  load: async r => {
    sessions[r.id] = await ort.InferenceSession.create(r.model, {intraOpNumThreads: r.threads, interOpNumThreads: 1, graphOptimizationLevel: 'all', logSeverityLevel: 4});
    return {};
  },
  classes: async r => {
    const s = sessions[r.id], classes = [];
    for (const feed of batches(r.batch)) {
      const y = (await s.run(feed))[s.outputNames[0]].data, n = y.length / r.batch;
      for (let j = 0; j < r.batch && classes.length < config.images; j++) {
        let best = 0;
        for (let k = 1; k < n; k++) if (y[j * n + k] > y[j * n + best]) best = k;
        classes.push(best);
      }
    }
    return {classes};
  },
  run: async r => {
    const s = sessions[r.id], f = batches(r.batch), times = [], cpu = process.cpuUsage(), start = process.hrtime.bigint(), end = start + BigInt(Math.round(r.seconds * 1e9));
    let now = start;
    for (let i = 0; now < end || i === 0; i++) {
      await s.run(f[i % f.length]);
      const last = now;
      now = process.hrtime.bigint();
      times.push(Number(now - last));
    }
    const used = process.cpuUsage(cpu), spent = (used.user + used.system) / 1e6, images = times.length * r.batch;
    times.sort((a, b) => a - b);
    return {rate: images / (Number(now - start) / 1e9), perCPU: images / Math.max(spent, 1e-6), median: quantile(times, 0.5) / 1e3, p90: quantile(times, 0.9) / 1e3};
  },
  memory: async () => ({bytes: process.resourceUsage().maxRSS * 1024}),
};

(async () => {
  for await (const line of readline.createInterface({input: process.stdin})) {
    const r = JSON.parse(line);
    let a;
    try {
      a = await answer[r.do](r);
    } catch (e) {
      a = {error: String(e.message || e).split('\n')[0]};
    }
    console.log(JSON.stringify(a));
  }
  process.exit(0);
})();

// run.js ORT MODEL IN.json prints the samples of IN.json, [{"In": {name: numbers}}], with Out: what onnxruntime computes.
const [, , ort, model, file] = process.argv;
const o = require(ort), fs = require('fs');
const arrays = { float32: Float32Array, uint8: Uint8Array, int8: Int8Array };
(async () => {
  const s = await o.InferenceSession.create(model, { intraOpNumThreads: 1, graphOptimizationLevel: 'disabled' });
  const all = JSON.parse(fs.readFileSync(file));
  for (const x of all) {
    const feed = {};
    for (const m of s.inputMetadata) feed[m.name] = new o.Tensor(m.type, arrays[m.type].from(x.In[m.name]), m.shape);
    const r = await s.run(feed);
    x.Out = {};
    for (const name of s.outputNames) x.Out[name] = Array.from(r[name].data, Number);
  }
  console.log(JSON.stringify(all));
})().catch(e => { console.error(String(e)); process.exit(1); });

// Runs models in onnxruntime: node ort.js FOLDER_WITH_NODE_MODULES JOBS.json
// A job: {model, input (file of float32), samples, shape (of one), optimize ("disabled" or "all"), output (file of float32)}.
const fs = require('fs'), path = require('path');
const [folder, list] = process.argv.slice(2);
const ort = require(path.join(path.resolve(folder), 'node_modules', 'onnxruntime-node'));
(async () => {
  for (const j of JSON.parse(fs.readFileSync(list))) {
    try {
      const s = await ort.InferenceSession.create(j.model, {intraOpNumThreads: 1, graphOptimizationLevel: j.optimize, logSeverityLevel: 4});
      const b = fs.readFileSync(j.input), size = j.shape.reduce((a, d) => a * d, 1), out = [];
      const all = new Float32Array(b.buffer, b.byteOffset, b.length / 4);
      for (let i = 0; i < j.samples; i++) {
        const x = new ort.Tensor('float32', all.slice(i * size, (i + 1) * size), j.shape);
        const y = (await s.run({[s.inputNames[0]]: x}))[s.outputNames[0]].data;
        out.push(Buffer.from(Float32Array.from(y).buffer));
      }
      fs.writeFileSync(j.output, Buffer.concat(out));
      await s.release();
    } catch (e) {
      console.error(`${j.model} (optimizations ${j.optimize}): ${e.message}`);
      process.exit(1);
    }
  }
})();

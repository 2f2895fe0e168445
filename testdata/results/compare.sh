#!/usr/bin/env bash
# int-8 by four schemes: min-max as onnxruntime's quantize_static has it by default (one scale for a tensor, ranges of all that was seen,
# zero points for activations, weights to the nearest), and the three methods. With ORT, a folder with node_modules/onnxruntime-node,
# onnxruntime runs the same files. Prints a table in Markdown.
#
#   DATA=cifar-10-batches-bin MODELS=models ORT=ort bash testdata/results/compare.sh > compare.md
source "$(dirname "${BASH_SOURCE[0]}")/nets.sh"
cat >"$tmp/ort.js" <<'JS'
// node ort.js MODULES MODEL BATCH SCALE MEAN STD N: top-1 of a model with input [1,3,32,32] on a CIFAR-10 batch file.
const [, , modules, model, batch, scale, mean, std, limit] = process.argv
const ort = require(modules + '/onnxruntime-node'), f = Math.fround
const m = mean.split(',').map(Number), d = std.split(',').map(Number)
async function main() {
  const s = await ort.InferenceSession.create(model), b = require('fs').readFileSync(batch)
  const n = Math.min(+limit || Infinity, b.length / 3073), x = new Float32Array(3072)
  let good = 0
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < 3072; j++) x[j] = f(f(f(b[i * 3073 + 1 + j] / scale) - f(m[j >> 10])) / f(d[j >> 10]))
    const y = Array.from((await s.run({ [s.inputNames[0]]: new ort.Tensor('float32', x, [1, 3, 32, 32]) }))[s.outputNames[0]].data)
    if (y.indexOf(Math.max(...y)) === b[i * 3073]) good++
  }
  console.log((100 * good / n).toFixed(2))
}
main()
JS
ort() {
  [ -n "${ORT:-}" ] || { echo - && return; }
  node "$tmp/ort.js" "$(cd "$ORT" && pwd)/node_modules" "$tmp/q.onnx" "$DATA/test_batch.bin" "${pixels[@]}" "$LIMIT"
}
echo "Top-1 in percent on ${LIMIT/#0/all} CIFAR-10 test images, W8A8, $CALIB calibration images: simulator, and onnxruntime on the same file."
echo
row network float 'min-max' 'min-max, onnxruntime' nearest 'nearest, onnxruntime' fast 'fast, onnxruntime' best 'best, onnxruntime'
row --- --- --- --- --- --- --- --- --- ---
for n in $NETS; do
  net "$n"
  cells=("$(top1 "$model" "${flags[@]}")")
  for m in "nearest --observer minmax --per-tensor" nearest fast best; do
    read -ra f <<<"$m"
    cells+=("$(quantized "$n" 8 8 --format qdq --method "${f[@]}")")
    cells+=("$(ort)")
  done
  row "$n" "${cells[@]}"
done

#!/usr/bin/env bash
# The streaming projects of networks quantized by --method best, as fast as fits each part, at 100 MHz: compile with csim. Resources are
# estimates. Prints a table in Markdown; the foldings are in the manifest.json of each project, which stay in OUT if that is given.
#
#   DATA=cifar-10-batches-bin MODELS=models bash testdata/results/stream.sh > stream.md
source "$(dirname "${BASH_SOURCE[0]}")/nets.sh"
PARTS=${PARTS:-xc7z020clg400-1 xczu7ev-ffvc1156-2-e}
VECTORS=${VECTORS:-20}
out=${OUT:-$tmp}
mkdir -p "$out"
echo "Streaming style, as fast as fits the part, 10 ns. Cycles are those between two samples, by formula and by cycle simulation."
echo
row network bits top-1 part 'samples/s' 'latency in us' cycles simulated LUT FF DSP BRAM18 URAM 'lines of C++' 'compile, s of CPU' 'csim with g++'
row --- --- --- --- --- --- --- --- --- --- --- --- --- --- --- ---
for n in $NETS; do
  net "$n"
  for bits in 4 8; do
    acc=$(quantized "$n" $bits $bits --method best)
    for part in $PARTS; do
      dir=$out/$n$bits-${part%%-*}
      t=$({ TIMEFORMAT='%U'; time "$quern" compile "$tmp/q.onnx" --style stream --part "$part" --check -o "$dir" >/dev/null; } 2>&1)
      CXX=${CXX:-g++} "$quern" compile "$tmp/q.onnx" --style stream --part "$part" --data "$DATA:test" --vectors "$VECTORS" --csim --json -o "$dir" >"$tmp/r.json"
      cells=$(node -e '
        const r = JSON.parse(require("fs").readFileSync(process.argv[1])), s = r.stream, e = s.total_estimate
        console.log([s.fps.toFixed(0), s.latency_us.toFixed(0), s.cycles_formula, s.cycles_interval, e.lut, e.ff, e.dsp, e.bram18, e.uram].join("\n"))' "$tmp/r.json")
      csim=$(node -e 'console.log(JSON.parse(require("fs").readFileSync(process.argv[1])).csim.trim())' "$tmp/r.json")
      lines=$(cat "$dir"/*.cpp "$dir"/*.h "$dir"/*.c | wc -l)
      mapfile -t c <<<"$cells"
      node -e '
        const [, file, name] = process.argv, f = l => `${l.pe}x${l.simd}` + (l.lut ? "L" : "") + (l.thresholds ? "T" : "")
        console.log(`- ${name}: ` + JSON.parse(require("fs").readFileSync(file)).stream.layers.filter(l => ["mvu", "lane"].includes(l.kind)).map(f).join(" "))' "$tmp/r.json" "$n W${bits}A$bits ${part%%-*}" >>"$tmp/folds"
      row "$n" "W${bits}A$bits" "$acc" "${part%%-*}" "${c[@]}" "$lines" "$t" "$csim"
    done
  done
done
echo
echo "Folding of the layers with windows, PE x SIMD, L for multipliers of LUTs, T for thresholds:"
echo
cat "$tmp/folds"

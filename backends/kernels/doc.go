// Package kernels has the inner loops that the simulator and the interpreter share: portable Go that is exact. It is a leaf and knows
// nothing of graphs or programs.
package kernels

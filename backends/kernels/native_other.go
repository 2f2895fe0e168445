//go:build !amd64

package kernels

func has(l Level) bool { return l == Generic }

func dotKernel(Level, int, bool, int) func(*dotArgs) { panic("kernels: no native code for this CPU") }

func requantKernel(Level, int) func(*requantArgs) { panic("kernels: no native code for this CPU") }

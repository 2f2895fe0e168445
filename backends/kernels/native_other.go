//go:build !amd64

package kernels

import "unsafe"

func has(l Level) bool { return l == Generic }

func (kernel) call(unsafe.Pointer) { panic("kernels: no native code for this CPU") }

func dotKernel(Level, int, bool, bool, int) kernel { panic("kernels: no native code for this CPU") }

func dotRequantKernel(Level, int, int) kernel { return 0 }

func wideDotKernel(Level, bool, int) kernel { panic("kernels: no native code for this CPU") }

func requantKernels(Level, int, bool) (one, pool kernel) {
	panic("kernels: no native code for this CPU")
}

func pixelsOf(Level) *pixelKernels { return nil }

func tableKernels(Level) (one, pair kernel) { return 0, 0 }

const restKernel, turnKernel kernel = 0, 0

func columnsOf(Level) *columnKernels { return nil }

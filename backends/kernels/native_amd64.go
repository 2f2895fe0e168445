package kernels

import "golang.org/x/sys/cpu"

//go:generate go run ./gen

func has(l Level) bool {
	x := &cpu.X86
	switch l {
	case AVX2:
		return x.HasAVX2
	case AVX512:
		return x.HasAVX2 && x.HasAVX512F && x.HasAVX512BW && x.HasAVX512DQ && x.HasAVX512VL && x.HasAVX512VNNI
	}
	return true
}

// dotKernel is the function for a tile of 1 or many pixels by 1, 2, 4 or 8 blocks. ints are of 1 byte or of 2.
func dotKernel(l Level, bytes int, many bool, blocks int) func(*dotArgs) {
	t := dots512[0]
	switch {
	case l == AVX2:
		t = dots256
	case bytes == 2:
		t = dots512[1]
	}
	i := map[int]int{1: 0, 2: 1, 4: 2, 8: 3}[blocks]
	if many {
		i += 4
	}
	return t[i]
}

var dots512 = [2][6]func(*dotArgs){
	{dot1x1U8AVX512, dot1x2U8AVX512, dot1x4U8AVX512, dot1x8U8AVX512, dot8x1U8AVX512, dot8x2U8AVX512},
	{dot1x1I16AVX512, dot1x2I16AVX512, dot1x4I16AVX512, dot1x8I16AVX512, dot8x1I16AVX512, dot8x2I16AVX512},
}

var dots256 = [6]func(*dotArgs){dot1x1I16AVX2, dot1x2I16AVX2, dot1x4I16AVX2, dot1x8I16AVX2, dot4x1I16AVX2, dot4x2I16AVX2}

func requantKernel(l Level, bytes int) func(*requantArgs) {
	switch {
	case l == AVX2:
		return requantI16AVX2
	case bytes == 2:
		return requantI16AVX512
	}
	return requantU8AVX512
}

//go:noescape
func dot8x2U8AVX512(a *dotArgs)

//go:noescape
func dot8x1U8AVX512(a *dotArgs)

//go:noescape
func dot1x8U8AVX512(a *dotArgs)

//go:noescape
func dot1x4U8AVX512(a *dotArgs)

//go:noescape
func dot1x2U8AVX512(a *dotArgs)

//go:noescape
func dot1x1U8AVX512(a *dotArgs)

//go:noescape
func dot8x2I16AVX512(a *dotArgs)

//go:noescape
func dot8x1I16AVX512(a *dotArgs)

//go:noescape
func dot1x8I16AVX512(a *dotArgs)

//go:noescape
func dot1x4I16AVX512(a *dotArgs)

//go:noescape
func dot1x2I16AVX512(a *dotArgs)

//go:noescape
func dot1x1I16AVX512(a *dotArgs)

//go:noescape
func dot4x2I16AVX2(a *dotArgs)

//go:noescape
func dot4x1I16AVX2(a *dotArgs)

//go:noescape
func dot1x8I16AVX2(a *dotArgs)

//go:noescape
func dot1x4I16AVX2(a *dotArgs)

//go:noescape
func dot1x2I16AVX2(a *dotArgs)

//go:noescape
func dot1x1I16AVX2(a *dotArgs)

//go:noescape
func requantU8AVX512(a *requantArgs)

//go:noescape
func requantI16AVX512(a *requantArgs)

//go:noescape
func requantI16AVX2(a *requantArgs)

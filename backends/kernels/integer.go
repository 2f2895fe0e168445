package kernels

// Int is a storage type of a tensor of integers.
type Int interface {
	int8 | uint8 | int16 | uint16 | int32 | int64
}

// Acc is a type of accumulators.
type Acc interface{ int32 | int64 }

// Load widens a run of elements. The slices have the same length.
func Load[X Int](dst []int64, src []X) {
	src = src[:len(dst)]
	for i, v := range src {
		dst[i] = int64(v)
	}
}

// Convert copies a run of elements to another storage type, which must hold them. The slices have the same length.
func Convert[X, Y Int](dst []Y, src []X) {
	if same, ok := any(dst).([]X); ok {
		copy(same, src)
		return
	}
	src = src[:len(dst)]
	for i, v := range src {
		dst[i] = Y(v)
	}
}

// ConvertStep is Convert for n elements that lie dstStep and srcStep apart.
func ConvertStep[X, Y Int](dst []Y, dstStep int, src []X, srcStep, n int) {
	d, s := 0, 0
	for range n {
		dst[d] = Y(src[s])
		d += dstStep
		s += srcStep
	}
}

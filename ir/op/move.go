package op

import "quern/ir/tensor"

// pick is the kernel of operators whose result takes each axis's elements from elsewhere on the same axis: element (i, j, ...) of the
// result is x[from[0][i], from[1][j], ...]; -1 stands for value (an integer for integer tensors). len(from) is the rank of x,
// len(from[k]) the size of axis k of the result.
func pick(x *tensor.T, from [][]int, value float32) *tensor.T {
	shape := make([]int, len(from))
	for i, f := range from {
		shape[i] = len(f)
	}
	y := tensor.New(x.Elem, shape...)
	if y.Len() == 0 {
		return y
	}
	if x.Elem.IsFloat() {
		pickInto(y.F, x.F, x.Shape, from, value)
	} else {
		pickInto(y.I, x.I, x.Shape, from, int64(value))
	}
	return y
}

func pickInto[T number](dst, src []T, shape []int, from [][]int, value T) {
	// Trailing axes that stay as they are move as one block.
	inner, axes := 1, len(from)
	for axes > 0 && isWhole(from[axes-1], shape[axes-1]) {
		axes--
		inner *= shape[axes]
	}
	size := make([]int, axes+1) // elements of the result under one index of the axis before
	size[axes] = inner
	for i := axes - 1; i >= 0; i-- {
		size[i] = size[i+1] * len(from[i])
	}
	var walk func(axis, to, base int)
	walk = func(axis, to, base int) {
		if axis == axes {
			copy(dst[to:to+inner], src[base*inner:(base+1)*inner])
			return
		}
		f, step := from[axis], size[axis+1]
		last := axis == axes-1
		for i := 0; i < len(f); {
			switch {
			case f[i] < 0:
				d := dst[to : to+step]
				for k := range d {
					d[k] = value
				}
			case last: // as long a run of neighbours as there is
				n := 1
				for i+n < len(f) && f[i+n] == f[i]+n {
					n++
				}
				s := (base*shape[axis] + f[i]) * inner
				copy(dst[to:to+n*inner], src[s:s+n*inner])
				i += n
				to += n * step
				continue
			default:
				walk(axis+1, to, base*shape[axis]+f[i])
			}
			i++
			to += step
		}
	}
	walk(0, 0, 0)
}

func isWhole(from []int, n int) bool {
	if len(from) != n {
		return false
	}
	for i, f := range from {
		if f != i {
			return false
		}
	}
	return true
}

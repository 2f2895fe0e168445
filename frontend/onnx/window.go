package onnx

import (
	"slices"

	"quern/ir"
	"quern/ir/op"
)

func convRule(n *node, o ir.Op) ir.Op {
	c, w := o.(*op.Conv), n.in[1].Type
	if len(w.Shape) < 3 {
		n.fail("input 1 (weights): want 3 or 4 dims, got %v", w)
		return nil
	}
	n.weightWindow(w, &c.Strides, &c.Dilations, &c.Pads)
	return c
}

// weightKernel is the kernel of weights; kernel_shape has to say the same, where it is given.
func (n *node) weightKernel(w ir.Type) []int {
	kernel := w.Shape[2:]
	if k := take(n, "kernel_shape", kernel); !slices.Equal(k, kernel) {
		n.fail("kernel_shape %v, but the weights are %v", k, w)
	}
	return kernel
}

// weightWindow is window over the kernel of weights.
func (n *node) weightWindow(w ir.Type, strides, dilations, pads *[]int) {
	if kernel := n.weightKernel(w); !n.failed {
		n.window(kernel, strides, dilations, pads)
	}
}

func poolRule(n *node, o ir.Op) ir.Op {
	switch o := o.(type) {
	case *op.MaxPool:
		order := take(n, "storage_order", 0) // of the indices
		if n.window(o.KernelShape, &o.Strides, &o.Dilations, &o.Pads) {
			o.CeilMode = false
		}
		if !n.readsOutput(1) || !n.noMoreAttrs() {
			return o
		}
		if n.readsOutput(0) {
			n.emit(o, n.in, n.p.Output[:1])
		}
		n.emit(&op.MaxPoolIndices{KernelShape: o.KernelShape, Strides: o.Strides, Pads: o.Pads, Dilations: o.Dilations, CeilMode: o.CeilMode, StorageOrder: order},
			n.in, n.p.Output[1:2])
		return nil
	case *op.LpPool:
		if n.window(o.KernelShape, &o.Strides, &o.Dilations, &o.Pads) {
			o.CeilMode = false
		}
	case *op.AveragePool:
		if n.window(o.KernelShape, &o.Strides, &o.Dilations, &o.Pads) {
			o.CeilMode = false
		}
	}
	return o
}

// window takes auto_pad and makes pads explicit; lists that say the default become empty. It reports whether auto_pad said the size of
// the output, so that ceil_mode does not count: ceil(in / stride) for SAME, ceil((in - extent + 1) / stride), which is the size without
// ceil_mode, for VALID.
func (n *node) window(kernel []int, strides, dilations, pads *[]int) (sized bool) {
	auto := take(n, "auto_pad", "NOTSET")
	if auto != "NOTSET" && auto != "" && !allEqual(*pads, 0) {
		n.fail("auto_pad %s together with pads %v: want one of them", auto, *pads)
		return false
	}
	switch auto {
	case "NOTSET", "":
	case "VALID":
		*pads, sized = nil, true
	case "SAME_UPPER", "SAME_LOWER":
		sized = true
		*pads = n.samePads(kernel, *strides, *dilations, auto == "SAME_LOWER")
	default:
		n.fail("auto_pad %q: want NOTSET, VALID, SAME_UPPER or SAME_LOWER", auto)
	}
	dropDefault(strides, len(kernel), 1)
	dropDefault(dilations, len(kernel), 1)
	dropDefault(pads, 2*len(kernel), 0)
	return sized
}

// dropDefault empties a list of n numbers that all say the default.
func dropDefault(list *[]int, n, def int) {
	if len(*list) == n && allEqual(*list, def) {
		*list = nil
	}
}

// samePads are the pads for an output of ceil(in / stride): of an odd number, lower puts the larger half at the beginning.
func (n *node) samePads(kernel, strides, dilations []int, lower bool) []int {
	s, err := op.NewSpatial(kernel, strides, dilations, nil)
	if err != nil {
		n.failErr(err)
		return nil
	}
	k, x := len(kernel), n.in[0].Type
	if len(x.Shape) != k+2 {
		n.fail("kernel %v needs an input of %d dims, got %v", kernel, k+2, x)
		return nil
	}
	pads := make([]int, 2*k)
	for i, d := range x.Shape[2:] {
		if ir.IsSymbol(d) {
			n.fail("auto_pad: spatial dimension %s must be known", ir.DimString(d))
			return nil
		}
		out := (d + s.Stride[i] - 1) / s.Stride[i]
		total := max(0, (out-1)*s.Stride[i]+s.Extent(i)-d)
		begin := total / 2
		if lower {
			begin = total - begin
		}
		pads[i], pads[k+i] = begin, total-begin
	}
	return pads
}

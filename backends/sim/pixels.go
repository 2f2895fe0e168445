package sim

import (
	"fmt"

	"quern/backends/kernels"
	"quern/ir/hw"
)

// Pixels is a program's only input made of bytes: what a byte stands for and how that is quantized are one table. It is immutable.
type Pixels struct {
	entry
	tables8  []*kernels.Table[uint8, uint8] // by plane, or one for all
	tables16 []*kernels.Table[uint8, int16]
	plane    int // bytes
}

// NewPixels prepares RunPixels for samples of equal planes of bytes. tables say which real a byte stands for, by plane or one for all.
// The reals lie in the model's tensor in the order of the bytes or, interleaved, the planes' elements take turns. It is nil where the
// program has no such input or RunFloat has to do the work.
func (m *Machine) NewPixels(tables [][256]float32, planes int, interleaved bool) *Pixels {
	if len(m.p.Inputs) != 1 {
		return nil
	}
	b := m.p.Inputs[0]
	l, q, n := &m.layouts[b.ID], b.Port.Quant, b.Len()
	if !q.PerTensor() || l.kind == i64 || n == 0 || n%planes != 0 || len(tables) != 1 && len(tables) != planes {
		return nil
	}
	r := &Pixels{entry: m.newEntry(b, byteOrder(b.Port, n, planes, interleaved)), plane: n / planes}
	if len(tables) == 1 {
		r.plane = n
	}
	for i := range tables {
		t8, t16 := make([]uint8, 256), make([]int16, 256)
		for v, x := range tables[i] {
			if x != x {
				return nil // RunFloat says where
			}
			stored := q.Quantize(float64(x), 0) - l.zero
			t8[v], t16[v] = uint8(stored), int16(stored)
		}
		if l.kind == u8 {
			r.tables8 = append(r.tables8, kernels.NewTable[uint8](m.level, 0, t8))
		} else {
			r.tables16 = append(r.tables16, kernels.NewTable[uint8](m.level, 0, t16))
		}
	}
	return r
}

// byteOrder is, for each element of the port's buffer in its order, the place of its byte; nil: in the same order.
func byteOrder(p *hw.Port, n, planes int, interleaved bool) []int32 {
	order := places(p)
	if !interleaved {
		return order
	}
	if order == nil {
		for i := range n {
			order = append(order, int32(i))
		}
	}
	plane := int32(n / planes)
	same := true
	for i, off := range order {
		order[i] = off%int32(planes)*plane + off/int32(planes)
		same = same && int(order[i]) == i
	}
	if same {
		return nil
	}
	return order
}

// RunPixels is RunFloat of the reals that the bytes stand for.
func (s *State) RunPixels(r *Pixels, x []uint8) ([][]float32, error) {
	if len(x) != r.b.Len() {
		return nil, fmt.Errorf("input %q: want %d bytes, got %d", r.b.Port.Name, r.b.Len(), len(x))
	}
	if c := &s.bufs[r.b.ID]; r.tables8 != nil {
		enter(&r.entry, s.m.level, c.u8, s.scratch.u8, func(dst []uint8) bool { return lookUp(r.tables8, dst, x, r.plane) })
	} else {
		enter(&r.entry, s.m.level, c.i16, s.scratch.i16, func(dst []int16) bool { return lookUp(r.tables16, dst, x, r.plane) })
	}
	return s.results(), nil
}

func lookUp[X uint8 | int16](tables []*kernels.Table[uint8, X], dst []X, x []uint8, plane int) bool {
	for i, t := range tables {
		t.Run(dst[i*plane:(i+1)*plane], x[i*plane:(i+1)*plane])
	}
	return true
}

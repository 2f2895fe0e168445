package sim

import (
	"quern/backends/kernels"
	"quern/ir/hw"
)

// epilogue runs a kernel's scalar program over a row of elements with the channels last.
type epilogue struct {
	p        *hw.Prog
	channels int
	fast     *kernels.Requant // the whole program, where it is a usual requantization
}

func newEpilogue(k *hw.Kernel) *epilogue {
	e := &epilogue{p: k.Prog, channels: k.Out.Channels()}
	if len(k.Prog.In) == 1 && len(k.Prog.Code) > 0 {
		e.fast = usual(k.Prog)
	}
	return e
}

var rounding = map[hw.Prim]kernels.Round{
	hw.RshFloor: kernels.Floor, hw.RshHalfUp: kernels.HalfUp, hw.RshHalfEven: kernels.HalfEven, hw.RshHalfAway: kernels.HalfAway,
	hw.RshCeil: kernels.Ceil, hw.RshAway: kernels.Away, hw.RshToZero: kernels.ToZero, hw.RshHalfToZero: kernels.HalfToZero,
}

// usual recognizes muli, rsh, addi, maxi, mini in this order, each at most once, each on the result of the one before; nil for
// other programs.
func usual(p *hw.Prog) *kernels.Requant {
	mul, shift := []int64{1}, []int64{0}
	round := kernels.Floor
	add, lo, hi := int64(0), int64(-1<<62), int64(1<<62)
	stage := 0
	for i := range p.Code {
		s := &p.Code[i]
		if s.A != i || len(s.Imm.V) > 1 && s.Imm.By != hw.ByChannel {
			return nil
		}
		next := 0
		switch s.Prim {
		case hw.MulI:
			next, mul = 1, s.Imm.V
		case hw.RshFloor, hw.RshHalfUp, hw.RshHalfEven, hw.RshHalfAway, hw.RshCeil, hw.RshAway, hw.RshToZero, hw.RshHalfToZero:
			next, shift, round = 2, s.Imm.V, rounding[s.Prim]
		case hw.AddI:
			next, add = 3, s.Imm.V[0]
		case hw.MaxI:
			next, lo = 4, s.Imm.V[0]
		case hw.MinI:
			next, hi = 5, s.Imm.V[0]
		default:
			return nil
		}
		if next <= stage || next > 2 && len(s.Imm.V) > 1 {
			return nil
		}
		stage = next
	}
	return kernels.NewRequant(mul, shift, round, add, lo, hi)
}

// run applies the program to a row of accumulators in place; pixel is the number of its first pixel.
func (e *epilogue) run(s *State, row []int64, pixel int) {
	switch {
	case len(e.p.Code) == 0:
	case e.fast != nil:
		e.fast.Row(row)
	default:
		copy(s.cols[0][:len(row)], row)
		e.columns(s, len(row), pixel)
		copy(row, s.cols[e.p.Last()])
	}
}

// columns runs the program step by step over n elements; the inputs are the first columns.
func (e *epilogue) columns(s *State, n, pixel int) {
	k := len(e.p.In)
	for i := range e.p.Code {
		st := &e.p.Code[i]
		dst, a, b := s.cols[k+i][:n], s.cols[st.A][:n], s.cols[st.B][:n]
		row := &hw.Prims[st.Prim]
		v := st.Imm.V
		switch {
		case st.Prim == hw.Lut:
			for j, x := range a {
				dst[j] = st.Table[x-v[0]]
			}
		case st.Prim == hw.Add:
			for j, x := range a {
				dst[j] = x + b[j]
			}
		case st.Prim == hw.MulI && len(v) == 1:
			for j, x := range a {
				dst[j] = x * v[0]
			}
		case st.Prim == hw.AddI && len(v) == 1:
			for j, x := range a {
				dst[j] = x + v[0]
			}
		case st.Prim == hw.MaxI && len(v) == 1:
			for j, x := range a {
				dst[j] = max(x, v[0])
			}
		case st.Prim == hw.MinI && len(v) == 1:
			for j, x := range a {
				dst[j] = min(x, v[0])
			}
		case row.Args == 2:
			for j, x := range a {
				dst[j] = row.Eval(x, b[j], 0)
			}
		case len(v) == 1:
			for j, x := range a {
				dst[j] = row.Eval(x, 0, v[0])
			}
		case st.Imm.By == hw.ByPixel:
			for j, x := range a {
				dst[j] = row.Eval(x, 0, v[pixel+j/e.channels])
			}
		default:
			for j := 0; j < n; j += e.channels {
				for c, m := range v {
					dst[j+c] = row.Eval(a[j+c], 0, m)
				}
			}
		}
	}
}

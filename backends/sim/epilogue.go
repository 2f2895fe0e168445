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
	steps    []step
}

// step computes one value of a program from earlier ones, as columns. A usual requantization is one step.
type step struct {
	instr   *hw.Instr // the last one that the step covers
	a, b    int       // arguments
	to      int       // result
	op      kernels.ColumnOp
	two     bool // op on the columns a and b
	imm     *kernels.Immediate
	pixels  []int64 // op with one of these for each pixel
	requant *kernels.RequantColumn
}

func newEpilogue(k *hw.Kernel, level kernels.Level) *epilogue {
	e := &epilogue{p: k.Prog, channels: k.Out.Channels()}
	p, in := k.Prog, len(k.Prog.In)
	readers := make([]int, p.Last()+1)
	for i := range p.Code {
		readers[p.Code[i].A]++
		if hw.Prims[p.Code[i].Prim].Args == 2 {
			readers[p.Code[i].B]++
		}
	}
	for i := 0; i < len(p.Code); i++ {
		s := &p.Code[i]
		st := step{instr: s, a: s.A, b: s.B, to: in + i}
		if q, n := usual(p, i, readers); n > 0 {
			if in == 1 && i == 0 && n == len(p.Code) {
				e.fast = q
			}
			if n > 1 || rounds(s.Prim) {
				i += n - 1
				st.instr, st.to, st.requant = &p.Code[i], in+i, q.Column(level)
				e.steps = append(e.steps, st)
				continue
			}
		}
		if o, ok := columnOps[s.Prim]; ok {
			st.op, st.two = o, hw.Prims[s.Prim].Args == 2
			switch v := s.Imm; {
			case st.two:
			case len(v.V) == 1 || v.By == hw.ByChannel:
				st.imm = kernels.NewImmediate(level, o, v.V)
			case v.By == hw.ByPixel:
				st.pixels = v.V
			}
		}
		e.steps = append(e.steps, st)
	}
	return e
}

var rounding = map[hw.Prim]kernels.Round{
	hw.RshFloor: kernels.Floor, hw.RshHalfUp: kernels.HalfUp, hw.RshHalfEven: kernels.HalfEven, hw.RshHalfAway: kernels.HalfAway,
	hw.RshCeil: kernels.Ceil, hw.RshAway: kernels.Away, hw.RshToZero: kernels.ToZero, hw.RshHalfToZero: kernels.HalfToZero,
}

func rounds(p hw.Prim) bool {
	_, ok := rounding[p]
	return ok
}

var columnOps = map[hw.Prim]kernels.ColumnOp{
	hw.Add: kernels.ColumnAdd, hw.Sub: kernels.ColumnSub, hw.Mul: kernels.ColumnMul, hw.Max: kernels.ColumnMax, hw.Min: kernels.ColumnMin,
	hw.AddI: kernels.ColumnAdd, hw.MulI: kernels.ColumnMul, hw.MaxI: kernels.ColumnMax, hw.MinI: kernels.ColumnMin,
}

// usual recognizes muli, rsh, addi, maxi, mini in this order, each at most once, each on the result of the one before, which nobody
// else reads. It looks at the steps from the given one on and says how many it took.
func usual(p *hw.Prog, first int, readers []int) (*kernels.Requant, int) {
	in := len(p.In)
	mul, shift := []int64{1}, []int64{0}
	round := kernels.Floor
	add, lo, hi := int64(0), int64(-1<<62), int64(1<<62)
	stage, n := 0, 0
	for i := first; i < len(p.Code); i++ {
		s := &p.Code[i]
		if i > first && (s.A != in+i-1 || readers[s.A] > 1) || len(s.Imm.V) > 1 && s.Imm.By != hw.ByChannel {
			break
		}
		next := 0
		switch s.Prim {
		case hw.MulI:
			next = 1
		case hw.AddI:
			next = 3
		case hw.MaxI:
			next = 4
		case hw.MinI:
			next = 5
		default:
			if rounds(s.Prim) {
				next = 2
			}
		}
		if next <= stage || next > 2 && len(s.Imm.V) > 1 {
			break
		}
		switch v := s.Imm.V; next {
		case 1:
			mul = v
		case 2:
			shift, round = v, rounding[s.Prim]
		case 3:
			add = v[0]
		case 4:
			lo = v[0]
		case 5:
			hi = v[0]
		}
		stage = next
		n++
	}
	if n == 0 {
		return nil, 0
	}
	return kernels.NewRequant(mul, shift, round, add, lo, hi), n
}

// run applies the program to a row of accumulators in place; pixel is the number of its first pixel. The row is a column.
func (e *epilogue) run(s *State, row []int64, pixel int) {
	switch {
	case len(e.steps) == 0:
	case len(e.steps) == 1 && e.steps[0].requant != nil:
		e.steps[0].requant.Run(row, row)
	default:
		mine := s.cols[0]
		s.cols[0] = row
		e.columns(s, len(row), pixel)
		s.cols[0] = mine
		copy(row, s.cols[e.p.Last()])
	}
}

// columns runs the program step by step over n elements; the inputs are the first columns.
func (e *epilogue) columns(s *State, n, pixel int) {
	for i := range e.steps {
		st := &e.steps[i]
		dst, a, b := s.cols[st.to][:n], s.cols[st.a][:n], s.cols[st.b][:n]
		switch {
		case st.requant != nil:
			st.requant.Run(dst, a)
		case st.imm != nil:
			st.imm.Run(dst, a)
		case st.two:
			kernels.Columns(s.m.level, st.op, dst, a, b)
		case st.pixels != nil:
			spread(s.spread[:n], st.pixels[pixel:], e.channels)
			kernels.Columns(s.m.level, st.op, dst, a, s.spread[:n])
		default:
			e.slow(st.instr, dst, a, b, pixel)
		}
	}
}

// spread repeats each number of a pixel for all of its channels.
func spread(dst, v []int64, channels int) {
	for i := 0; i < len(dst); i += channels {
		x := v[i/channels]
		for c := range dst[i : i+channels] {
			dst[i+c] = x
		}
	}
}

// slow is one step by its definition.
func (e *epilogue) slow(in *hw.Instr, dst, a, b []int64, pixel int) {
	row := &hw.Prims[in.Prim]
	v := in.Imm.V
	switch {
	case in.Prim == hw.Lut:
		for j, x := range a {
			dst[j] = in.Table[x-v[0]]
		}
	case row.Args == 2:
		for j, x := range a {
			dst[j] = row.Eval(x, b[j], 0)
		}
	case len(v) == 1:
		for j, x := range a {
			dst[j] = row.Eval(x, 0, v[0])
		}
	case in.Imm.By == hw.ByPixel:
		for j, x := range a {
			dst[j] = row.Eval(x, 0, v[pixel+j/e.channels])
		}
	default:
		for j := 0; j < len(a); j += e.channels {
			for c, m := range v {
				dst[j+c] = row.Eval(a[j+c], 0, m)
			}
		}
	}
}

package hls

import (
	"fmt"

	"quern/ir/hw"
	"quern/ir/hw/stream"
)

// mvu prints a matrix-vector unit: PE output channels, each with SIMD multipliers. The words of a window are kept for the blocks of
// output channels after the first.
func (s *streamer) mvu(w *writer, st *stream.Stage) {
	k, d, f := st.Kernel, st.Kernel.Dot, st.Fold
	in := st.In[0]
	weights := d.KH * d.KW * d.C / d.Groups // of an output channel
	sf, nf := counter{"sf", weights / f.SIMD}, counter{"nf", d.OC / d.Groups / f.PE}
	g := counter{"g", d.Groups}
	tile := counter{"tile", sf.n * nf.n * g.n} // word of weights
	block := counter{"block", nf.n * g.n}      // of PE output channels
	wb := d.WeightRange().Bits()
	wt := s.rom(st, "_w", word(f.SIMD*wb), []int{f.PE, tile.n}, func(i []int) string {
		return packed(wb, f.SIMD, func(j int) int64 {
			return int64(d.Weights[(i[1]/sf.n*f.PE+i[0])*weights+i[1]%sf.n*f.SIMD+j])
		})
	}, fmt.Sprintf("weights by PE and word, %d of %v in a word", f.SIMD, d.WeightRange()))
	bt := s.channelROM(st, "_b", d.Bias, f.PE, "start of the accumulator")
	w.partitioned(wt, 1)
	w.romStorage(wt)
	w.partitioned(bt, 1)
	s.memories(w, st)
	acc := apType(d.AccRange())
	w.line("%s acc[%d]; /* in %d..%d */", acc, f.PE, d.AccRange().Lo, d.AccRange().Hi)
	w.partition("acc", "complete", f.PE, 1)
	if nf.n > 1 {
		w.line("%s window[%d];", word(in.Width()), sf.n)
	}
	for _, c := range []counter{sf, nf, g, tile, block} {
		c.declare(w)
	}
	pixel := s.pixelCounter(w, k)
	w.run(st)
	switch {
	case nf.n == 1:
		w.line("const %s v = x.read();", word(in.Width()))
	default:
		w.line("%s v;", word(in.Width()))
		w.open("if (%s)", nf.is(0))
		w.line("v = x.read();")
		w.line("window[%v] = v;", sf)
		w.orElse()
		w.line("v = window[%v];", sf)
		w.close(1)
	}
	s.products(w, st, wt, bt, sf, tile, block)
	w.open("if (%s)", sf.last())
	s.emit(w, st, []string{"acc[%s]"}, block, pixel)
	w.close(1)
	w.advance(nil, tile)
	w.advance(func() {
		w.advance(nil, block)
		w.advance(func() { w.advance(func() { w.advance(nil, pixel) }, g) }, nf)
	}, sf)
	w.close(1)
}

// products prints the multiplications of an iteration: a product for each of PE output channels and SIMD elements, with several output
// channels on one DSP slice where stream.Stage.Pack says so.
func (s *streamer) products(w *writer, st *stream.Stage, wt, bt *rom, sf, tile, block counter) {
	d, f, in := st.Kernel.Dot, st.Fold, st.In[0].Range
	weight := d.WeightRange()
	acc := apType(d.AccRange())
	pack, shift := st.Pack()
	p, n := "0", 0
	if f.PE > pack {
		p, n = "p", 1
		w.open("for (int p = 0; p < %d; p += %d)", f.PE, pack)
		w.raw("#pragma HLS UNROLL")
	}
	lane := func(i int) string {
		switch {
		case n == 0:
			return fmt.Sprint(i)
		case i == 0:
			return p
		}
		return fmt.Sprintf("%s + %d", p, i)
	}
	for i := range pack {
		w.line("const %s m%d = %s[%s][%v];", wt.elem, i, wt.name, lane(i), tile)
		w.line("%s a%d = %s;", acc, i, ifElse(sf.is(0), fmt.Sprintf("%s(%s[%s][%v])", acc, bt.name, lane(i), block), fmt.Sprintf("acc[%s]", lane(i))))
	}
	q, n2 := w.lanes(f.SIMD, "q")
	get := func(i int) string {
		return fmt.Sprintf("q_get<%s, %d>(m%d, %s)", apType(weight), weight.Bits(), i, q)
	}
	x := fmt.Sprintf("q_get<%s, %d>(v, %s)", apType(in), in.Bits(), q)
	if pack == 1 {
		w.line("const %s t = %s * %s;", apType(stream.Product(weight, in)), x, get(0))
		w.multiplier("t", f.LUT)
		w.line("a0 += t;")
	} else {
		w.line("ap_int<25> m = ap_int<25>(%s);", get(0))
		for i := 1; i < pack; i++ {
			w.line("m += %s * %d;", get(i), 1<<(shift*i))
		}
		w.line("ap_int<43> t = m * %s;", x)
		w.multiplier("t", false)
		for i := range pack {
			w.line("const ap_int<%d> t%d = ap_int<%d>(t);", shift, i, shift)
			w.line("a%d += t%d;", i, i)
			if i < pack-1 {
				w.line("t = (t - t%d) >> %d;", i, shift)
			}
		}
	}
	w.close(n2)
	for i := range pack {
		w.line("acc[%s] = a%d;", lane(i), i)
	}
	w.close(n)
}

// multiplier says what the product that a variable holds is made of.
func (w *writer) multiplier(variable string, lut bool) {
	impl, core := "dsp", "DSP48"
	if lut {
		impl, core = "fabric", "Mul_LUT"
	}
	w.raw("#ifdef __VITIS_HLS__")
	w.raw("#pragma HLS BIND_OP variable=%s op=mul impl=%s", variable, impl)
	w.raw("#else")
	w.raw("#pragma HLS RESOURCE variable=%s core=%s", variable, core)
	w.raw("#endif")
}

// lane prints a unit for channels that do not mix: a depthwise convolution or a pool, PE channels side by side, one tap after the other.
func (s *streamer) lane(w *writer, st *stream.Stage) {
	k, f := st.Kernel, st.Fold
	in := st.In[0]
	geo := stream.Geometry(k)
	tap, block := counter{"tap", geo.KH * geo.KW}, counter{"block", geo.C / f.PE}
	acc, start := "", ""
	var wt, bt *rom
	tile := counter{"tile", tap.n * block.n}
	if d := k.Dot; d != nil {
		r := d.AccRange()
		acc = apType(r)
		wt = s.rom(st, "_w", apType(d.WeightRange()), []int{f.PE, tile.n}, func(i []int) string {
			return literal(int64(d.Weights[(i[1]/tap.n*f.PE+i[0])*tap.n+i[1]%tap.n]))
		}, "weights by PE and tap")
		bt = s.channelROM(st, "_b", d.Bias, f.PE, "start of the accumulator")
		w.partitioned(wt, 1)
		w.romStorage(wt)
		w.partitioned(bt, 1)
	} else {
		acc = apType(k.Window.Acc)
	}
	s.memories(w, st)
	w.line("%s acc[%d];", acc, f.PE)
	w.partition("acc", "complete", f.PE, 1)
	for _, c := range []counter{tap, block} {
		c.declare(w)
	}
	if wt != nil {
		tile.declare(w)
	}
	pixel := s.pixelCounter(w, k)
	w.run(st)
	w.line("const %s v = x.read();", word(in.Width()))
	p, n := w.lanes(f.PE, "p")
	w.line("const %s u = q_get<%s, %d>(v, %s);", apType(in.Range), apType(in.Range), in.Range.Bits(), p)
	if wt != nil {
		start = fmt.Sprintf("%s(%s[%s][%v])", acc, bt.name, p, block)
		w.line("%s a = %s;", acc, ifElse(tap.is(0), start, fmt.Sprintf("acc[%s]", p)))
		w.line("const %s t = u * %s[%s][%v];", apType(stream.Product(k.Dot.WeightRange(), in.Range)), wt.name, p, tile)
		w.multiplier("t", f.LUT)
		w.line("acc[%s] = a + t;", p)
	} else {
		s.reduce(w, k, acc, tap.is(0), fmt.Sprintf("acc[%s]", p))
	}
	w.close(n)
	w.open("if (%s)", tap.last())
	s.emit(w, st, []string{"acc[%s]"}, block, pixel)
	w.close(1)
	if wt != nil {
		w.advance(nil, tile)
	}
	w.advance(func() { w.advance(func() { w.advance(nil, pixel) }, block) }, tap)
	w.close(1)
}

// reduce prints the taking of element u into the accumulator of a pool.
func (s *streamer) reduce(w *writer, k *hw.Kernel, acc, first, at string) {
	if k.Window.Reduce == hw.ReduceMax {
		w.line("if (%s || u > %s) %s = u;", first, at, at)
		return
	}
	w.line("const %s a = %s;", acc, ifElse(first, acc+"(0)", at))
	w.line("%s = a + u;", at)
}

// ifElse is a choice between two expressions of one type.
func ifElse(cond, yes, no string) string {
	if cond == "true" {
		return yes
	}
	return fmt.Sprintf("%s ? %s : %s", cond, yes, no)
}

// global prints a pool over all of the image, with an accumulator for each channel.
func (s *streamer) global(w *writer, st *stream.Stage) {
	k, f := st.Kernel, st.Fold
	in, g := st.In[0], &st.Kernel.Window.Geometry
	block, at := counter{"block", g.C / f.PE}, counter{"at", g.H * g.W}
	acc := apType(k.Window.Acc)
	s.memories(w, st)
	w.line("%s acc[%d][%d];", acc, block.n, f.PE)
	if block.n <= 4 { // registers: a memory would be read too soon after it was written
		w.raw("#pragma HLS ARRAY_PARTITION variable=acc complete dim=0")
	} else {
		w.partition("acc", "complete", f.PE, 2)
	}
	block.declare(w)
	at.declare(w)
	w.run(st)
	w.line("const %s v = x.read();", word(in.Width()))
	p, n := w.lanes(f.PE, "p")
	w.line("const %s u = q_get<%s, %d>(v, %s);", apType(in.Range), apType(in.Range), in.Range.Bits(), p)
	s.reduce(w, k, acc, at.is(0), fmt.Sprintf("acc[%v][%s]", block, p))
	w.close(n)
	w.open("if (%s)", at.last())
	s.emit(w, st, []string{fmt.Sprintf("acc[%v]", block) + "[%s]"}, block, counter{"pixel", 1})
	w.close(1)
	w.advance(func() { w.advance(nil, at) }, block)
	w.close(1)
}

// mapStage prints an elementwise kernel.
func (s *streamer) mapStage(w *writer, st *stream.Stage) {
	k := st.Kernel
	block := counter{"block", k.Out.Channels() / st.Fold.PE}
	s.memories(w, st)
	block.declare(w)
	pixel := s.pixelCounter(w, k)
	w.run(st)
	var in []string
	live := liveValues(k.Prog)
	for i, c := range st.In {
		w.line("const %s v_%d = %s.read();", word(c.Width()), i, input(st, i))
	}
	for a, c := range st.Args {
		if !live[a] {
			in = append(in, "")
			continue
		}
		r := st.In[c].Range
		in = append(in, fmt.Sprintf("q_get<%s, %d>(v_%d, %%s)", apType(r), r.Bits(), c))
	}
	for i := range st.In {
		w.line("(void)v_%d;", i)
	}
	s.emit(w, st, in, block, pixel)
	w.advance(func() { w.advance(nil, pixel) }, block)
	w.close(1)
}

// emit prints the scalar programs of the lanes of an output word, or the counting of thresholds, and its writing. in are the inputs with %s for the lane.
func (s *streamer) emit(w *writer, st *stream.Stage, in []string, block, pixel counter) {
	out := st.Out[0]
	w.line("%s r;", word(out.Width()))
	p, n := w.lanes(out.Lanes, "e")
	var args []string
	for _, x := range in {
		if x != "" {
			x = fmt.Sprintf(x, p)
		}
		args = append(args, x)
	}
	v := ""
	if st.Thresholds != nil {
		v = s.count(w, st, args[0], p, block)
	} else {
		v = s.program(w, st, args, p, block, pixel)
	}
	w.line("q_put<%d>(r, %s, %s(%s));", out.Range.Bits(), p, apType(out.Range), v)
	w.close(n)
	s.put(w, st)
}

// put prints the writing of an output word r.
func (s *streamer) put(w *writer, st *stream.Stage) {
	out := st.Out[0]
	w.line("y.write(r);")
	s.trace(w, st.Kernel, out.Lanes, fmt.Sprintf("q_get<%s, %d>(r, e)", apType(out.Range), out.Range.Bits()))
}

// pixelCounter declares a counter of output pixels where the program of a kernel has numbers by pixel.
func (s *streamer) pixelCounter(w *writer, k *hw.Kernel) counter {
	c := counter{"pixel", 1}
	for i := range k.Prog.Code {
		if v := &k.Prog.Code[i].Imm; v.By == hw.ByPixel && len(v.V) > 1 {
			c.n = k.Out.Len() / k.Out.Channels()
		}
	}
	c.declare(w)
	return c
}

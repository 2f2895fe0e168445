package quant

import (
	"math"
	"math/rand/v2"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas32"

	"quern/ir/tensor"
)

// Of AdaRound (Nagel et al. 2020): the rectified sigmoid goes from low to high and is cut to 0..1; the exponent of the regularizer falls from
// sharpest to bluntest, after a start without it.
const (
	adaBits    = 3 // the widest weights that it is for: with more, what descent finds is as good
	adaColumns = 8192
	adaBytes   = 64 << 20 // for columns, of a layer at a time
	adaRows    = 16       // that are optimized together
	adaBatch   = 128
	adaSteps   = 1000
	adaWarm    = 200 // steps without the regularizer
	adaRate    = 0.03
	adaWeight  = 0.1 // of the regularizer, in parts of the error at the start
	adaHeld    = 5   // one image of so many is for acceptance only
	low, high  = -0.1, 1.1
	sharpest   = 20.0
	bluntest   = 2.0
)

// columnsOf are columns of one group for reconstruction: inputs of the quantized network less their means, and results of the float network.
type columnsOf struct {
	n    int
	x, y []float32 // [n][k], [n][rows]
}

// reconstruct improves the integers of a layer on what comes out of its activation and its type: E|act(y) - act(q x)|^2, which its moments do not
// tell. Each weight may take the integer it has or the next one in the direction of its target. A channel keeps its integers unless the new ones are
// better on images that took no part. With centred the bias is taken to make the mean of each channel that of the float network.
func (l *layer) reconstruct(r *rounder, ms []*moments, samples int, at func(i int) (xf, xq *tensor.T), out []int, centred bool, seed uint64) error {
	n := max(adaBatch, min(adaColumns, adaBytes/(4*l.groups*(l.k+l.rows))))
	per := (n + samples - 1) / samples
	if l.conv != nil {
		per = min(per, tensor.Numel(out))
	}
	step := max(1, samples*per/n)
	var fit, held []int
	for i := 0; i < samples; i += step {
		if i/step%adaHeld == adaHeld-1 {
			held = append(held, i)
		} else {
			fit = append(fit, i)
		}
	}
	if len(held) == 0 {
		return nil // too few images to tell
	}
	a, err := l.gathered(ms, fit, at, out, per, centred, seed)
	if err != nil {
		return err
	}
	b, err := l.gathered(ms, held, at, out, per, centred, seed)
	if err != nil {
		return err
	}
	lo, hi := math.Inf(-1), math.Inf(1)
	if t := l.node.Out[0].Type; t.IsQuant() {
		s, z := t.Quant.At(0)
		lo, hi = s*float64(t.Quant.Min-z), s*float64(t.Quant.Max-z)
	}
	chunks := (l.rows + adaRows - 1) / adaRows
	return parallel(l.groups*chunks, func(i int) error {
		g, first := i/chunks, i%chunks*adaRows
		m := min(adaRows, l.rows-first)
		f := &fitting{k: l.k, rows: m, first: first, of: l.rows, lo: float32(lo), hi: float32(hi)}
		for row := first; row < first+m; row++ {
			ch := g*l.rows + row
			f.scale = append(f.scale, float32(r.scale[min(ch, len(r.scale)-1)]))
			off := 0.0
			if l.bias != nil {
				off = float64(l.bias[ch])
			}
			if centred {
				off += ms[g].y[row]
			}
			f.offset = append(f.offset, float32(off))
			f.start(r.q[ch*l.k:(ch+1)*l.k], r.target(ch), r.top)
		}
		f.run(&a[g], rand.New(rand.NewPCG(seed, uint64(i))))
		before, after := f.loss(&b[g], f.hard(true)), f.loss(&b[g], f.hard(false))
		for j := range m {
			if after[j] < before[j] {
				copy(r.q[(g*l.rows+first+j)*l.k:][:l.k], f.chosen(j))
			}
		}
		return nil
	})
}

// gathered are the columns of all groups for some images.
func (l *layer) gathered(ms []*moments, images []int, at func(i int) (xf, xq *tensor.T), out []int, per int, centred bool, seed uint64) ([]columnsOf, error) {
	f, q := make([][]float32, len(images)), make([][]float32, len(images))
	c := make([]columnsOf, l.groups)
	all := l.groups * l.k
	total := 0
	if err := parallel(len(images), func(i int) error {
		xf, xq := at(images[i])
		f[i] = l.columns(nil, xf, out, per, seed+1, uint64(images[i]))
		q[i] = l.columns(nil, xq, out, per, seed+1, uint64(images[i]))
		return nil
	}); err != nil {
		return nil, err
	}
	for i := range q {
		total += len(q[i]) / all
	}
	err := parallel(l.groups, func(g int) error {
		c[g] = columnsOf{n: total, x: make([]float32, 0, total*l.k), y: make([]float32, total*l.rows)}
		done := 0
		for i := range q {
			n := len(q[i]) / all
			y := view(n, l.rows, l.rows, c[g].y[done*l.rows:])
			blas32.Gemm(blas.NoTrans, blas.Trans, 1, view(n, l.k, all, f[i][g*l.k:]), view(l.rows, l.k, l.k, l.w[g*l.rows*l.k:]), 0, y)
			for j := range n {
				for t, v := range q[i][j*all+g*l.k:][:l.k] {
					if centred {
						v -= float32(ms[g].x[t])
					}
					c[g].x = append(c[g].x, v)
				}
			}
			done += n
		}
		if l.bias != nil {
			for j := range c[g].y {
				c[g].y[j] += l.bias[g*l.rows+j%l.rows]
			}
		}
		return nil
	})
	return c, err
}

// fitting is AdaRound on some rows of a group.
type fitting struct {
	k, rows, first, of int // of: rows of the group
	lo, hi             float32
	scale, offset      []float32 // by row
	old, base          []float64 // [rows][k]: the integers there were, and the lesser one of the two to choose from
	up                 []bool    // the old one is the greater of the two
	v                  []float64 // h(v) of the step from base is taken; NaN: there is one integer only
}

// start adds a row.
func (f *fitting) start(q, target []float64, top float64) {
	s := float64(f.scale[len(f.scale)-1])
	for i, x := range q {
		z := target[i]/s - x
		to := x + 1
		if z < 0 {
			to = x - 1
		}
		f.old, f.base, f.up = append(f.old, x), append(f.base, min(x, to)), append(f.up, to < x)
		if math.Abs(to) > top {
			f.base[len(f.base)-1], f.up[len(f.up)-1] = x, false
			f.v = append(f.v, math.NaN())
			continue
		}
		h := min(max(math.Abs(z), 0.05), 0.45)
		if to < x {
			h = 1 - h
		}
		p := (h - low) / (high - low)
		f.v = append(f.v, math.Log(p/(1-p)))
	}
}

// hard are the integers of all rows, the old ones or the new.
func (f *fitting) hard(old bool) []float32 {
	w := make([]float32, len(f.v))
	for i, v := range f.v {
		x := f.base[i]
		if old {
			x = f.old[i]
		} else if v >= 0 {
			x++
		}
		w[i] = float32(x) * f.scale[i/f.k]
	}
	return w
}

// chosen are the new integers of a row.
func (f *fitting) chosen(row int) []float64 {
	q := make([]float64, f.k)
	for i := range q {
		q[i] = f.base[row*f.k+i]
		if f.v[row*f.k+i] >= 0 {
			q[i]++
		}
	}
	return q
}

// errors makes of y = x w' what comes out less what float has, and zero where no change of w shows if gradient is set.
func (f *fitting) errors(y []float32, want func(column int) []float32, gradient bool) {
	for i := range y {
		v := y[i] + f.offset[i%f.rows]
		t := want(i / f.rows)[f.first+i%f.rows]
		y[i] = max(f.lo, min(v, f.hi)) - max(f.lo, min(t, f.hi))
		if gradient && (v <= f.lo || v >= f.hi) {
			y[i] = 0
		}
	}
}

// loss is the mean squared error of each row with real weights w.
func (f *fitting) loss(c *columnsOf, w []float32) []float64 {
	y := make([]float32, c.n*f.rows)
	blas32.Gemm(blas.NoTrans, blas.Trans, 1, view(c.n, f.k, f.k, c.x), view(f.rows, f.k, f.k, w), 0, view(c.n, f.rows, f.rows, y))
	f.errors(y, func(i int) []float32 { return c.y[i*f.of:] }, false)
	sums := make([]float64, f.rows)
	for i, e := range y {
		sums[i%f.rows] += float64(e) * float64(e) / float64(c.n)
	}
	return sums
}

// run is Adam on v.
func (f *fitting) run(c *columnsOf, rnd *rand.Rand) {
	norm := f.loss(c, f.hard(true))
	for i, e := range norm {
		norm[i] = float64(f.k) / max(e, 1e-12*float64(f.scale[i])*float64(f.scale[i]))
	}
	w, grad := make([]float32, len(f.v)), make([]float32, len(f.v))
	h, slope := make([]float64, len(f.v)), make([]float64, len(f.v))
	m1, m2 := make([]float64, len(f.v)), make([]float64, len(f.v))
	x, y := make([]float32, adaBatch*f.k), make([]float32, adaBatch*f.rows)
	pick := make([]int, adaBatch)
	const b1, b2 = 0.9, 0.999
	p1, p2 := 1.0, 1.0
	for step := range adaSteps {
		for i, v := range f.v {
			s := float64(f.scale[i/f.k])
			if v != v {
				w[i] = float32(s * f.base[i])
				continue
			}
			g := 1 / (1 + math.Exp(-v))
			t := g*(high-low) + low
			h[i], slope[i] = t, (high-low)*g*(1-g)
			if t <= 0 || t >= 1 {
				h[i], slope[i] = min(max(t, 0), 1), 0
			}
			w[i] = float32(s * (f.base[i] + h[i]))
		}
		for i := range pick {
			pick[i] = rnd.IntN(c.n)
			copy(x[i*f.k:(i+1)*f.k], c.x[pick[i]*f.k:])
		}
		xs, ys := view(adaBatch, f.k, f.k, x), view(adaBatch, f.rows, f.rows, y)
		blas32.Gemm(blas.NoTrans, blas.Trans, 1, xs, view(f.rows, f.k, f.k, w), 0, ys)
		f.errors(y, func(i int) []float32 { return c.y[pick[i]*f.of:] }, true)
		blas32.Gemm(blas.Trans, blas.NoTrans, 2.0/adaBatch, ys, xs, 0, view(f.rows, f.k, f.k, grad))
		beta := 0.0
		if step >= adaWarm {
			beta = sharpest + (bluntest-sharpest)*float64(step-adaWarm)/(adaSteps-adaWarm)
		}
		p1, p2 = p1*b1, p2*b2
		for i, v := range f.v {
			if v != v {
				continue
			}
			row := i / f.k
			g := float64(grad[i]) * float64(f.scale[row]) * norm[row]
			if beta > 0 {
				u := 2*h[i] - 1
				g -= adaWeight * 2 * beta * math.Copysign(math.Pow(math.Abs(u), beta-1), u)
			}
			g *= slope[i]
			m1[i] = b1*m1[i] + (1-b1)*g
			m2[i] = b2*m2[i] + (1-b2)*g*g
			f.v[i] = v - adaRate*m1[i]/(1-p1)/(math.Sqrt(m2[i]/(1-p2))+1e-8)
		}
	}
}

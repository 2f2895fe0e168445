package quant

import (
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"

	"quern/backends/interp"
	"quern/ir"
	"quern/ir/irtest"
	"quern/ir/irtext"
	"quern/ir/op"
	"quern/ir/tensor"
	"quern/passes/calib"
)

func newInterp(g *ir.Graph) (calib.Runner, error) { return interp.New(g) }

// inputs are Gaussian samples for the inputs of a graph, one image each.
func inputs(r *rand.Rand, g *ir.Graph, n int) [][]*tensor.T {
	var s [][]*tensor.T
	for range n {
		var in []*tensor.T
		for _, v := range g.Inputs {
			shape := slices.Clone(v.Type.Shape)
			shape[0] = 1
			t := tensor.New(tensor.F32, shape...)
			base := r.NormFloat64() // what the pixels of an image have in common
			for i := range t.F {
				t.F[i] = float32(base + r.NormFloat64())
			}
			in = append(in, t)
		}
		s = append(s, in)
	}
	return s
}

func outputs(t testing.TB, g *ir.Graph, in [][]*tensor.T) []float32 {
	t.Helper()
	m, err := interp.New(g)
	if err != nil {
		t.Fatal(err)
	}
	var r []float32
	for _, s := range in {
		out, err := m.Run(s, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range out {
			r = append(r, o.F...)
		}
	}
	return r
}

// observed is a Config.Range of what the float graph has on samples.
func observed(t testing.TB, g *ir.Graph, in [][]*tensor.T) func(*ir.Value, int) (float64, float64, error) {
	t.Helper()
	m, err := interp.New(g)
	if err != nil {
		t.Fatal(err)
	}
	stats, err := calib.Collect(m, g, calib.Batches(in), calib.Options{})
	if err != nil {
		t.Fatal(err)
	}
	byName := map[string]*calib.Stats{}
	for v, s := range stats.All() {
		byName[v.Name] = s
	}
	return func(v *ir.Value, _ int) (float64, float64, error) {
		r := byName[v.Name].MinMax()
		return r.Lo, r.Hi, nil
	}
}

// small has a depthwise layer, a residual sum, a pool and a flatten between layers of weights; layers without bias among them.
func small(r *rand.Rand) *ir.Graph {
	list := func(n int, f func() float64) string {
		var s []string
		for range n {
			s = append(s, fmt.Sprint(float32(f())))
		}
		return "[" + strings.Join(s, " ") + "]"
	}
	w := func(n, fan int) string {
		return list(n, func() float64 { return r.NormFloat64() * math.Sqrt(2/float64(fan)) * math.Exp(r.NormFloat64()/2) })
	}
	text := fmt.Sprintf(`
graph small(%%x f32[N,3,6,6]) {
  const %%w1 f32[8,3,3,3] = %s
  const %%b1 f32[8] = %s
  %%c1 f32[N,8,6,6] = Conv<pads=[1,1,1,1]>(%%x, %%w1, %%b1)
  %%r1 f32[N,8,6,6] = Relu(%%c1)
  const %%w2 f32[8,1,3,3] = %s
  %%c2 f32[N,8,6,6] = Conv<pads=[1,1,1,1],group=8>(%%r1, %%w2)
  %%r2 f32[N,8,6,6] = Relu(%%c2)
  const %%w3 f32[8,8,1,1] = %s
  const %%b3 f32[8] = %s
  %%c3 f32[N,8,6,6] = Conv(%%r2, %%w3, %%b3)
  %%a f32[N,8,6,6] = Add(%%c3, %%c3)
  %%r3 f32[N,8,6,6] = Relu(%%a)
  const %%w4 f32[6,4,3,3] = %s
  %%c4 f32[N,6,2,2] = Conv<strides=[2,2],group=2>(%%r3, %%w4)
  %%p f32[N,6,1,1] = MaxPool<kernel_shape=[2,2]>(%%c4)
  %%f f32[N,6] = Flatten(%%p)
  const %%w5 f32[4,6] = %s
  %%y f32[N,4] = Gemm<transB=true>(%%f, %%w5)
  return %%y
}`, w(8*27, 27), w(8, 8), w(72, 9), w(64, 8), w(8, 8), w(6*36, 36), w(24, 6))
	g, err := irtext.Parse("small.ir", []byte(text))
	if err != nil {
		panic(err)
	}
	return g
}

// all are the stages of best.
func all(t testing.TB) Stages {
	t.Helper()
	s, err := ParseStages("best")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestEqualize: on random networks the outputs stay what they are, and the two ranges of each channel become one.
func TestEqualize(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 4))
	kinds := map[string]int{}
	for i := range 60 {
		g := irtest.RandomGraph(r, irtest.GraphOptions{})
		if i%10 == 0 {
			g = small(r)
		}
		in := inputs(r, g, 4)
		before := outputs(t, g, in)
		for _, p := range findPairs(g) {
			kinds[p.b.n.Op.OpName()]++
			if c, ok := p.b.n.Op.(*op.Conv); ok && c.Group > 1 {
				kinds["group"]++
			}
		}
		n := Equalize(g)
		if err := ir.Verify(g); err != nil {
			t.Fatal(err)
		}
		after := outputs(t, g, in)
		size := 0.0
		for _, x := range before {
			size = max(size, math.Abs(float64(x)))
		}
		for k, x := range before {
			if d := math.Abs(float64(x - after[k])); d > 1e-4*size {
				t.Fatalf("graph %d, %d pairs: output %d was %v and is %v\n%s", i, n, k, x, after[k], irtext.String(g))
			}
		}
		for _, p := range findPairs(g) {
			if most := p.balance(); most > 1e-2 {
				t.Errorf("graph %d: %v and %v: a channel is still off by %v", i, p.a.n.Pos, p.b.n.Pos, most)
			}
		}
	}
	if kinds["Conv"] < 10 || kinds["Gemm"] < 5 || kinds["group"] < 5 {
		t.Errorf("pairs by their second layer: %v: too few to test them", kinds)
	}
	// Not through a clip, a sigmoid, a value with two readers or a graph output.
	for _, mid := range []string{"Clip<min=0f,max=6f>(%c)", "Sigmoid(%c)", "Add(%c, %c)"} {
		g := parse(t, `graph g(%x f32[1,2]) {
  const %w f32[2,2] = [1 2 3 4]
  %c f32[1,2] = Gemm<transB=true>(%x, %w)
  %d f32[1,2] = `+mid+`
  const %v f32[2,2] = [1 2 3 4]
  %y f32[1,2] = Gemm<transB=true>(%d, %v)
  return %y
}`)
		if n := Equalize(g); n != 0 {
			t.Errorf("%s: %d pairs, want none", mid, n)
		}
	}
}

// TestMoments: over all pixels, the mean of y and its products with x are those of the operator's own kernel.
func TestMoments(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 5))
	for i := range 40 {
		g := irtest.RandomGraph(r, irtest.GraphOptions{MaxNodes: 4})
		q := g.Clone()
		in := inputs(r, g, 3)
		if err := Quantize(q, &Config{Bits: Bits{8, 8}, Range: observed(t, g, in)}); err != nil {
			t.Fatal(err)
		}
		for k, n := range g.Nodes {
			var node *ir.Node
			for _, c := range q.Nodes {
				if c.Out[0].Name == n.Out[0].Name {
					node = c
				}
			}
			if op.Of(n.Op).Class != op.MAC || node == nil {
				continue
			}
			l := newLayer(node, n)
			if l == nil {
				continue
			}
			var x, y []*tensor.T
			m, err := interp.New(g)
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range in {
				if _, err := m.Run(s, func(v *ir.Value, u *tensor.T) {
					if v == n.In[0] {
						x = append(x, u.Clone())
					}
					if v == n.Out[0] {
						y = append(y, u.Clone())
					}
				}); err != nil {
					t.Fatal(err)
				}
			}
			pixels := tensor.Numel(y[0].Shape[min(2, len(y[0].Shape)):])
			ms, err := l.gather(len(x), func(i int) (a, b *tensor.T) { return x[i], x[i] }, y[0].Shape[min(2, len(y[0].Shape)):], pixels, 1, true)
			if err != nil {
				t.Fatal(err)
			}
			for ch := range l.groups * l.rows {
				want := 0.0
				for _, u := range y {
					for p := range pixels {
						want += float64(u.F[ch*pixels+p]) / float64(len(y)*pixels)
					}
				}
				m := ms[ch/l.rows]
				got := m.y[ch%l.rows]
				if l.bias != nil {
					got += float64(l.bias[ch])
				}
				if m.n != len(x)*pixels || math.Abs(got-want) > 1e-4*(1+math.Abs(want)) {
					t.Fatalf("graph %d, node %d: channel %d of %v has the mean %v over %d columns, want %v\n%s", i, k, ch, n.Op, got, m.n, want, irtext.String(g))
				}
				// E[y x'] = W E[x x']
				for j := range l.k {
					sum := 0.0
					for a := range l.k {
						sum += float64(l.w[ch*l.k+a]) * m.h[a*l.k+j]
					}
					if got := m.c[ch%l.rows*l.k+j]; math.Abs(got-sum) > 1e-3*(1+math.Abs(sum)) {
						t.Fatalf("graph %d, node %d: E[y x'] is %v, want %v", i, k, got, sum)
					}
				}
			}
		}
	}
}

// correlated are the moments of inputs that have much in common, as pixels do, and of a network whose inputs have errors.
func correlated(r *rand.Rand, rows, k int) (*moments, []float32) {
	l := &layer{groups: 1, rows: rows, k: k, w: make([]float32, rows*k)}
	for i := range l.w {
		l.w[i] = float32(r.NormFloat64())
	}
	var xf, xq []*tensor.T
	for range 8 * k {
		f, q := tensor.New(tensor.F32, 1, k), tensor.New(tensor.F32, 1, k)
		base := r.NormFloat64()
		for i := range k {
			f.F[i] = float32(max(0, base+r.NormFloat64()/2))
			q.F[i] = float32(math.Round(float64(f.F[i])*4) / 4)
		}
		xf, xq = append(xf, f), append(xq, q)
	}
	ms, err := l.gather(len(xf), func(i int) (f, q *tensor.T) { return xf[i], xq[i] }, nil, 1, 0, true)
	if err != nil {
		panic(err)
	}
	ms[0].centre()
	return ms[0], l.w
}

// TestRounding: what compensated says is the error of what it chose; over a layer it is less than that of rounding to the nearest; descent
// and refits never add to it, and after descent no single integer is better changed.
func TestRounding(t *testing.T) {
	r := rand.New(rand.NewPCG(6, 6))
	for _, k := range []int{1, 2, 9, 40} {
		ratio := 0.0
		for bits := 2; bits <= 8; bits++ {
			m, w := correlated(r, 6, k)
			o, err := newObjective(m, w, bits%2 == 0)
			if err != nil {
				t.Fatal(err)
			}
			top := float64(int64(1)<<(bits-1) - 1)
			plain, gptq := 0.0, 0.0
			for row := range 6 {
				w := o.row(row)
				s := largest(w) / top
				q := make([]float64, k)
				plain += o.nearest(q, w, s, top)
				e := o.compensated(q, w, s, top)
				if d := o.error(w, q, s); math.Abs(d-e) > 1e-6*(d+1e-9) {
					t.Fatalf("k %d, %d bits: error %v, want %v", k, bits, e, d)
				}
				gptq += e
				o.descend(q, w, s, top)
				after := o.error(w, q, s)
				if after > e*(1+1e-9) {
					t.Fatalf("k %d, %d bits: descent made %v of %v", k, bits, after, e)
				}
				for i := range q {
					for _, d := range []float64{-1, 1} {
						if x := q[i] + d; math.Abs(x) <= top {
							q[i] = x
							if e := o.error(w, q, s); e < after*(1-1e-6) {
								t.Errorf("k %d, %d bits: %v at place %d is better: %v for %v", k, bits, x, i, e, after)
							}
							q[i] -= d
						}
					}
				}
				num, den := o.fit(q, w)
				if den > 0 && num > 0 && o.error(w, q, num/den) > after*(1+1e-9)+1e-20 {
					t.Errorf("k %d, %d bits: refit made %v of %v", k, bits, o.error(w, q, num/den), after)
				}
			}
			ratio += math.Log(gptq/plain) / 7
		}
		if k >= 9 && !(ratio < -0.3) {
			t.Errorf("k %d: error %v of that to the nearest, on the average of all widths", k, math.Exp(ratio))
		}
	}
}

// TestTarget: the least-squares target leaves less error than the float weights where the inputs have errors, up to the damping.
func TestTarget(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 7))
	m, w := correlated(r, 4, 12)
	o, err := newObjective(m, w, true)
	if err != nil {
		t.Fatal(err)
	}
	for row := range 4 {
		loss := func(q []float64) float64 { // E|y - q x|^2 - E|y|^2
			e := -2 * dot(m.c[row*12:][:12], q)
			for i, x := range q {
				e += x * dot(m.h[i*12:][:12], q)
			}
			return e
		}
		if a, b := loss(o.row(row)), loss(double(w[row*12:][:12])); !(a < b) {
			t.Errorf("row %d: error %v, with float weights %v", row, a, b)
		}
	}
}

// TestOptimize: on a small network every method of scales gives a graph that verifies, the same on one core and on several; best is better
// than rounding to the nearest, and makes the means of the outputs agree.
func TestOptimize(t *testing.T) {
	for i, c := range []Config{{Bits: Bits{3, 8}}, {Bits: Bits{3, 8}, PerTensor: true}, {Bits: Bits{3, 8}, Pow2: true}, {Bits: Bits{4, 5}}} {
		r := rand.New(rand.NewPCG(8, uint64(i)))
		g := small(r)
		in := inputs(r, g, 200)
		c.OutputBits = 16
		seen := observed(t, g, in)
		c.Range = func(v *ir.Value, bits int) (lo, hi float64, err error) {
			lo, hi, err = seen(v, bits)
			if v.Name == "y" { // no clipping, which would move the mean
				lo, hi = 4*lo, 4*hi
			}
			return lo, hi, err
		}
		run := func(stages Stages) *ir.Graph {
			q := g.Clone()
			left, err := Optimize(q, &c, &Calibration{Stages: stages, Samples: calib.Batches(in), New: newInterp, Seed: 1})
			if err != nil {
				t.Fatal(err)
			}
			if err := ir.Verify(q); err != nil {
				t.Fatal(err)
			}
			if len(left) > 0 {
				t.Errorf("case %d: %v left", i, left[0].Pos)
			}
			return q
		}
		want := outputs(t, g, in)
		noise := func(q *ir.Graph) (sum float64, mean [4]float64) {
			for i, x := range outputs(t, q, in) {
				d := float64(x - want[i])
				sum += d * d
				mean[i%4] += d / float64(len(in))
			}
			return sum, mean
		}
		plain, best := run(nil), run(all(t))
		a, _ := noise(plain)
		b, mean := noise(best)
		if !(b < a) {
			t.Errorf("case %d: squared error %v, to the nearest %v", i, b, a)
		}
		for ch, d := range mean {
			// A bias is a whole number of the accumulator's steps.
			step, _ := best.Outputs[0].Def.In[2].Type.Quant.At(ch)
			if math.Abs(d) > 0.51*step+1e-3 {
				t.Errorf("case %d: the mean of output %d is off by %v, a step of its bias is %v", i, ch, d, step)
			}
		}
		old := runtime.GOMAXPROCS(1)
		again := run(all(t))
		runtime.GOMAXPROCS(old)
		if irtext.String(again) != irtext.String(best) {
			t.Errorf("case %d: another result on one core", i)
		}
	}
}

// TestWalk: a walk stopped at each node has the values of a run in one go, keeps no others, and not more than the footprint says.
func TestWalk(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 9))
	for range 20 {
		g := irtest.RandomGraph(r, irtest.GraphOptions{})
		in := inputs(r, g, 2)
		bound, err := g.Bind(map[string]int{"N": 1})
		if err != nil {
			t.Fatal(err)
		}
		most := footprint(bound)
		w := newWalk(g, newInterp, in)
		for i, n := range g.Nodes {
			if err := w.to(n); err != nil {
				t.Fatal(err)
			}
			for s, m := range w.live {
				want := map[*ir.Value]*tensor.T{}
				run, err := interp.New(g)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := run.Run(in[s], func(v *ir.Value, u *tensor.T) { want[v] = u.Clone() }); err != nil {
					t.Fatal(err)
				}
				bytes := 0
				for v, u := range m {
					bytes += 4 * u.Len()
					if !u.Equal(want[v]) || w.last[v] < i {
						t.Fatalf("before node %d: %%%s is %v, last read by node %d", i, v.Name, u, w.last[v])
					}
				}
				if bytes > most {
					t.Fatalf("before node %d: %d bytes, footprint %d", i, bytes, most)
				}
			}
		}
	}
}

// TestStages: the names of methods and stages.
func TestStages(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"best,-gptq,-equalize", "target scales descent refit adaround bias"},
		{"nearest,+scales,+bias", "scales bias"},
		{"good", `want nearest or fast or best`},
		{"best,gptq", `"gptq": want + or - and one of equalize`},
		{"best,-all", `"-all": want + or -`},
	} {
		s, err := ParseStages(c.in)
		got := strings.Join(s, " ")
		if err != nil {
			got = err.Error()
		}
		if got != c.want && !(err != nil && strings.Contains(got, c.want)) {
			t.Errorf("%s: %s, want %s", c.in, got, c.want)
		}
	}
}

package onnx

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"quern/backends/sim"
	"quern/ir/hw"
)

// cnv is a small network of the shape of FINN's CNV: pixels 0..255, convolutions of 3x3 without padding, pools, matrices; normalizations and
// thresholds behind the layers. It prints itself as a model and computes itself in float64, from the definitions of the operators alone.
type cnv struct {
	r         *rand.Rand
	text      strings.Builder
	annotated []string // weights with finn_datatype
	n         int
	bits      int // of weights and activations
	c, h, w   int
	steps     []func(x []float64) []float64
	name      string // of the last value
}

func (m *cnv) printf(format string, a ...any) { fmt.Fprintf(&m.text, format, a...) }

// reals are n numbers of f that float32 holds, as a constant of the model and as they are.
func (m *cnv) reals(name, shape string, n int, f func() float64) []float64 {
	v := make([]float64, n)
	m.printf("const %s f32[%s] =", name, shape)
	for i := range v {
		v[i] = float64(float32(f()))
		m.printf(" %v", float32(v[i]))
	}
	m.printf("\n")
	return v
}

// weights are of one bit, by BipolarQuant of reals, or integers that an annotation names, with a Mul behind the layer.
func (m *cnv) weights(shape string, n int) (name string, w []float64, scale float64) {
	name = fmt.Sprint("w", m.n)
	if m.bits == 1 {
		v := m.reals(name, shape, n, m.r.NormFloat64)
		scale = m.reals(name+"s", "", 1, func() float64 { return 0.02 + m.r.Float64()/10 })[0]
		m.printf("%[1]sq = qonnx.custom_op.general::BipolarQuant(%[1]s, %[1]ss)\n", name)
		for i, x := range v {
			v[i] = scale
			if x < 0 {
				v[i] = -scale
			}
		}
		return name + "q", v, 1
	}
	m.annotated = append(m.annotated, name)
	lo := -1 << (m.bits - 1)
	w = m.reals(name, shape, n, func() float64 { return float64(lo + m.r.IntN(1<<m.bits)) })
	return name, w, 0.02 + m.r.Float64()/10
}

// layer appends a convolution (kernel 3) or a matrix (kernel 0) to so many channels.
func (m *cnv) layer(out, kernel int) {
	m.n++
	in := m.c
	y := fmt.Sprint("y", m.n)
	var w []float64
	var scale float64
	var name string
	if kernel == 0 {
		name, w, scale = m.weights(fmt.Sprint(in, ",", out), in*out)
		m.printf("%sm = MatMul(%s, %s)\n", y, m.name, name)
		m.steps = append(m.steps, func(x []float64) []float64 {
			r := make([]float64, out)
			for i, v := range x {
				for o := range r {
					r[o] += v * w[i*out+o]
				}
			}
			return r
		})
	} else {
		name, w, scale = m.weights(fmt.Sprintf("%d,%d,%d,%d", out, in, kernel, kernel), out*in*kernel*kernel)
		m.printf("%sm = Conv<kernel_shape=[%d,%d]>(%s, %s)\n", y, kernel, kernel, m.name, name)
		h, wd := m.h, m.w
		m.h, m.w = h-kernel+1, wd-kernel+1
		oh, ow := m.h, m.w
		m.steps = append(m.steps, func(x []float64) []float64 {
			r := make([]float64, out*oh*ow)
			for i := range r {
				o, py, px := i/(oh*ow), i/ow%oh, i%ow
				for c := range in {
					for k := range kernel * kernel {
						r[i] += w[(o*in+c)*kernel*kernel+k] * x[(c*h+py+k/kernel)*wd+px+k%kernel]
					}
				}
			}
			return r
		})
	}
	m.c, m.name = out, y+"m"
	if scale != 1 {
		k := m.reals(y+"k", "", 1, func() float64 { return scale })[0]
		m.printf("%[1]ss = Mul(%[1]sm, %[1]sk)\n", y)
		m.name = y + "s"
		m.each(func(x float64, c int) float64 { return x * k })
	}
}

// each appends a function of every element and its channel.
func (m *cnv) each(f func(x float64, c int) float64) {
	inner := m.h * m.w
	m.steps = append(m.steps, func(x []float64) []float64 {
		r := make([]float64, len(x))
		for i, v := range x {
			r[i] = f(v, i/inner)
		}
		return r
	})
}

// statistics are mean and variance of each channel of the last value, over some images.
func (m *cnv) statistics() (mean, variance []float64) {
	mean, variance = make([]float64, m.c), make([]float64, m.c)
	const images = 16
	inner := m.h * m.w
	for range images {
		for i, v := range m.run(image(m.r)) {
			mean[i/inner] += v / float64(images*inner)
			variance[i/inner] += v * v / float64(images*inner)
		}
	}
	for c, u := range mean {
		variance[c] = max(0, variance[c]-u*u) + 1e-3
	}
	return mean, variance
}

func (m *cnv) run(x []float64) []float64 {
	for _, step := range m.steps {
		x = step(x)
	}
	return x
}

// image is a slope of some direction and noise, in pixels of 0 to 255.
func image(r *rand.Rand) []float64 {
	x := make([]float64, 3*256)
	base, dx, dy := r.Float64()*255, r.NormFloat64()*10, r.NormFloat64()*10
	for i := range x {
		x[i] = math.Round(max(0, min(255, base+dx*float64(i%16-8)+dy*float64(i/16%16-8)+20*r.NormFloat64())))
	}
	return x
}

// activate appends a normalization and thresholds: one at 0 for -1 and 1, else 2^bits-1 for counts that a Mul scales.
func (m *cnv) activate() {
	y, c := fmt.Sprint("y", m.n), m.c
	list := fmt.Sprint(c)
	gamma := m.reals(y+"g", list, c, func() float64 { return (0.2 + m.r.Float64()) * float64(1-2*m.r.IntN(2)) })
	beta := m.reals(y+"b", list, c, func() float64 { return m.r.NormFloat64() / 4 })
	means, variances := m.statistics()
	at := 0
	from := func(v []float64) func() float64 {
		at = 0
		return func() float64 { at++; return v[at-1] }
	}
	mean := m.reals(y+"u", list, c, from(means))
	variance := m.reals(y+"v", list, c, from(variances))
	m.printf("%[1]sn = BatchNormalization<epsilon=0.0001>(%[2]s, %[1]sg, %[1]sb, %[1]su, %[1]sv)\n", y, m.name)
	m.each(func(x float64, c int) float64 {
		return gamma[c]*(x-mean[c])/math.Sqrt(variance[c]+float64(float32(0.0001))) + beta[c]
	})
	if m.bits == 1 {
		m.printf("const %[1]st f32[1,1] = 0\n%[1]sa = qonnx.custom_op.general::MultiThreshold<out_dtype=\"BIPOLAR\",out_scale=2.0,out_bias=-1.0>(%[1]sn, %[1]st)\n", y)
		m.each(func(x float64, c int) float64 {
			if x >= 0 {
				return 1
			}
			return -1
		})
		m.name = y + "a"
		return
	}
	n := 1<<m.bits - 1
	t := m.reals(y+"t", fmt.Sprint(c, ",", n), c*n, m.r.NormFloat64)
	m.printf("%[1]sa = finn.custom_op.general::MultiThreshold<out_dtype=\"UINT%[2]d\">(%[1]sn, %[1]st)\n", y, m.bits)
	k := m.reals(y+"d", "", 1, func() float64 { return 0.1 + m.r.Float64() })[0]
	m.printf("%[1]sz = Mul(%[1]sa, %[1]sd)\n", y)
	m.each(func(x float64, c int) float64 {
		count := 0.0
		for _, v := range t[c*n : (c+1)*n] {
			if x >= v {
				count++
			}
		}
		return count * k
	})
	m.name = y + "z"
}

// pool appends a MaxPool of 2x2.
func (m *cnv) pool() {
	m.printf("%[1]sp = MaxPool<kernel_shape=[2,2],strides=[2,2]>(%[1]s)\n", m.name)
	m.name += "p"
	w := m.w
	m.h, m.w = m.h/2, m.w/2
	ow := m.w
	m.steps = append(m.steps, func(x []float64) []float64 {
		r := make([]float64, len(x)/4)
		for i := range r {
			at := i/ow*2*w + i%ow*2
			r[i] = max(x[at], x[at+1], x[at+w], x[at+w+1])
		}
		return r
	})
}

// TestCNV: networks of one and two bits in FINN's forms run on the hardware with the results of their definition. Each layer is one kernel.
func TestCNV(t *testing.T) {
	for bits := 1; bits <= 3; bits++ {
		m := &cnv{r: rand.New(rand.NewPCG(uint64(bits), 12)), bits: bits, c: 3, h: 16, w: 16, name: "xq"}
		m.printf("opset qonnx.custom_op.general 1\nopset finn.custom_op.general 1\nin x f32[1,3,16,16]\nconst zero f32[] = 0\nconst b8 f32[] = 8\n" +
			"const max f32[] = 255\nconst two f32[] = 2\nconst one f32[] = 1\nconst step f32[] = 0.0078125\n" +
			"xd = Div(x, max)\nxm = Mul(xd, two)\nxs = Sub(xm, one)\nxq = qonnx.custom_op.general::Quant(xs, step, zero, b8)\n")
		m.each(func(x float64, c int) float64 { return max(-128, min(127, math.RoundToEven((x/255*2-1)*128))) / 128 })
		m.layer(8, 3)
		m.activate()
		m.layer(8, 3)
		m.activate()
		m.pool()
		m.layer(16, 3)
		m.activate()
		m.pool()
		m.printf("flat = Flatten(%s)\n", m.name)
		m.name, m.c, m.h, m.w = "flat", m.c*m.h*m.w, 1, 1
		m.layer(24, 0)
		m.activate()
		m.layer(10, 0)
		bias := m.reals("last", "10", 10, m.r.NormFloat64)
		m.printf("y = Add(%s, last)\nout y\n", m.name)
		m.each(func(x float64, c int) float64 { return x + bias[c] })

		p := parseModel(t, m.text.String())
		for _, w := range m.annotated {
			annotate(p, w, fmt.Sprint("INT", bits))
		}
		_, low := hardware(t, p)
		var kinds []string
		for _, k := range low.Prog.Kernels {
			kinds = append(kinds, k.Kind.String())
			if k.Kind == hw.KDot && k.Dot.Groups != 1 {
				t.Errorf("%d bits: kernel %s is depthwise", bits, k.Name)
			}
		}
		if got := strings.Join(kinds, " "); got != "dot dot window dot window dot dot" || low.Tail != nil {
			t.Errorf("%d bits: kernels %q, tail %v", bits, got, low.Tail)
		}
		s, err := sim.New(low.Prog)
		if err != nil {
			t.Fatal(err)
		}
		var seen []float64
		for range 40 {
			x, f := image(m.r), make([]float32, 3*256)
			for i := range x {
				f[i] = float32(x[i])
			}
			got, err := s.NewState().RunFloat([][]float32{f})
			if err != nil {
				t.Fatal(err)
			}
			scores := m.run(x)
			for i, want := range scores {
				if y := float64(got[0][i]); math.Abs(y-want) > 1e-5*max(1, math.Abs(want)) {
					t.Fatalf("%d bits: score %d is %v, want %v", bits, i, y, want)
				}
			}
			seen = append(seen, scores...)
		}
		slices.Sort(seen)
		if n := len(slices.Compact(seen)); n < 80 {
			t.Errorf("%d bits: %d different scores: the network says little", bits, n)
		}
	}
}

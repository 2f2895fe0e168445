package quant

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"quern/ir"
	"quern/ir/tensor"
)

// pow2Above reports whether s is the least power of two that is not under x.
func pow2Above(s, x float64) bool {
	f, _ := math.Frexp(s)
	return f == 0.5 && s >= x && s/2 < x
}

// TestActivation: whatever the range, zero is exact, every number of the range is at most half a step off, and no bit is wasted.
func TestActivation(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for i := range 2000 {
		bits := MinBits + r.IntN(MaxBits-MinBits+1)
		lo, hi := r.NormFloat64(), r.NormFloat64()
		if lo > hi {
			lo, hi = hi, lo
		}
		size := math.Exp(r.NormFloat64() * 6)
		lo, hi = lo*size, hi*size
		c := Config{Symmetric: i%3 == 1, Pow2: i%3 == 2}
		e, q := c.activation(lo, hi, bits)
		name := fmt.Sprintf("range %v..%v, %d bits, symmetric %v, pow2 %v: %v", lo, hi, bits, c.Symmetric, c.Pow2, ir.Type{Elem: e, Quant: q})
		lo, hi = min(lo, 0), max(hi, 0)
		least, top := e.Range()
		s, z := q.At(0)
		if int(e.Bits) != bits || q.Min != least || q.Max != top || float64(float32(s)) != s {
			t.Fatalf("%s: want %d bits, all of them, and a float32 scale", name, bits)
		}
		if (e == tensor.U(bits)) != (lo == 0) || (lo == 0 || c.Symmetric || c.Pow2) && z != 0 {
			t.Fatalf("%s: want unsigned from 0 on, and the zero point 0 there or where it is asked for", name)
		}
		if q.Dequantize(q.Quantize(0, 0), 0) != 0 {
			t.Fatalf("%s: zero is not exact", name)
		}
		for _, x := range []float64{lo, hi, lo + r.Float64()*(hi-lo), lo + r.Float64()*(hi-lo)} {
			// At the ends: half a step from the rounding of the zero point, 2^-24 of 2^16 steps from that of the scale.
			if d := math.Abs(x-float64(q.Dequantize(q.Quantize(x, 0), 0))) / s; d > 0.51 {
				t.Fatalf("%s: %v is %v steps off", name, x, d)
			}
		}
		need := max(lo/float64(least), hi/float64(top))
		if lo == 0 {
			need = hi / float64(top)
		} else if z != 0 || !c.Symmetric && !c.Pow2 {
			need = (hi - lo) / float64(top-least)
		}
		if c.Pow2 && !pow2Above(s, need) || !c.Pow2 && math.Abs(s/need-1) > 1e-7 {
			t.Fatalf("%s: scale %v, want %v", name, s, need)
		}
	}
	for _, c := range []Config{{}, {Pow2: true}, {Symmetric: true}} {
		if e, q := c.activation(0, 0, 8); e != tensor.U(8) || q.Scale[0] != 1 {
			t.Errorf("range 0..0: %v %v, want u8 of scale 1", e, q)
		}
	}
	exact := Config{Pow2: true}
	if _, q := exact.activation(-128, 64, 8); q.Scale[0] != 1 {
		t.Errorf("-128..64 is %v, want scale 1: it fits", q)
	}
}

// TestWeightQuant: |w - q*s| <= s/2, the largest magnitude of each channel at the end of the narrow range.
func TestWeightQuant(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 2))
	for i := range 400 {
		bits := MinBits + r.IntN(MaxBits-MinBits+1)
		w := tensor.New(tensor.F32, 1+r.IntN(5), 1+r.IntN(5), 1+r.IntN(3))
		axis := r.IntN(2)
		c := Config{PerTensor: r.IntN(3) == 0, Pow2: r.IntN(3) == 0}
		n := w.Shape[axis]
		channel := func(i int) int { return i / tensor.Numel(w.Shape[axis+1:]) % n }
		size := make([]float64, n)
		for ch := range size {
			size[ch] = math.Exp(r.NormFloat64() * 2)
		}
		most := make([]float64, n)
		for i := range w.F {
			w.F[i] = float32(r.NormFloat64() * size[channel(i)])
			most[channel(i)] = max(most[channel(i)], math.Abs(float64(w.F[i])))
		}
		q := c.WeightQuant(w, axis, bits)
		top := int64(1)<<(bits-1) - 1
		name := fmt.Sprintf("case %d: %v axis %d, %d bits, %+v: %v", i, w.Shape, axis, bits, c, q)
		if want := map[bool]int{true: 1, false: n}[c.PerTensor]; len(q.Scale) != want || want > 1 && q.Axis != axis || q.Min != -top || q.Max != top {
			t.Fatalf("%s: want %d scales, %d..%d", name, want, -top, top)
		}
		ints := q.Integers(tensor.I(bits), w)
		seen := make([]int64, len(q.Scale)) // the largest integer of each scale
		for i, x := range w.F {
			ch := channel(i)
			s, z := q.At(ch)
			if z != 0 {
				t.Fatalf("%s: zero point %d", name, z)
			}
			if d := math.Abs(float64(x)-float64(ints.I[i])*s) / s; d > 0.5+1e-2 {
				t.Fatalf("%s: weight %d is %v, %d*%v is %v steps off", name, i, x, ints.I[i], s, d)
			}
			if c.PerTensor {
				ch = 0
				for _, m := range most {
					most[0] = max(most[0], m)
				}
			}
			seen[ch] = max(seen[ch], ints.I[i], -ints.I[i])
			if need := most[ch] / float64(top); c.Pow2 && !pow2Above(s, need) || !c.Pow2 && math.Abs(s/need-1) > 1e-7 {
				t.Fatalf("%s: scale %v for %v, want %v", name, s, most[ch], need)
			}
		}
		for ch, k := range seen {
			if k != top && !c.Pow2 || k < top/2 {
				t.Errorf("%s: channel %d uses %d of %d", name, ch, k, top)
			}
		}
	}
}

// TestDeadChannels: a channel of zeros, or of next to nothing, has a scale at which its bias still is a number of reasonable size.
func TestDeadChannels(t *testing.T) {
	c := Config{}
	q := c.WeightQuant(tensor.Floats([]int{3, 2}, 0, 0, 1e-30, 0, 7, -14), 0, 4)
	for i, want := range []float64{2. / (1 << 16), 2. / (1 << 16), 2} {
		if got, _ := q.At(i); got != want {
			t.Errorf("channel %d has scale %v, want %v", i, got, want)
		}
	}
	if q := c.WeightQuant(tensor.Floats([]int{1, 2}, 0, 0), 0, 2); q.Scale[0] != 1 {
		t.Errorf("weights of zeros have scale %v, want 1", q.Scale[0])
	}
	b := &ir.Value{Name: "b", Const: tensor.Floats([]int{1}, 0), Type: ir.T(tensor.F32, 1)}
	v, err := Bias(b, &ir.Quant{Scale: []float64{1e-30}, Zero: []int64{0}}, 1e-30, "q")
	if err != nil || v.Type.Quant.Scale[0] != float64(float32(1e-37)) {
		t.Errorf("a scale below float32: %v, %v", v, err)
	}
}

// TestBias: integers at the scale sx*sw that come back from the float32 numbers they stand for, in 32 bits or the few more it takes.
func TestBias(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 3))
	widest := 0
	for range 2000 {
		n := 1 + r.IntN(4)
		w := &ir.Quant{Zero: []int64{0}}
		for range map[bool]int{true: 1, false: n}[r.IntN(2) == 0] {
			w.Scale = append(w.Scale, float64(float32(math.Exp(r.NormFloat64()*3))))
		}
		sx := float64(float32(math.Exp(r.NormFloat64() * 3)))
		b := &ir.Value{Name: "b", Type: ir.T(tensor.F32, n), Const: tensor.New(tensor.F32, n)}
		bits := r.IntN(47)
		for i := range b.Const.F {
			s, _ := w.At(i)
			b.Const.F[i] = float32((r.Float64()*2 - 1) * math.Ldexp(s*sx, bits))
		}
		v, err := Bias(b, w, sx, "bq")
		if err != nil {
			t.Fatal(err)
		}
		q := v.Type.Quant
		if v.Name != "bq" || len(q.Scale) != len(w.Scale) || q.Axis != 0 || len(v.Const.I) != n {
			t.Fatalf("%s %v from %d scales", v.Name, v.Type, len(w.Scale))
		}
		most := int64(0)
		for i, k := range v.Const.I {
			s, z := q.At(i)
			sw, _ := w.At(i)
			x := float64(b.Const.F[i])
			if s != float64(float32(sx*sw)) || z != 0 {
				t.Fatalf("scale %v and zero point %d, want %v*%v and 0", s, z, sx, sw)
			}
			// Half a step, and where a float32 is wider than a step, half of its last place twice: into the real and into the integer.
			if d := math.Abs(x - float64(k)*s); d > s*(0.5+1e-9)+math.Abs(x)*0x1p-23 {
				t.Fatalf("%v is %d*%v: %v steps off", x, k, s, d/s)
			}
			if back := q.Quantize(float64(q.Dequantize(k, i)), i); back != k {
				t.Fatalf("%d*%v goes into a file as %v and comes back as %d", k, s, q.Dequantize(k, i), back)
			}
			most = max(most, k, -k)
		}
		e := v.Type.Elem
		widest = max(widest, int(e.Bits))
		if lo, hi := e.Range(); q.Min != lo || q.Max != hi || e.Kind != tensor.Int || e.Bits < 32 || most > hi || e.Bits > 32 && most <= hi/2 {
			t.Fatalf("%v for numbers of up to %d: want 32 bits, or the least that hold them", v.Type, most)
		}
	}
	if widest < 46 {
		t.Errorf("the widest bias had %d bits: too few to test it", widest)
	}
	one := &ir.Quant{Scale: []float64{1}, Zero: []int64{0}}
	b := &ir.Value{Name: "b", Type: ir.T(tensor.F32, 2), Const: tensor.Floats([]int{2}, 1<<46, -1<<46)}
	if v, err := Bias(b, one, 1, "q"); err != nil || v.Type.Elem != tensor.I(48) {
		t.Errorf("2^46: %v, %v", v, err)
	}
	for _, c := range []struct {
		f    float32
		want string
	}{{1 << 47, "element 1 is 1.4073749e+14"}, {float32(math.NaN()), "element 1 is NaN"}, {float32(math.Inf(-1)), "element 1 is -Inf"}} {
		b.Const.F[1] = c.f
		if v, err := Bias(b, one, 1, "q"); err == nil || !strings.Contains(err.Error(), "bias %b: "+c.want) || !strings.Contains(err.Error(), "want less than 2^47") {
			t.Errorf("%v: %v, %v", c.f, v, err)
		}
	}
	b.Const, b.Type = tensor.New(tensor.F32, 1, 2), ir.T(tensor.F32, 1, 2)
	if _, err := Bias(b, one, 1, "q"); err == nil || !strings.Contains(err.Error(), "bias %b: want one dim, got f32[1,2]") {
		t.Errorf("a bias [1,2]: %v", err)
	}
}

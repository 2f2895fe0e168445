package kernels

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// layouts are those of a convolution's fields: channels last, planes in, and planes out, too.
func layouts(l Level, g FloatGeometry) (r [][2]Field) {
	b, c := g.Border().Max(Border{1, 0, 2, 1}), Border{0, 2, 1, 0}
	in, out := NewField(l, g.C, g.H, g.W, b), NewField(l, g.OC, g.OH, g.OW, c)
	r = append(r, [2]Field{in, out})
	if !g.Winograd() && g.Groups == 1 {
		in = NewPlanes(g.C, g.H, g.W, g.C, b)
		r = append(r, [2]Field{in, out})
	}
	if g.Planes(l) {
		r = append(r, [2]Field{in, NewPlanes(g.OC, g.OH, g.OW, FloatPlanes(g.OC), c)})
	}
	return r
}

// fieldRun is a convolution by way of fields: of x, and add unless it is nil, channels first.
func fieldRun(l Level, g FloatGeometry, fields [2]Field, w, bias, x, add []float32, images int, limit Limit) []float32 {
	in, out := fields[0], fields[1]
	f := NewFieldConv(l, g, in, out, w, bias)
	xs, ys := in.Make(images), out.Make(images)
	in.Load(l, xs, x)
	var as []float32
	if add != nil {
		as = out.Make(images)
		out.Load(l, as, add)
	}
	border := func() (n int) {
		for i := range images {
			for y := -out.Top; y < out.H+out.Bottom; y++ {
				for x := -out.Left; x < out.W+out.Right; x++ {
					inside := y >= 0 && y < out.H && x >= 0 && x < out.W
					for c := range max(out.Step, out.Planes) {
						if !inside && ys[i*out.Size()+out.at(y, x)+c*out.plane()] != 0 {
							n++
						}
					}
				}
			}
		}
		return n
	}
	for range 2 { // the second run uses the memory of the first
		f.Run(ys, xs, as, images, limit)
	}
	if n := border(); n > 0 {
		panic(fmt.Sprintf("%d elements of the border were written", n))
	}
	y := make([]float32, images*g.OC*g.OH*g.OW)
	out.Store(l, y, ys)
	return y
}

// TestFieldConv compares every level with FloatConv, bit by bit; where not all products are made in turn, with the portable code, and that with FloatConv.
func TestFieldConv(t *testing.T) {
	planes, deeps := map[Level]int{}, 0
	for seed := range uint64(250) {
		r := rand.New(rand.NewPCG(seed, 31))
		g := randomGeometry(r)
		g.Groups = 1
		deep := r.IntN(4) == 0
		if r.IntN(2) == 0 {
			g.C, g.OC, g.H, g.W = 16+r.IntN(40), 16+r.IntN(60), 6+r.IntN(20), 6+r.IntN(20)
			g.KH, g.KW, g.SH, g.SW, g.DH, g.DW, g.PH, g.PW = 3, 3, 1, 1, 1, 1, r.IntN(2), r.IntN(2)
			g.OH, g.OW = g.H+2*g.PH-2, g.W+2*g.PW-2
		} else if g.SW == 1 && r.IntN(2) == 0 { // wide, with few results
			g.OC = 1 + r.IntN(14)
			g.W += 8 + r.IntN(30)
			g.OW = g.W + 2*g.PW - (g.KW-1)*g.DW
		}
		if deep && !g.Winograd() {
			g.Groups, g.OC = g.C, g.C
			deeps++
		}
		images := 1 + r.IntN(3)
		random := func(n int) []float32 {
			v := make([]float32, n)
			for i := range v {
				v[i] = float32(r.NormFloat64())
			}
			return v
		}
		specials := seed%2 == 0 && !g.Winograd()
		w, bias, x, add := random(g.OC*g.C/g.Groups*g.KH*g.KW), random(g.OC), random(images*g.C*g.H*g.W), random(images*g.OC*g.OH*g.OW)
		if r.IntN(2) == 0 {
			add = nil
		}
		limit := []Limit{0, Unlimited, 0.75}[r.IntN(3)]
		if specials {
			for _, v := range [][]float32{w, bias, x, add} {
				for range len(v) / 40 {
					v[r.IntN(len(v))] = special[r.IntN(len(special))]
				}
			}
		}
		direct := make([]float32, images*g.OC*g.OH*g.OW)
		f := NewFloatConv(Generic, g, w, bias)
		for i := range images {
			f.Run(direct[i*g.OC*g.OH*g.OW:][:g.OC*g.OH*g.OW], x[i*g.C*g.H*g.W:])
		}
		if add != nil {
			AddFloats(Generic, direct, direct, add)
		}
		most := 0.0
		for _, v := range direct {
			most = max(most, math.Abs(float64(v)))
		}
		if limit > 0 {
			Clip(Generic, direct, direct, 0, float32(limit))
		}
		want := direct
		if g.Winograd() {
			want = fieldRun(Generic, g, layouts(Generic, g)[0], w, bias, x, add, images, limit)
			for i, v := range want {
				if d := math.Abs(float64(v - direct[i])); !(d < 1e-5*most) {
					t.Fatalf("seed %d: %+v: result %d: got %v, want about %v", seed, g, i, v, direct[i])
				}
			}
		}
		for _, l := range native() {
			for _, fields := range layouts(l, g) {
				if fields[1].Planes > 0 {
					planes[l]++
				}
				for i, v := range fieldRun(l, g, fields, w, bias, x, add, images, limit) {
					if math.Float32bits(v) != math.Float32bits(want[i]) && (v == v || want[i] == want[i]) {
						t.Fatalf("%v seed %d: %+v, %+v, %d images, add %v, limit %v: result %d: got %v, want %v", l, seed, g, fields, images, add != nil, limit, i, v, want[i])
					}
				}
			}
		}
	}
	if deeps < 20 {
		t.Errorf("%d convolutions with channels kept apart, want more", deeps)
	}
	for _, l := range native() {
		if planes[l] < 20 {
			t.Errorf("%v: %d convolutions from planes to planes, want more", l, planes[l])
		}
	}
}

// special are numbers that products and sums treat unlike others.
var special = []float32{0, float32(math.Copysign(0, -1)), float32(math.Inf(1)), float32(math.Inf(-1)), math.MaxFloat32, math.SmallestNonzeroFloat32, float32(math.NaN())}

// TestFieldMax compares native code with the definition, with what is not a number.
func TestFieldMax(t *testing.T) {
	for _, l := range native() {
		planes := 0
		for seed := range uint64(150) {
			r := rand.New(rand.NewPCG(seed, 37))
			g := randomGeometry(r)
			if r.IntN(2) == 0 {
				g.KW, g.SW, g.DW = 2, 2, 1
				g.W += r.IntN(40)
			}
			g.PH, g.PW, g.OC = 0, 0, g.C
			padded := r.IntN(2) == 0 && (g.KW != 2 || g.SW != 2)
			g.H, g.W = max(g.H, (g.KH-1)*g.DH+1), max(g.W, (g.KW-1)*g.DW+1)
			g.OH, g.OW = (g.H-(g.KH-1)*g.DH-1)/g.SH+1, (g.W-(g.KW-1)*g.DW-1)/g.SW+1
			if padded { // each window has a pixel of the image
				g.PH, g.PW = r.IntN(min(g.KH, g.H)), r.IntN(min(g.KW, g.W))
				g.DH, g.DW = 1, 1
				g.OH, g.OW = (g.H+2*g.PH-g.KH)/g.SH+1, (g.W+2*g.PW-g.KW)/g.SW+1
			}
			in, out := NewField(l, g.C, g.H, g.W, Border{1, 1, 0, 2}), NewField(l, g.C, g.OH, g.OW, Border{0, 0, 1, 0})
			testFieldMax(t, l, r, seed, g, in, out)
			if g.MaxPlanes(l) {
				planes++
				testFieldMax(t, l, r, seed, g, NewPlanes(g.C, g.H, g.W, g.C+1, in.Border), NewPlanes(g.C, g.OH, g.OW, g.C+1, out.Border))
			}
		}
		if planes < 20 {
			t.Errorf("%v: %d of planes, want more", l, planes)
		}
	}
}

func testFieldMax(t *testing.T, l Level, r *rand.Rand, seed uint64, g FloatGeometry, in, out Field) {
	t.Helper()
	const images = 2
	x, y := make([]float32, images*g.C*g.H*g.W), make([]float32, images*g.C*g.OH*g.OW)
	for i := range x {
		if x[i] = float32(r.NormFloat64()); r.IntN(30) == 0 {
			x[i] = special[r.IntN(len(special))]
		}
	}
	xs, ys := in.Make(images), out.Make(images)
	in.Load(l, xs, x)
	NewFieldMax(l, g, in, out).Run(ys, xs, images)
	out.Store(l, y, ys)
	for i, got := range y {
		c, p := i/(g.OH*g.OW), i%(g.OH*g.OW)
		want := float32(math.Inf(-1))
		for ky := range g.KH {
			for kx := range g.KW {
				if iy, ix := p/g.OW*g.SH+ky*g.DH-g.PH, p%g.OW*g.SW+kx*g.DW-g.PW; iy >= 0 && iy < g.H && ix >= 0 && ix < g.W {
					want = max(want, x[(c*g.H+iy)*g.W+ix])
				}
			}
		}
		if got != want && (got == got || want == want) {
			t.Fatalf("%v seed %d: %+v: result %d: got %v, want %v", l, seed, g, i, got, want)
		}
	}
}

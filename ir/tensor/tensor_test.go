package tensor

import (
	"fmt"
	"math"
	"slices"
	"testing"
)

func TestElem(t *testing.T) {
	all := []Elem{F16, F32, F64, BF16, B}
	for b := 1; b <= 64; b++ {
		all = append(all, I(b), U(b))
	}
	for _, e := range all {
		if got, err := ParseElem(e.String()); err != nil || got != e {
			t.Errorf("%v is read as %v, %v", e, got, err)
		}
		if e.IsFloat() {
			continue
		}
		lo, hi := e.Range()
		if e.Kind == Int && (lo != -hi-1 || hi != math.MaxInt64>>(64-e.Bits)) || e.Kind == Uint && (lo != 0 || e.Bits < 63 && hi != 1<<e.Bits-1) {
			t.Errorf("%v: range %d..%d", e, lo, hi)
		}
	}
	for _, s := range []string{"", "i", "i0", "i65", "u+3", "u08", "f8", "f", "x8", "i8 ", "bf32", "Bool"} {
		if e, err := ParseElem(s); err == nil {
			t.Errorf("%q is read as %v", s, e)
		}
	}
	if !F32.IsFloat() || !BF16.IsFloat() || I64.IsFloat() || !I32.IsInt() || B.IsInt() || B.IsFloat() {
		t.Error("kinds")
	}
}

func TestPermute(t *testing.T) {
	x := New(I64, 2, 3, 4)
	for i := range x.I {
		x.I[i] = int64(i)
	}
	for _, p := range [][]int{{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}} {
		y := x.Permute(p)
		idx := make([]int, 3)
		for i := range x.I {
			idx[0], idx[1], idx[2] = i/12, i/4%3, i%4
			off := 0
			for k, s := range y.Strides() {
				off += idx[p[k]] * s
			}
			if y.I[off] != int64(i) {
				t.Fatalf("permutation %v: element %v is %d", p, idx, y.I[off])
			}
		}
		back := make([]int, 3)
		for i, a := range p {
			back[a] = i
		}
		if !y.Permute(back).Equal(x) {
			t.Errorf("permutation %v there and back", p)
		}
	}
	f := Floats([]int{1, 2}, 3, 4).Permute([]int{1, 0})
	if !f.Equal(Floats([]int{2, 1}, 3, 4)) {
		t.Errorf("got %v %v", f, f.F)
	}
	if s := Floats([]int{}, 5).Permute(nil); s.F[0] != 5 || len(s.Shape) != 0 {
		t.Errorf("a scalar becomes %v", s)
	}
}

func TestWalk(t *testing.T) {
	walk := func(shape, stride []int) (r []int) {
		Walk(shape, stride, func(off int) { r = append(r, off) })
		return r
	}
	for _, c := range []struct {
		shape, stride, want []int
	}{
		{[]int{2, 3}, []int{3, 1}, []int{0, 1, 2, 3, 4, 5}}, {[]int{2, 3}, []int{1, 10}, []int{0, 10, 20, 1, 11, 21}},
		{[]int{2, 2, 2}, []int{0, 5, 0}, []int{0, 0, 5, 5, 0, 0, 5, 5}}, {nil, nil, []int{0}}, {[]int{2, 0, 3}, []int{1, 1, 1}, nil},
	} {
		if got := walk(c.shape, c.stride); !slices.Equal(got, c.want) {
			t.Errorf("%v by %v: got %v, want %v", c.shape, c.stride, got, c.want)
		}
	}
	if got := Strides([]int{2, 3, 4}); !slices.Equal(got, []int{12, 4, 1}) || Numel([]int{2, 3, 4}) != 24 || Numel(nil) != 1 {
		t.Errorf("strides %v", got)
	}
}

func TestCheck(t *testing.T) {
	for want, x := range map[string]*T{
		"<nil>":                                        Ints(I(4), []int{2}, -8, 7),
		"tensor f32[3]: want 3 floats, got 2":          {Elem: F32, Shape: []int{3}, F: []float32{1, 2}},
		"tensor i8[3]: want 3 integers, got 2":         {Elem: I(8), Shape: []int{3}, I: []int64{1, 2}},
		"tensor u4[2]: element 1 is 16, outside 0..15": {Elem: U(4), Shape: []int{2}, I: []int64{15, 16}},
		"tensor bool[1]: element 0 is 2, outside 0..1": {Elem: B, Shape: []int{1}, I: []int64{2}},
		"tensor i4[1]: element 0 is -9, outside -8..7": {Elem: I(4), Shape: []int{1}, I: []int64{-9}},
		"tensor [1]: no element type":                  {Shape: []int{1}, I: []int64{2}},
		"tensor f32[1]: want 1 floats, got 1":          {Elem: F32, Shape: []int{1}, F: []float32{1}, I: []int64{1}},
	} {
		if got := fmt.Sprint(x.Check()); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	defer func() {
		if recover() == nil {
			t.Error("3 numbers for 2 elements: no panic")
		}
	}()
	Floats([]int{2}, 1, 2, 3)
}

func TestEqual(t *testing.T) {
	nan := float32(math.NaN())
	x := Floats([]int{2, 2}, nan, 0, 1, 2)
	c := x.Clone()
	if !x.Equal(c) || x.Equal(x.Reshape(4)) || x.Equal(Floats([]int{2, 2}, nan, float32(math.Copysign(0, -1)), 1, 2)) {
		t.Error("Equal of floats")
	}
	if c.F[3], c.Shape[0] = 9, 9; x.F[3] != 2 || x.Shape[0] != 2 {
		t.Error("Clone shares memory")
	}
	i := Ints(I(8), []int{2}, 1, 2)
	if i.Equal(Ints(U(8), []int{2}, 1, 2)) || i.Equal(Ints(I(8), []int{2}, 1, 3)) || !i.Equal(i.Clone()) || i.Float(1) != 2 || i.Len() != 2 {
		t.Error("Equal of integers")
	}
	if r := x.Reshape(4); &r.F[0] != &x.F[0] || r.String() != "f32[4]" {
		t.Error("Reshape copies")
	}
}

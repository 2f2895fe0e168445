package interp

import (
	"math"
	"slices"
	"sync"
	"testing"

	"quern/ir/tensor"
)

func TestInputs(t *testing.T) {
	m := newInterp(t, `graph net(%x f32[N,2], %y f32[N,2], %q u4[2]{s=0.5 z=1 min=1 max=9}, %i i64[1]) {
  %s f32[N,2] = Add(%x, %y)
  %p f32[N,2] = Add(%s, %q)
  return %p, %q, %i
}`)
	f := func(shape ...int) *tensor.T { return tensor.New(tensor.F32, shape...) }
	i64 := tensor.New(tensor.I64, 1)
	nan := tensor.Floats([]int{2}, 0, float32(math.NaN()))
	half := &tensor.T{Elem: tensor.F16, Shape: []int{1, 2}, F: []float32{1, 2}}
	good := [][]*tensor.T{
		{f(1, 2), f(1, 2), f(2), i64},
		{f(0, 2), f(0, 2), f(2), i64},
		{half, f(1, 2), tensor.Ints(tensor.U(4), []int{2}, 1, 9), i64},
	}
	var outs [][]*tensor.T
	for _, in := range good {
		out, err := m.Run(in, nil)
		if err != nil {
			t.Fatal(err)
		}
		outs = append(outs, out)
	}
	// As integers 1 and 9 the quantized input is 0 and 4.
	if got := outs[2]; !slices.Equal(got[1].F, []float32{0, 4}) || !slices.Equal(got[0].F, []float32{1, 6}) || outs[1][0].Len() != 0 {
		t.Errorf("got %v, %v", got[0].F, got[1].F)
	}
	for _, tt := range []struct {
		in   []*tensor.T
		want string
	}{
		{good[0][:3], "net: want 4 inputs, got 3"},
		{[]*tensor.T{nil, f(1, 2), f(2), i64}, `net: input "x": want f32[N,2], got nothing`},
		{[]*tensor.T{f(1, 3), f(1, 2), f(2), i64}, `net: input "x": want f32[N,2], got f32[1 3]`},
		{[]*tensor.T{f(2), f(1, 2), f(2), i64}, `net: input "x": want f32[N,2], got f32[2]`},
		{[]*tensor.T{f(1, 2), f(3, 2), f(2), i64}, `net: input "y": want f32[N,2], got f32[3 2]: N is 1 in input "x"`},
		{[]*tensor.T{i64, f(1, 2), f(2), i64}, `net: input "x": want f32[N,2], got i64[1]`},
		{[]*tensor.T{f(1, 2), f(1, 2), f(2), f(1)}, `net: input "i": want i64[1], got f32[1]`},
		{[]*tensor.T{f(1, 2), f(1, 2), tensor.New(tensor.U(8), 2), i64}, `net: input "q": want u4[2]{s=0.5 z=1 min=1 max=9}, got u8[2]`},
		{[]*tensor.T{f(1, 2), f(1, 2), tensor.Ints(tensor.U(4), []int{2}, 3, 10), i64}, `net: input "q": element 1 is 10, want 1..9`},
		{[]*tensor.T{f(1, 2), f(1, 2), tensor.New(tensor.U(4), 2), i64}, `net: input "q": element 0 is 0, want 1..9`},
		{[]*tensor.T{f(1, 2), f(1, 2), nan, i64}, `net: input "q": element 1 is not a number and cannot be quantized`},
		{[]*tensor.T{{Elem: tensor.F32, Shape: []int{-1, 2}}, f(1, 2), f(2), i64},
			`net: input "x": want f32[N,2], got f32[-1 2]: dimension 0 is negative`},
		{[]*tensor.T{{Elem: tensor.F32, Shape: []int{1, 2}, F: []float32{1}}, f(1, 2), f(2), i64},
			`net: input "x": tensor f32[1 2]: want 2 floats, got 1`},
	} {
		if _, err := m.Run(tt.in, nil); err == nil || err.Error() != tt.want {
			t.Errorf("got  %v\nwant %s", err, tt.want)
		}
	}
}

// Batches of all sizes at the same time, through the shape arithmetic that exporters write.
func TestConcurrent(t *testing.T) {
	m := newInterp(t, `graph g(%x f32[N,2,3]) {
  const %shape i64[2] = [N 6]
  %k i64[2] = Identity(%shape)
  %n i64[1] = Shape<end=1>(%x)
  %f f32[N,6] = Reshape<shape=[N,-1]>(%x)
  %y f32[N,6] = Relu(%f)
  return %y, %k, %n
}`)
	var wg sync.WaitGroup
	for i := range 200 {
		wg.Go(func() {
			n := 1 + i*7%100
			x := tensor.New(tensor.F32, n, 2, 3)
			for j := range x.F {
				x.F[j] = float32(j)
			}
			out, err := m.Run([]*tensor.T{x}, nil)
			if err != nil {
				t.Error(err)
				return
			}
			if !slices.Equal(out[0].F, x.F) || !slices.Equal(out[0].Shape, []int{n, 6}) || out[1].I[0] != int64(n) || out[2].I[0] != int64(n) {
				t.Errorf("batch %d: got %v, %v, %v", n, out[0], out[1].I, out[2].I)
			}
		})
	}
	wg.Wait()
	if len(m.plans) > maxPlans {
		t.Errorf("%d plans are kept, want at most %d", len(m.plans), maxPlans)
	}
}

// TestRunAllocations: a run like the one before it allocates what the kernels make and the list of outputs.
func TestRunAllocations(t *testing.T) {
	m := newInterp(t, `graph net(%x f32[N,3]) {
  %y f32[N,3] = Relu(%x)
  return %y
}`)
	in := []*tensor.T{tensor.Floats([]int{2, 3}, 1, -2, 3, 4, 5, -6)}
	// A tensor, its shape, its data and the list of outputs; more where the memory of the run before was given up.
	if n := testing.AllocsPerRun(100, func() {
		if _, err := m.Run(in, nil); err != nil {
			t.Fatal(err)
		}
	}); n > 7 {
		t.Errorf("%v allocations for a run, want 4", n)
	}
}

// TestStateAllocations: what commonly follows a hardware program takes no new memory.
func TestStateAllocations(t *testing.T) {
	s := newInterp(t, `graph net(%x f32[N,3]) {
  %a f32[N,3] = Relu(%x)
  %y f32[N,3] = Softmax<axis=-1>(%a)
  return %y
}`).NewState()
	in := []*tensor.T{tensor.Floats([]int{2, 3}, 1, -2, 3, 4, 5, -6)}
	if n := testing.AllocsPerRun(100, func() {
		if _, err := s.Run(in); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations for a run, want none", n)
	}
}

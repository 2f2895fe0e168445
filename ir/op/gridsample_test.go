package op

import (
	"math/rand/v2"
	"testing"

	"quern/ir/tensor"
)

// TestAffineGridSample: the identity gives the image, a mirror the mirrored one, in every mode and padding.
func TestAffineGridSample(t *testing.T) {
	r := rand.New(rand.NewPCG(61, 62))
	for range 100 {
		k := 2 + r.IntN(2)
		size := randShape(r, k, 4)
		for i := range size {
			size[i]++
		}
		x := randT(r, tensor.F32, append([]int{1, 2}, size...)...)
		theta := tensor.New(tensor.F32, 1, k, k+1)
		flip := r.IntN(k) // this coordinate, which is the spatial axis k-1-flip
		for i := range k {
			theta.F[i*(k+1)+i] = 1
		}
		theta.F[flip*(k+1)+flip] = -1
		align := r.IntN(2) == 0
		grid := run(t, &AffineGrid{x.Shape, align}, theta)[0]
		want := tensor.New(tensor.F32, x.Shape...)
		each(x.Shape, func(i []int) {
			j := append([]int{}, i...)
			j[1+k-flip] = x.Shape[1+k-flip] - 1 - i[1+k-flip]
			want.F[pos(want, j)] = at(x, i)
		})
		for _, mode := range []string{"linear", "nearest", "cubic"} {
			for _, padding := range []string{"zeros", "border", "reflection"} {
				if o := (&GridSample{mode, padding, align}); mode != "cubic" || k == 2 {
					near(t, describe(o), run(t, o, x, grid)[0], want, 1e-4)
				}
			}
		}
	}
}

// TestGridSampleOutside: one axis of 4 pixels, places outside of it, by hand.
func TestGridSampleOutside(t *testing.T) {
	x := floats([]int{1, 1, 4}, 1, 2, 4, 8)
	grid := floats([]int{1, 5, 1}, -2, -1.25, -1, 1.125, 1.75) // pixels -2.5, -1, -0.5, 3.75, 5
	for _, c := range []struct {
		o    *GridSample
		want []float32
	}{
		{&GridSample{"linear", "zeros", false}, []float32{0, 0, 0.5, 2, 0}},
		{&GridSample{"linear", "border", false}, []float32{1, 1, 1, 8, 8}},
		{&GridSample{"linear", "reflection", false}, []float32{3, 1, 1, 8, 4}},
		{&GridSample{"nearest", "zeros", false}, []float32{0, 0, 1, 0, 0}},
		{&GridSample{"nearest", "reflection", false}, []float32{2, 1, 1, 8, 4}},
		// With the corners aligned the pixels are -1.5, -0.375, 0, 3.1875, 4.125.
		{&GridSample{"linear", "border", true}, []float32{1, 1, 1, 8, 8}},
		{&GridSample{"linear", "reflection", true}, []float32{3, 1.375, 1, 7.25, 3.75}},
	} {
		near(t, describe(c.o), run(t, c.o, x, grid)[0], floats([]int{1, 1, 5}, c.want...), 1e-6)
	}
}

func TestRoi(t *testing.T) {
	x := tensor.New(tensor.F32, 2, 1, 4, 4)
	for i := range x.F {
		x.F[i] = float32(i)
	}
	pool := &MaxRoiPool{[]int{2, 2}, 0.5}
	// Image 0, pixels 0..3 of both axes; image 1, pixels 1..3 and 1; a region outside.
	rois := floats([]int{3, 5}, 0, 0, 0, 6, 6, 1, 2, 2, 6, 2, 0, 20, 20, 30, 30)
	near(t, "MaxRoiPool", run(t, pool, x, rois)[0], floats([]int{3, 1, 2, 2}, 5, 7, 13, 15, 22, 23, 22, 23, 0, 0, 0, 0), 0)

	// The image is a plane, so that the mean of a cell is the value in its middle: 4*y + x there.
	region := floats([]int{1, 4}, 1, 1, 3, 3)
	for _, c := range []struct {
		coordinates string
		want        []float32
	}{
		{"output_half_pixel", []float32{7.5, 8.5, 11.5, 12.5}},
		{"half_pixel", []float32{5, 6, 9, 10}},
	} {
		o := newRoiAlign().(*RoiAlign)
		o.OutputHeight, o.OutputWidth, o.Coordinates = 2, 2, c.coordinates
		near(t, describe(o), run(t, o, x, region, i64(0))[0], floats([]int{1, 1, 2, 2}, c.want...), 1e-6)
	}
	_, err := Eval(newRoiAlign(), []*tensor.T{x, region, i64(2)})
	if want := "region 0 is of image 2: want 0 to 1"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

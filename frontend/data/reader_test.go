package data

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// TestReader compares with Sample and Apply, bit by bit, and counts allocations.
func TestReader(t *testing.T) {
	third := []float64{0.4914, 0.4822, 1. / 3}
	for _, shape := range [][]int{{}, {7}, {3}, {2, 5}, {3, 4, 5}, {1, 6, 3}} {
		channels := 1
		if len(shape) > 0 {
			channels = shape[0]
		}
		for _, p := range []Preprocess{{}, {Scale: 1}, {Scale: 1e-40}, {Mean: third[:1], Std: third[2:]}, {Mean: third, Std: third[1:2]}, {Scale: 0.3, Std: third}} {
			if p.Check(channels) != nil {
				continue
			}
			for _, layout := range []string{"", "nhwc"} {
				p.Layout = layout
				d := &Dataset{Name: "bytes", Shape: shape}
				size, r := d.sampleSize(), rand.New(rand.NewPCG(uint64(len(shape)), 1))
				for range 300 * size {
					d.U8 = append(d.U8, uint8(r.Uint32()))
				}
				t.Run(fmt.Sprintf("%v %+v", shape, p), func(t *testing.T) {
					testReader(t, d, p)
					f := &Dataset{Name: "floats", Shape: shape}
					for _, v := range d.U8 {
						f.F32 = append(f.F32, float32(v)-100.5)
					}
					testReader(t, f, p)
				})
			}
		}
	}
}

func testReader(t *testing.T, d *Dataset, p Preprocess) {
	t.Helper()
	r := NewReader(d, p)
	raw, want, got := make([]float32, r.Size()), make([]float32, r.Size()), make([]float32, r.Size())
	for i := range r.Len() {
		d.Sample(i, raw)
		p.Apply(want, raw, d.Shape)
		r.Read(got, i)
		for k := range got {
			if math.Float32bits(got[k]) != math.Float32bits(want[k]) {
				t.Fatalf("%s: sample %d, value %d: got %v, want %v", d.Name, i, k, got[k], want[k])
			}
		}
		b := r.Bytes()
		if b == nil {
			continue
		}
		for k, v := range b.Sample(i) {
			plane := r.Size() / b.Planes
			c, to := k/plane, k
			if b.Interleaved {
				to = k%plane*b.Planes + c
			}
			if x := b.Tables[c%len(b.Tables)][v]; math.Float32bits(x) != math.Float32bits(want[to]) {
				t.Fatalf("%s: sample %d, byte %d: got %v, want %v", d.Name, i, k, x, want[to])
			}
		}
	}
	if n := testing.AllocsPerRun(3, func() { r.Read(got, 1) }); n != 0 {
		t.Errorf("%s: %v allocations to read a sample, want none", d.Name, n)
	}
}

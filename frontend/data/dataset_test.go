package data

import (
	"fmt"
	"slices"
	"testing"
)

// counted is a dataset whose sample i has the values 10i, 10i+1, so that a
// sample says which one it is.
func counted(labels []int, n int) *Dataset {
	d := &Dataset{Name: "counted", Shape: []int{2}, Labels: labels, U8: []uint8{}}
	for i := range n {
		d.U8 = append(d.U8, uint8(10*i), uint8(10*i+1))
	}
	return d
}

// order lists which samples of counted are in d.
func order(d *Dataset) []int {
	var idx []int
	v := make([]float32, 2)
	for i := range d.Len() {
		d.Sample(i, v)
		idx = append(idx, int(v[0])/10)
	}
	return idx
}

func TestSpread(t *testing.T) {
	for _, tc := range []struct {
		name   string
		labels []int
		size   int
		n      int
		want   []int
	}{
		{"round robin", []int{1, 1, 1, 0, 0, 0}, 6, 4, []int{3, 0, 4, 1}},
		{"remainder to the lower labels", []int{2, 1, 0, 2, 1, 0}, 6, 5, []int{2, 1, 0, 5, 4}},
		{"a class runs out", []int{0, 5, 5, 5, 5}, 5, 4, []int{0, 1, 2, 3}},
		{"gaps in the labels", []int{9, 1000000, 9, 1000000}, 4, 2, []int{0, 1}},
		{"fewer than classes", []int{0, 1, 2, 3, 4, 5}, 6, 3, []int{0, 2, 4}},
		{"one class", []int{7, 7, 7, 7}, 4, 2, []int{0, 1}},
		{"no labels", nil, 10, 4, []int{0, 2, 5, 7}},
		{"no labels, one", nil, 10, 1, []int{0}},
		{"zero is all", []int{1, 0, 1}, 3, 0, []int{0, 1, 2}},
		{"negative is all", []int{1, 0, 1}, 3, -1, []int{0, 1, 2}},
		{"more than all", []int{1, 0, 1}, 3, 9, []int{0, 1, 2}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d := counted(tc.labels, tc.size)
			s := d.Spread(tc.n)
			if got := order(s); !slices.Equal(got, tc.want) {
				t.Errorf("Spread(%d) of labels %v: samples %v, want %v", tc.n, tc.labels, got, tc.want)
			}
			for i, from := range order(s) {
				if tc.labels != nil && s.Labels[i] != tc.labels[from] {
					t.Errorf("sample %d has label %d, in the source %d", from, s.Labels[i], tc.labels[from])
				}
			}
			if tc.labels == nil && s.Labels != nil {
				t.Errorf("labels %v out of nothing", s.Labels)
			}
		})
	}
}

func TestHeadAndSubset(t *testing.T) {
	d := counted([]int{3, 1, 2}, 3)
	d.Classes = []string{"a", "b", "c", "d"}
	for n, want := range map[int]int{-1: 3, 0: 3, 1: 1, 2: 2, 3: 3, 4: 3} {
		h := d.Head(n)
		if h.Len() != want || len(h.Labels) != want {
			t.Errorf("Head(%d): %d samples, %d labels, want %d", n, h.Len(), len(h.Labels), want)
		}
		if &h.U8[0] != &d.U8[0] {
			t.Errorf("Head(%d) copies", n)
		}
	}
	_ = append(d.Head(1).U8, 99)
	if d.U8[2] != 10 {
		t.Error("appending to a view wrote into the dataset")
	}

	s := d.Subset([]int{2, 0, 2})
	if got := order(s); !slices.Equal(got, []int{2, 0, 2}) {
		t.Errorf("Subset: samples %v, want [2 0 2]", got)
	}
	if !slices.Equal(s.Labels, []int{2, 3, 2}) || !slices.Equal(s.Classes, d.Classes) || s.Name != d.Name {
		t.Errorf("Subset: labels %v, classes %v, name %q", s.Labels, s.Classes, s.Name)
	}
	s.U8[0], s.Shape[0] = 77, 1
	if d.U8[4] != 20 || d.Shape[0] != 2 {
		t.Error("Subset shares memory")
	}
	if e := d.Subset(nil); e.Len() != 0 || e.U8 == nil || e.Labels == nil {
		t.Errorf("empty Subset: %+v", e)
	}
}

func TestFloatDataset(t *testing.T) {
	d := &Dataset{Shape: []int{}, F32: []float32{1.5, -2, 3}} // a sample is one number
	v := make([]float32, 1)
	d.Head(2).Sample(1, v)
	if d.Len() != 3 || d.Head(2).Len() != 2 || v[0] != -2 {
		t.Errorf("Len %d, Head %d, sample %v", d.Len(), d.Head(2).Len(), v)
	}
	if s := d.Subset([]int{2}); s.U8 != nil || !slices.Equal(s.F32, []float32{3}) {
		t.Errorf("Subset: %+v", s)
	}
	if n := (&Dataset{Shape: []int{0}}).Len(); n != 0 {
		t.Errorf("Len of samples without values: %d", n)
	}
}

func TestSampleShortDst(t *testing.T) {
	defer func() {
		if p := fmt.Sprint(recover()); p != "data: Sample of counted: dst has 1 values, a sample has 2" {
			t.Errorf("panic %q", p)
		}
	}()
	counted(nil, 1).Sample(0, make([]float32, 1))
}

// Package data reads calibration and test data: CIFAR-10 binary batches, IDX
// files (MNIST), NumPy .npy and .npz, and folders of class folders of images.
//
// [Open] detects the kind and gives a [Dataset], the raw values as they are
// stored; [Preprocess] turns a raw sample into what a model takes. [ReadNPY] and
// [WriteNPY] move single tensors.
//
// Errors name the file first, then the place in it and what was expected. What a
// file's header claims is checked against what the file holds before memory is
// taken for it, so a damaged file costs an error and not the machine.
//
// The package imports nothing of quern.
package data

import (
	"cmp"
	"fmt"
	"slices"
)

// Dataset holds N samples of one shape, raw values before preprocessing.
//
// Invariants, which every reader of this package keeps: exactly one of U8 and
// F32 is set, its length is Len times the product of Shape, no dimension is
// zero, every F32 value is finite, and Labels is nil or has Len entries.
type Dataset struct {
	Name    string    // what it was read from, for messages
	Shape   []int     // of one sample; images are CHW ([3,32,32]); others as stored, [] if a sample is one number
	Labels  []int     // class of each sample, not negative; nil when the source has none
	Classes []string  // names for class folders, indexed by label; else nil
	U8      []uint8   // raw values, sample after sample
	F32     []float32 // raw values, sample after sample
}

// sampleSize is the number of values of one sample.
func (d *Dataset) sampleSize() int {
	n := 1
	for _, dim := range d.Shape {
		n *= dim
	}
	return n
}

// Len returns the number of samples N.
func (d *Dataset) Len() int {
	size := d.sampleSize()
	if size == 0 { // only a Dataset that no reader made
		return 0
	}
	if d.U8 != nil {
		return len(d.U8) / size
	}
	return len(d.F32) / size
}

// Sample copies the raw values of sample i to dst as float32, in the order of
// Shape (CHW for images; bytes give 0 to 255). It panics if i is out of range or
// dst is shorter than a sample.
func (d *Dataset) Sample(i int, dst []float32) {
	size := d.sampleSize()
	if len(dst) < size {
		panic(fmt.Sprintf("data: Sample of %s: dst has %d values, a sample has %d", d.Name, len(dst), size))
	}
	if d.U8 == nil {
		copy(dst, d.F32[i*size:(i+1)*size])
		return
	}
	src := d.U8[i*size : (i+1)*size]
	dst = dst[:len(src)]
	for j, v := range src {
		dst[j] = float32(v)
	}
}

// Subset returns a dataset with copies of the samples idx, in that order; an
// index may occur more than once. It panics if one is out of range.
func (d *Dataset) Subset(idx []int) *Dataset {
	size := d.sampleSize()
	s := &Dataset{Name: d.Name, Shape: slices.Clone(d.Shape), Classes: slices.Clone(d.Classes)}
	if d.U8 != nil {
		s.U8 = gather(d.U8, idx, size)
	} else {
		s.F32 = gather(d.F32, idx, size)
	}
	if d.Labels != nil {
		s.Labels = gather(d.Labels, idx, 1)
	}
	return s
}

func gather[T any](src []T, idx []int, size int) []T {
	dst := make([]T, 0, len(idx)*size)
	for _, i := range idx {
		dst = append(dst, src[i*size:(i+1)*size]...)
	}
	return dst
}

// Head returns the first n samples, all of them when n <= 0 or n > Len. The
// result shares d's memory.
func (d *Dataset) Head(n int) *Dataset {
	if n <= 0 || n > d.Len() {
		n = d.Len()
	}
	h := *d
	// The capacity is cut too, so that appending to a view cannot write into d.
	if end := n * d.sampleSize(); d.U8 != nil {
		h.U8 = d.U8[:end:end]
	} else {
		h.F32 = d.F32[:end:end]
	}
	if d.Labels != nil {
		h.Labels = d.Labels[:n:n]
	}
	return &h
}

// Spread picks n samples spread evenly over the classes and copies them: round
// robin over the labels in ascending order, in file order within a class; a class
// that runs out is passed over. With fewer samples than classes it takes the
// first sample of n classes spaced evenly. Without labels it takes evenly spaced
// samples. The choice depends on nothing but Labels, Len and n. With n <= 0 or
// n >= Len it is all samples in file order, sharing memory like Head.
func (d *Dataset) Spread(n int) *Dataset {
	total := d.Len()
	if n <= 0 || n >= total {
		return d.Head(0)
	}
	idx := make([]int, 0, n)
	if d.Labels == nil {
		for i := range n {
			idx = append(idx, i*total/n)
		}
		return d.Subset(idx)
	}
	classes := d.byClass()
	if n < len(classes) {
		for i := range n {
			idx = append(idx, classes[i*len(classes)/n][0])
		}
		return d.Subset(idx)
	}
	for round := 0; len(idx) < n; round++ { // ends: n is below the number of samples
		for _, class := range classes {
			if round < len(class) && len(idx) < n {
				idx = append(idx, class[round])
			}
		}
	}
	return d.Subset(idx)
}

// byClass groups the sample indices by label: groups in ascending order of
// label, none empty, file order within. It sorts instead of indexing by label,
// as a label may be any number.
func (d *Dataset) byClass() [][]int {
	order := make([]int, len(d.Labels))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(d.Labels[a], d.Labels[b]) })
	var groups [][]int
	for start, i := 0, 1; i <= len(order); i++ {
		if i == len(order) || d.Labels[order[i]] != d.Labels[order[start]] {
			groups = append(groups, order[start:i])
			start = i
		}
	}
	return groups
}

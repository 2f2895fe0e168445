package data

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"

	"github.com/sbinet/npyio/npz"
)

// readNPYDataset reads a .npy file as samples without labels.
func readNPYDataset(path string, r io.Reader) (*Dataset, error) {
	r = bufio.NewReader(r)
	nd, err := readArray(r)
	if err == nil {
		err = expectEOF(r)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	d, err := nd.dataset()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return d, nil
}

// readNPZ reads x and y, or x_test and y_test, of a .npz file (a zip of .npy
// files) of the given size in bytes. The labels may be missing.
func readNPZ(path string, r io.ReaderAt, size int64) (*Dataset, error) {
	z, err := npz.NewReader(r, size)
	if err != nil {
		return nil, fmt.Errorf("%s: not a .npz file: %w", path, unwrapAll(err))
	}
	x, y := "x", "y"
	if !hasArray(z, x) {
		x, y = "x_test", "y_test"
	}
	if !hasArray(z, x) {
		return nil, fmt.Errorf(`%s: no array "x" or "x_test"; %s`, path, listArrays(z))
	}
	nd, err := readMember(z, x)
	if err != nil {
		return nil, fmt.Errorf("%s: array %q: %w", path, x, err)
	}
	d, err := nd.dataset()
	if err != nil {
		return nil, fmt.Errorf("%s: array %q: %w", path, x, err)
	}
	if !hasArray(z, y) {
		return d, nil
	}
	nd, err = readMember(z, y)
	if err == nil {
		d.Labels, err = nd.labels()
	}
	if err != nil {
		return nil, fmt.Errorf("%s: array %q: %w", path, y, err)
	}
	if len(d.Labels) != d.Len() {
		return nil, fmt.Errorf("%s: array %q has %d labels, but %q has %d samples", path, y, len(d.Labels), x, d.Len())
	}
	return d, nil
}

// unwrapAll takes away the layers that only repeat where the error came from.
func unwrapAll(err error) error {
	for next := errors.Unwrap(err); next != nil; next = errors.Unwrap(err) {
		err = next
	}
	return err
}

func hasArray(z *npz.Reader, name string) bool {
	for _, k := range z.Keys() {
		if k == name+".npy" {
			return true
		}
	}
	return false
}

func listArrays(z *npz.Reader) string {
	if len(z.Keys()) == 0 {
		return "it has no arrays"
	}
	var names []string
	for _, k := range z.Keys() {
		names = append(names, strings.TrimSuffix(k, ".npy"))
		if len(names) == 10 {
			names = append(names, "...")
			break
		}
	}
	return "it has " + strings.Join(names, ", ")
}

// readMember reads one array to its end, where zip's checksum is verified.
func readMember(z *npz.Reader, name string) (*ndarray, error) {
	rc, err := z.Open(name + ".npy")
	if err != nil {
		return nil, unwrapAll(err)
	}
	defer rc.Close()
	nd, err := readArray(rc)
	if err != nil {
		return nil, err
	}
	return nd, expectEOF(rc)
}

// dataset makes the first axis N. Bytes stay bytes, the rest becomes float32
// (integers beyond 2^24 are rounded) and must be finite.
func (nd *ndarray) dataset() (*Dataset, error) {
	if len(nd.shape) == 0 {
		return nil, errors.New("a scalar, want an array whose first axis counts the samples")
	}
	if nd.shape[0] == 0 {
		return nil, fmt.Errorf("shape %v: no samples", nd.shape)
	}
	d := &Dataset{Shape: nd.shape[1:], U8: nd.u8, F32: nd.f32}
	size := d.sampleSize()
	if size == 0 {
		return nil, fmt.Errorf("shape %v: samples without values", nd.shape)
	}
	if nd.i64 != nil {
		d.F32 = make([]float32, len(nd.i64))
		for i, v := range nd.i64 {
			d.F32[i] = float32(v)
		}
	}
	for i, v := range d.F32 {
		if f := float64(v); math.IsNaN(f) || math.IsInf(f, 0) {
			return nil, fmt.Errorf("sample %d, value %d (element %d): %v, want finite numbers", i/size, i%size, i, v)
		}
	}
	return d, nil
}

// labels takes class numbers of shape [N], or [N,1] as Keras keeps them.
func (nd *ndarray) labels() ([]int, error) {
	if nd.f32 != nil {
		return nil, fmt.Errorf("labels of type %q, want an integer type", nd.dtype)
	}
	if s := nd.shape; len(s) != 1 && !(len(s) == 2 && s[1] == 1) {
		return nil, fmt.Errorf("labels of shape %v, want one class number per sample: [N] or [N,1]", s)
	}
	out := make([]int, len(nd.u8)+len(nd.i64))
	for i, v := range nd.u8 {
		out[i] = int(v)
	}
	for i, v := range nd.i64 {
		if v < 0 || v > math.MaxInt32 {
			return nil, fmt.Errorf("label %d is %d, want a class number from 0", i, v)
		}
		out[i] = int(v)
	}
	return out, nil
}

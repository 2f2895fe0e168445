package data

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"

	"github.com/sbinet/npyio/npy"
)

// Array is one tensor of a .npy file. Exactly one of F32 and I64 is set (not
// nil, even for a tensor without elements), with the product of Shape elements
// in C order.
type Array struct {
	Shape []int     // [] for a scalar; dimensions may be zero
	F32   []float32 // float32 and float64
	I64   []int64   // integers of all widths, and bool as 0 and 1
	Dtype string    // the NumPy descriptor as read: "<f4", "|u1", ...
}

// ReadNPY reads one array in NumPy's .npy format, version 1 or 2: float32,
// float64, bool and integers of 8 to 64 bits, either byte order, C or Fortran
// order (turned into C order). float64 is rounded to float32; NaN and infinities
// pass. It reads not a byte further than the array.
//
// Errors give the offset or the element: another format, another element type, a
// damaged header, missing data, a number that no float32 or int64 can hold. They
// do not name the file, which only the caller knows.
func ReadNPY(r io.Reader) (*Array, error) {
	nd, err := readArray(r)
	if err != nil {
		return nil, err
	}
	a := &Array{Shape: nd.shape, Dtype: nd.dtype, F32: nd.f32, I64: nd.i64}
	if nd.u8 != nil {
		a.I64 = make([]int64, len(nd.u8))
		for i, v := range nd.u8 {
			a.I64[i] = int64(v)
		}
	}
	return a, nil
}

// ndarray is an array as read, in C order. Bytes are kept as such, since a
// dataset of them would be eight times as large in int64. Exactly one of the
// three slices is not nil.
type ndarray struct {
	shape []int
	dtype string
	u8    []uint8
	i64   []int64
	f32   []float32
}

// maxHeader is the longest .npy header taken, in bytes; NumPy stops at 10,000.
const maxHeader = 1 << 16

// readArray reads one .npy array. The header and the numbers are npyio's work;
// what is around it here is what npyio v0.6.0 leaves open: it takes lengths on
// trust, panics on damaged headers, fills missing data with zeros in silence,
// takes a short read (usual below a decompressor) for a whole one, and ignores
// Fortran order. So it is only ever shown bytes that are all there.
func readArray(r io.Reader) (*ndarray, error) {
	head, err := readHead(r)
	if err != nil {
		return nil, err
	}
	src := &source{bytes.NewReader(head)}
	nr, err := parseHead(src)
	if err != nil {
		return nil, err
	}
	nd := &ndarray{shape: nr.Header.Descr.Shape, dtype: nr.Header.Descr.Type}
	if nd.shape == nil {
		nd.shape = []int{}
	}
	size := elementSize(nd.dtype)
	if size == 0 {
		return nil, fmt.Errorf("npy: element type %q, want float32, float64, bool or an integer of 8 to 64 bits", nd.dtype)
	}
	n, err := elements(nd.shape, size)
	if err != nil {
		return nil, fmt.Errorf("npy: header: %w", err)
	}
	raw, err := readGrow(r, n*size)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, fmt.Errorf("npy: data is truncated: shape %v of %q needs %d bytes at offset %d, there are %d: %w", nd.shape, nd.dtype, n*size, len(head), len(raw), err)
	}
	if err != nil {
		return nil, fmt.Errorf("npy: data at offset %d: %w", len(head)+len(raw), err)
	}
	src.Reader = bytes.NewReader(raw)
	if err := nd.decode(nr, raw, n); err != nil {
		return nil, fmt.Errorf("npy: %w", err)
	}
	if nr.Header.Descr.Fortran {
		nd.u8, nd.i64, nd.f32 = toC(nd.u8, nd.shape), toC(nd.i64, nd.shape), toC(nd.f32, nd.shape)
	}
	return nd, nil
}

// source lets npyio parse the header first and be given the data afterwards.
type source struct{ io.Reader }

// readHead reads the preamble and the header dictionary, all of it or an error.
func readHead(r io.Reader) ([]byte, error) {
	head := make([]byte, 8, 256)
	if n, err := io.ReadFull(r, head); err != nil || string(head[:6]) != string(npy.Magic[:]) {
		if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
			return nil, fmt.Errorf("npy: offset %d: %w", n, err)
		}
		return nil, errors.New(`npy: not a NumPy array: it does not begin with "\x93NUMPY"`)
	}
	var length int
	switch major := head[6]; major {
	case 1:
		head = append(head, 0, 0)
	case 2:
		head = append(head, 0, 0, 0, 0)
	default:
		return nil, fmt.Errorf("npy: format version %d, want 1 or 2", major)
	}
	if _, err := io.ReadFull(r, head[8:]); err != nil {
		return nil, fmt.Errorf("npy: header is truncated at offset 8: %w", err)
	}
	if head[6] == 1 {
		length = int(binary.LittleEndian.Uint16(head[8:]))
	} else if l := binary.LittleEndian.Uint32(head[8:]); l > maxHeader {
		return nil, fmt.Errorf("npy: header of %d bytes, want at most %d", l, maxHeader)
	} else {
		length = int(l)
	}
	start := len(head)
	head = append(head, make([]byte, length)...)
	if n, err := io.ReadFull(r, head[start:]); err != nil {
		return nil, fmt.Errorf("npy: header is truncated: want %d bytes at offset %d, there are %d: %w", length, start, n, err)
	}
	return head, nil
}

// parseHead runs npyio's header parser, which slices without looking and so
// panics on damaged headers.
func parseHead(r io.Reader) (nr *npy.Reader, err error) {
	defer func() {
		if p := recover(); p != nil {
			nr, err = nil, errors.New("npy: damaged header: want {'descr': ..., 'fortran_order': ..., 'shape': ..., }")
		}
	}()
	nr, err = npy.NewReader(r)
	if err != nil {
		return nil, fmt.Errorf("npy: damaged header: %s", strings.TrimPrefix(err.Error(), "npy: "))
	}
	return nr, nil
}

// elementCode strips the byte order of a descriptor: "<f4" is "f4".
func elementCode(dtype string) string {
	return strings.TrimLeft(dtype, "<>|")
}

// elementSize is the size in bytes of an element of the types read, else 0.
func elementSize(dtype string) int {
	switch elementCode(dtype) {
	case "b1", "u1", "i1":
		return 1
	case "u2", "i2":
		return 2
	case "u4", "i4", "f4":
		return 4
	case "u8", "i8", "f8":
		return 8
	}
	return 0
}

// decode turns the raw bytes of n elements into numbers, in the order stored.
func (nd *ndarray) decode(nr *npy.Reader, raw []byte, n int) (err error) {
	switch elementCode(nd.dtype) {
	case "u1":
		nd.u8 = raw
	case "b1":
		nd.i64 = make([]int64, n)
		for i, v := range raw {
			if v != 0 { // NumPy: any other byte is true
				nd.i64[i] = 1
			}
		}
	case "i1":
		nd.i64, err = integers[int8](nr, n)
	case "i2":
		nd.i64, err = integers[int16](nr, n)
	case "i4":
		nd.i64, err = integers[int32](nr, n)
	case "i8":
		nd.i64, err = numbers[int64](nr, n)
	case "u2":
		nd.i64, err = integers[uint16](nr, n)
	case "u4":
		nd.i64, err = integers[uint32](nr, n)
	case "u8":
		nd.i64, err = integers[uint64](nr, n)
	case "f4":
		nd.f32, err = numbers[float32](nr, n)
	case "f8":
		nd.f32, err = singles(nr, n)
	}
	return err
}

// numbers reads n elements by npyio; nr's source holds all of them.
func numbers[T any](nr *npy.Reader, n int) ([]T, error) {
	v := make([]T, n)
	if n == 0 {
		return v, nil
	}
	if err := nr.Read(&v); err != nil {
		return nil, fmt.Errorf("elements of type %q: %w", nr.Header.Descr.Type, err)
	}
	return v, nil
}

func integers[T int8 | int16 | int32 | uint16 | uint32 | uint64](nr *npy.Reader, n int) ([]int64, error) {
	v, err := numbers[T](nr, n)
	if err != nil {
		return nil, err
	}
	out := make([]int64, n)
	for i, x := range v {
		if x > 0 && int64(x) < 0 {
			return nil, fmt.Errorf("element %d: %d does not fit int64", i, x)
		}
		out[i] = int64(x)
	}
	return out, nil
}

// singles reads float64 and rounds to float32. A finite value that would become
// infinite is an error: it is not the number that was stored.
func singles(nr *npy.Reader, n int) ([]float32, error) {
	v, err := numbers[float64](nr, n)
	if err != nil {
		return nil, err
	}
	out := make([]float32, n)
	for i, x := range v {
		out[i] = float32(x)
		if math.IsInf(float64(out[i]), 0) && !math.IsInf(x, 0) {
			return nil, fmt.Errorf("element %d: %g does not fit float32", i, x)
		}
	}
	return out, nil
}

// toC reorders src from Fortran order (first index fastest) to C order (last
// index fastest). Nil stays nil.
func toC[T any](src []T, shape []int) []T {
	if len(src) == 0 || len(shape) < 2 {
		return src
	}
	strides := make([]int, len(shape))
	s := 1
	for d, dim := range shape {
		strides[d] = s
		s *= dim
	}
	dst := make([]T, len(src))
	index := make([]int, len(shape))
	from := 0
	for i := range dst {
		dst[i] = src[from]
		for d := len(shape) - 1; d >= 0; d-- {
			index[d]++
			from += strides[d]
			if index[d] < shape[d] {
				break
			}
			from -= strides[d] * shape[d]
			index[d] = 0
		}
	}
	return dst
}

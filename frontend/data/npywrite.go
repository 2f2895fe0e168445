package data

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
)

// integerTypes are the element types that I64 can be written as. hi of u8 is
// what an int64 can hold, so every value of the table fits.
var integerTypes = []struct {
	code   string
	size   int // bytes
	lo, hi int64
}{
	{"b1", 1, 0, 1},
	{"u1", 1, 0, math.MaxUint8},
	{"i1", 1, math.MinInt8, math.MaxInt8},
	{"u2", 2, 0, math.MaxUint16},
	{"i2", 2, math.MinInt16, math.MaxInt16},
	{"u4", 4, 0, math.MaxUint32},
	{"i4", 4, math.MinInt32, math.MaxInt32},
	{"u8", 8, 0, math.MaxInt64},
	{"i8", 8, math.MinInt64, math.MaxInt64},
}

// WriteNPY writes a as a .npy file of format version 1, C order, little endian:
// F32 as <f4; I64 as the integer type (or bool) that Dtype names, <i8 if it is
// empty. So what ReadNPY read comes back with its type, but for float64 and for
// big-endian types.
//
// The array is checked before the first byte is written: neither or both of F32
// and I64 set, a length that is not the product of Shape, a Dtype of the other
// kind, an integer outside of its type. Other errors are w's.
//
// (npyio is not used here: it writes no more than two dimensions.)
func WriteNPY(w io.Writer, a *Array) error {
	if (a.F32 != nil) == (a.I64 != nil) {
		return errors.New("npy: want exactly one of F32 and I64")
	}
	n, err := elements(a.Shape, 8)
	if err != nil {
		return fmt.Errorf("npy: %w", err)
	}
	if got := len(a.F32) + len(a.I64); got != n {
		return fmt.Errorf("npy: shape %v has %d elements, got %d", a.Shape, n, got)
	}
	if a.F32 != nil {
		if d := elementCode(a.Dtype); d != "" && d[0] != 'f' {
			return fmt.Errorf("npy: type %q for floats, want <f4", a.Dtype)
		}
		return writeNPY(w, "<f4", 4, a.Shape, n, func(i int) uint64 { return uint64(math.Float32bits(a.F32[i])) })
	}
	descr, size, err := integerType(a)
	if err != nil {
		return err
	}
	return writeNPY(w, descr, size, a.Shape, n, func(i int) uint64 { return uint64(a.I64[i]) })
}

// integerType returns the descriptor to write a.I64 with and its size in bytes,
// having checked that all values fit.
func integerType(a *Array) (descr string, size int, err error) {
	code := elementCode(a.Dtype)
	if code == "" {
		code = "i8"
	}
	for _, t := range integerTypes {
		if t.code != code {
			continue
		}
		for i, v := range a.I64 {
			if v < t.lo || v > t.hi {
				return "", 0, fmt.Errorf("npy: element %d: %d does not fit type %q (%d to %d)", i, v, a.Dtype, t.lo, t.hi)
			}
		}
		if t.size == 1 { // NumPy's mark for "byte order does not apply"
			return "|" + code, t.size, nil
		}
		return "<" + code, t.size, nil
	}
	return "", 0, fmt.Errorf("npy: type %q for integers, want bool or an integer of 8 to 64 bits", a.Dtype)
}

// writeNPY writes the header and the low size bytes of each of n values.
func writeNPY(w io.Writer, descr string, size int, shape []int, n int, bits func(i int) uint64) error {
	dims := make([]string, len(shape))
	for i, d := range shape {
		dims[i] = strconv.Itoa(d)
	}
	tuple := strings.Join(dims, ", ")
	if len(dims) == 1 {
		tuple += "," // Python: (3) is a number, (3,) a tuple
	}
	dict := fmt.Sprintf("{'descr': '%s', 'fortran_order': False, 'shape': (%s), }", descr, tuple)
	// The format wants the data aligned to 64 bytes and the header to end in a
	// newline; 10 is the preamble: magic, version, length.
	dict += strings.Repeat(" ", 63-(10+len(dict))%64) + "\n"
	if len(dict) > math.MaxUint16 {
		return fmt.Errorf("npy: shape of %d dimensions is too long for a header", len(shape))
	}
	bw := bufio.NewWriter(w)
	bw.WriteString("\x93NUMPY\x01\x00")
	bw.Write(binary.LittleEndian.AppendUint16(nil, uint16(len(dict))))
	bw.WriteString(dict)
	var word [8]byte
	for i := range n {
		binary.LittleEndian.PutUint64(word[:], bits(i))
		bw.Write(word[:size])
	}
	if err := bw.Flush(); err != nil { // bufio keeps the first error
		return fmt.Errorf("npy: write: %w", err)
	}
	return nil
}

package data

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
)

// npyFile is a .npy file of format version 1.
func npyFile(descr, order, shape string, data ...any) string {
	dict := fmt.Sprintf("{'descr': '%s', 'fortran_order': %s, 'shape': %s, }\n", descr, order, shape)
	b := append([]byte("\x93NUMPY\x01\x00"), byte(len(dict)), 0)
	b = append(b, dict...)
	var enc binary.AppendByteOrder = binary.LittleEndian
	if descr[0] == '>' {
		enc = binary.BigEndian
	}
	for _, v := range data {
		switch v := v.(type) {
		case string:
			b = append(b, v...)
		case []float32:
			for _, x := range v {
				b = enc.AppendUint32(b, math.Float32bits(x))
			}
		case []float64:
			for _, x := range v {
				b = enc.AppendUint64(b, math.Float64bits(x))
			}
		case []int16:
			for _, x := range v {
				b = enc.AppendUint16(b, uint16(x))
			}
		case []int32:
			for _, x := range v {
				b = enc.AppendUint32(b, uint32(x))
			}
		case []int64:
			for _, x := range v {
				b = enc.AppendUint64(b, uint64(x))
			}
		default:
			panic(fmt.Sprintf("%T", v))
		}
	}
	return string(b)
}

func TestReadNPY(t *testing.T) {
	inf := float32(math.Inf(1))
	v2 := npyFile("<f4", "False", "(1,)", []float32{1})
	v2 = "\x93NUMPY\x02\x00" + v2[8:10] + "\x00\x00" + v2[10:]
	for _, tc := range []struct {
		name string
		file string
		want Array
	}{
		{"f4", npyFile("<f4", "False", "(2, 2)", []float32{1, -2, 3.5, inf}), Array{Shape: []int{2, 2}, F32: []float32{1, -2, 3.5, inf}}},
		{">f4", npyFile(">f4", "False", "(2,)", []float32{1, -2}), Array{Shape: []int{2}, F32: []float32{1, -2}}},
		{"f8", npyFile("<f8", "False", "(2,)", []float64{0.1, 1e300 / 1e290}), Array{Shape: []int{2}, F32: []float32{0.1, 1e10}}},
		{"u1", npyFile("|u1", "False", "(3,)", "\x00\x7f\xff"), Array{Shape: []int{3}, I64: []int64{0, 127, 255}}},
		{"i1", npyFile("|i1", "False", "(3,)", "\x00\x7f\xff"), Array{Shape: []int{3}, I64: []int64{0, 127, -1}}},
		{"b1", npyFile("|b1", "False", "(3,)", "\x00\x01\x02"), Array{Shape: []int{3}, I64: []int64{0, 1, 1}}},
		{"i2", npyFile("<i2", "False", "(2,)", []int16{-32768, 5}), Array{Shape: []int{2}, I64: []int64{-32768, 5}}},
		{">i2", npyFile(">i2", "False", "(2,)", []int16{-32768, 5}), Array{Shape: []int{2}, I64: []int64{-32768, 5}}},
		{"u2", npyFile("<u2", "False", "(1,)", []int16{-1}), Array{Shape: []int{1}, I64: []int64{65535}}},
		{"i4", npyFile("<i4", "False", "(1,)", []int32{-7}), Array{Shape: []int{1}, I64: []int64{-7}}},
		{"u4", npyFile("<u4", "False", "(1,)", []int32{-1}), Array{Shape: []int{1}, I64: []int64{1<<32 - 1}}},
		{"i8", npyFile("<i8", "False", "(1,)", []int64{math.MinInt64}), Array{Shape: []int{1}, I64: []int64{math.MinInt64}}},
		{"u8", npyFile("<u8", "False", "(1,)", []int64{math.MaxInt64}), Array{Shape: []int{1}, I64: []int64{math.MaxInt64}}},
		{"scalar", npyFile("<i8", "False", "()", []int64{4}), Array{Shape: []int{}, I64: []int64{4}}},
		{"no elements", npyFile("<f4", "False", "(0, 3)"), Array{Shape: []int{0, 3}, F32: []float32{}}},
		{"no bytes", npyFile("|u1", "True", "(3, 0)"), Array{Shape: []int{3, 0}, I64: []int64{}}},
		{"fortran", npyFile("<f4", "True", "(2, 3)", []float32{0, 3, 1, 4, 2, 5}), Array{Shape: []int{2, 3}, F32: []float32{0, 1, 2, 3, 4, 5}}},
		{"fortran, 3-d", npyFile("|u1", "True", "(2, 2, 2)", "\x00\x04\x02\x06\x01\x05\x03\x07"), Array{Shape: []int{2, 2, 2}, I64: []int64{0, 1, 2, 3, 4, 5, 6, 7}}},
		{"fortran, 1-d", npyFile("<i2", "True", "(2,)", []int16{1, 2}), Array{Shape: []int{2}, I64: []int64{1, 2}}},
		{"version 2", v2, Array{Shape: []int{1}, F32: []float32{1}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tc.want.Dtype = dtypeOf(tc.file)
			// Byte by byte, as decompressors may; and with more behind the array.
			r := strings.NewReader(tc.file + "next")
			got, err := ReadNPY(iotest.OneByteReader(r))
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(*got, tc.want) {
				t.Errorf("got %+v\nwant %+v", *got, tc.want)
			}
			if rest, _ := io.ReadAll(r); string(rest) != "next" {
				t.Errorf("left %q of the stream, want what follows the array", rest)
			}
		})
	}
}

func dtypeOf(file string) string {
	return strings.Split(file, "'")[3]
}

func TestReadNPYErrors(t *testing.T) {
	good := npyFile("<f4", "False", "(2, 2)", []float32{1, 2, 3, 4})
	for _, tc := range []struct{ name, file, want string }{
		{"empty", "", `npy: not a NumPy array: it does not begin with "\x93NUMPY"`},
		{"other", "PK\x03\x04 and more", `npy: not a NumPy array: it does not begin with "\x93NUMPY"`},
		{"version", flip(good, 6), "npy: format version 254, want 1 or 2"},
		{"no length", good[:9], "npy: header is truncated at offset 8: unexpected EOF"},
		{"short header", good[:40], "npy: header is truncated: want 60 bytes at offset 10, there are 30: unexpected EOF"},
		{"long header", "\x93NUMPY\x02\x00\xff\xff\xff\xff", "npy: header of 4294967295 bytes, want at most 65536"},
		{"no newline", "\x93NUMPY\x01\x00\x02\x00{}", "npy: damaged header: want {'descr': ..., 'fortran_order': ..., 'shape': ..., }"},
		{"no keys", "\x93NUMPY\x01\x00\x03\x00{}\n", "npy: damaged header: invalid dictionary format"},
		{"order", npyFile("<f4", "Maybe", "(1,)"), "npy: damaged header: invalid 'fortran_order' value (Maybe)"},
		{"shape", npyFile("<f4", "False", "(x,)"), `npy: damaged header: strconv.Atoi: parsing "x": invalid syntax`},
		{"no shape", npyFile("<f4", "False", ""), "npy: damaged header: want {'descr': ..., 'fortran_order': ..., 'shape': ..., }"},
		{"negative", npyFile("<f4", "False", "(-1, 4)"), "npy: header: shape [-1 4] has a negative dimension"},
		{"half", npyFile("<f2", "False", "(1,)", "ab"), `npy: element type "<f2", want float32, float64, bool or an integer of 8 to 64 bits`},
		{"text", npyFile("<U3", "False", "(1,)", "ab"), `npy: element type "<U3", want float32, float64, bool or an integer of 8 to 64 bits`},
		{"truncated", good[:len(good)-5], `npy: data is truncated: shape [2 2] of "<f4" needs 16 bytes at offset 70, there are 11: unexpected EOF`},
		{"claims 32 GB", npyFile("|u1", "False", "(34359738368,)", "abc"), `npy: data is truncated: shape [34359738368] of "|u1" needs 34359738368 bytes at offset 78, there are 3: unexpected EOF`},
		{"claims too much", npyFile("<f4", "False", "(4294967296, 4294967296, 4294967296)"), "npy: header: shape [4294967296 4294967296 4294967296] is more than 68719476735 bytes"},
		{"behind a zero", npyFile("<f4", "False", "(0, 4294967296, 4294967296)"), "npy: header: shape [0 4294967296 4294967296] is more than 68719476735 bytes"},
		{"f8 beyond f4", npyFile("<f8", "False", "(2,)", []float64{0, -1e300}), "npy: element 1: -1e+300 does not fit float32"},
		{"u8 beyond i8", npyFile("<u8", "False", "(1,)", []int64{-1}), "npy: element 0: 18446744073709551615 does not fit int64"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a, err := ReadNPY(strings.NewReader(tc.file))
			if err == nil || err.Error() != tc.want {
				t.Errorf("got %v, error\n %v\nwant\n %s", a, err, tc.want)
			}
		})
	}
	broken := errors.New("disk on fire")
	r := io.MultiReader(strings.NewReader(good[:80]), iotest.ErrReader(broken))
	if _, err := ReadNPY(r); !errors.Is(err, broken) {
		t.Errorf("error %v does not wrap the reader's", err)
	}
}

func TestNPYRoundTrip(t *testing.T) {
	nan := float32(math.NaN())
	for _, tc := range []struct {
		a     Array
		dtype string // as read back
	}{
		{Array{Shape: []int{2, 3}, F32: []float32{1, -0.5, 1e-45, math.MaxFloat32, 0, 7}}, "<f4"},
		{Array{Shape: []int{1, 1, 1, 1, 2}, F32: []float32{1, 2}, Dtype: "<f8"}, "<f4"},
		{Array{Shape: []int{}, F32: []float32{3}, Dtype: ">f4"}, "<f4"},
		{Array{Shape: []int{0, 5}, F32: []float32{}}, "<f4"},
		{Array{Shape: []int{2}, I64: []int64{math.MinInt64, math.MaxInt64}}, "<i8"},
		{Array{Shape: []int{2}, I64: []int64{0, 255}, Dtype: "|u1"}, "|u1"},
		{Array{Shape: []int{2}, I64: []int64{-128, 127}, Dtype: "|i1"}, "|i1"},
		{Array{Shape: []int{2}, I64: []int64{0, 1}, Dtype: "|b1"}, "|b1"},
		{Array{Shape: []int{2}, I64: []int64{-32768, 32767}, Dtype: "<i2"}, "<i2"},
		{Array{Shape: []int{2}, I64: []int64{0, 65535}, Dtype: ">u2"}, "<u2"},
		{Array{Shape: []int{2}, I64: []int64{math.MinInt32, math.MaxInt32}, Dtype: "<i4"}, "<i4"},
		{Array{Shape: []int{2}, I64: []int64{0, math.MaxUint32}, Dtype: "<u4"}, "<u4"},
		{Array{Shape: []int{1}, I64: []int64{math.MaxInt64}, Dtype: "<u8"}, "<u8"},
		{Array{Shape: []int{}, I64: []int64{-9}, Dtype: "<i8"}, "<i8"},
	} {
		t.Run(tc.dtype, func(t *testing.T) {
			var b bytes.Buffer
			if err := WriteNPY(&b, &tc.a); err != nil {
				t.Fatal(err)
			}
			head := 10 + int(binary.LittleEndian.Uint16(b.Bytes()[8:]))
			if head%64 != 0 || b.Bytes()[head-1] != '\n' {
				t.Errorf("data begins at %d after %q, want a multiple of 64 after a newline", head, b.Bytes()[head-1])
			}
			got, err := ReadNPY(&b)
			if err != nil {
				t.Fatal(err)
			}
			want := tc.a
			want.Dtype = tc.dtype
			if !reflect.DeepEqual(*got, want) || b.Len() != 0 {
				t.Errorf("got %+v and %d bytes, want %+v", *got, b.Len(), want)
			}
		})
	}
	var b bytes.Buffer
	if err := WriteNPY(&b, &Array{Shape: []int{1}, F32: []float32{nan}}); err != nil {
		t.Fatal(err)
	}
	if a, err := ReadNPY(&b); err != nil || a.F32[0] == a.F32[0] {
		t.Errorf("NaN came back as %v, %v", a, err)
	}
}

func TestWriteNPYErrors(t *testing.T) {
	for _, tc := range []struct {
		a    Array
		want string
	}{
		{Array{Shape: []int{0}}, "npy: want exactly one of F32 and I64"},
		{Array{Shape: []int{1}, F32: []float32{1}, I64: []int64{1}}, "npy: want exactly one of F32 and I64"},
		{Array{Shape: []int{2, 2}, F32: []float32{1}}, "npy: shape [2 2] has 4 elements, got 1"},
		{Array{Shape: []int{-1}, F32: []float32{1}}, "npy: shape [-1] has a negative dimension"},
		{Array{Shape: []int{1}, F32: []float32{1}, Dtype: "|u1"}, `npy: type "|u1" for floats, want <f4`},
		{Array{Shape: []int{1}, I64: []int64{1}, Dtype: "<f4"}, `npy: type "<f4" for integers, want bool or an integer of 8 to 64 bits`},
		{Array{Shape: []int{3}, I64: []int64{0, 255, 256}, Dtype: "|u1"}, `npy: element 2: 256 does not fit type "|u1" (0 to 255)`},
		{Array{Shape: []int{1}, I64: []int64{-1}, Dtype: "<u8"}, `npy: element 0: -1 does not fit type "<u8" (0 to 9223372036854775807)`},
	} {
		var b bytes.Buffer
		if err := WriteNPY(&b, &tc.a); err == nil || err.Error() != tc.want {
			t.Errorf("%+v: error %v, want %s", tc.a, err, tc.want)
		}
		if b.Len() != 0 {
			t.Errorf("%+v: wrote %d bytes before the error", tc.a, b.Len())
		}
	}
	full := errors.New("disk full")
	if err := WriteNPY(failWriter{full}, &Array{Shape: []int{1}, F32: []float32{1}}); !errors.Is(err, full) {
		t.Errorf("error %v, want the writer's", err)
	}
}

type failWriter struct{ err error }

func (w failWriter) Write([]byte) (int, error) { return 0, w.err }

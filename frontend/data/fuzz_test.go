package data

import (
	"bytes"
	"errors"
	"image/color"
	"reflect"
	"strings"
	"testing"
)

// checkDataset checks the invariants of Dataset.
func checkDataset(t *testing.T, d *Dataset) {
	t.Helper()
	n := d.Len()
	if n <= 0 || (d.U8 == nil) == (d.F32 == nil) || len(d.U8)+len(d.F32) != n*d.sampleSize() {
		t.Fatalf("%d samples of shape %v, %d bytes, %d floats", n, d.Shape, len(d.U8), len(d.F32))
	}
	if d.Labels != nil && len(d.Labels) != n {
		t.Fatalf("%d samples, %d labels", n, len(d.Labels))
	}
	if s := d.Spread(2); s.Len() != min(n, 2) {
		t.Fatalf("Spread(2) of %d samples: %d", n, s.Len())
	}
	d.Sample(n-1, make([]float32, d.sampleSize()))
}

func FuzzCIFAR(f *testing.F) {
	f.Add([]byte(batch(1, 9)))
	f.Add([]byte(batch(10)))
	f.Add([]byte(batch(1)[:3000]))
	f.Fuzz(func(t *testing.T, raw []byte) {
		d := &Dataset{Shape: []int{3, 32, 32}}
		if _, err := countRecords(int64(len(raw))); err == nil && appendRecords(d, raw, 0) == nil {
			checkDataset(t, d)
		}
	})
}

func FuzzIDX(f *testing.F) {
	f.Add([]byte(idx(idxImages, []uint32{2, 1, 2}, "abcd")))
	f.Add([]byte(idx(idxImages, []uint32{2, 1, 2}, "abc")))
	f.Add([]byte(idx(idxImages, []uint32{1 << 31, 1 << 31, 1 << 31}, "abc")))
	f.Add([]byte(idx(idxLabels, []uint32{2}, "ab")))
	f.Fuzz(func(t *testing.T, raw []byte) {
		for _, magic := range []uint32{idxImages, idxLabels} {
			dims, values, err := readIDX(bytes.NewReader(raw), magic)
			if err != nil {
				continue
			}
			if n, err := elements(dims, 1); err != nil || n == 0 || n != len(values) || len(dims) != int(magic&0xff) {
				t.Fatalf("dims %v, %d values", dims, len(values))
			}
		}
	})
}

func FuzzNPY(f *testing.F) {
	for _, s := range []string{
		npyFile("<f4", "False", "(2, 1)", []float32{1, 2}),
		npyFile(">f8", "True", "(2, 2)", []float64{1, 2, 3, 4}),
		npyFile("|u1", "True", "(1, 2, 2)", "abcd"),
		npyFile("|b1", "False", "(2,)", "\x00\x01"),
		npyFile("<i8", "False", "()", []int64{5}),
		npyFile("<i2", "False", "(99999999999,)", []int16{5}),
		npyFile("<f4", "False", "(2, 1", []float32{1, 2}),
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		a, err := ReadNPY(bytes.NewReader(raw))
		if err != nil {
			return
		}
		// What could be read can be written, and reads back the same but for NaN.
		var b bytes.Buffer
		if err := WriteNPY(&b, a); err != nil {
			t.Fatalf("%+v: %v", a, err)
		}
		again, err := ReadNPY(&b)
		if err != nil {
			t.Fatalf("%+v: %v", a, err)
		}
		if !reflect.DeepEqual(a.Shape, again.Shape) || !reflect.DeepEqual(a.I64, again.I64) || len(a.F32) != len(again.F32) {
			t.Fatalf("%+v came back as %+v", a, again)
		}
	})
}

func FuzzNPZ(f *testing.F) {
	x, y := npyFile("<f4", "False", "(2, 1)", []float32{1, 2}), npyFile("|u1", "False", "(2,)", "\x00\x01")
	f.Add([]byte(npzFile("x", x, "y", y)))
	f.Add([]byte(zipFile(0, "x_test", x, "y_test", y)))
	f.Add([]byte(npzFile("x", y, "y", x)))
	f.Add([]byte(npzFile("x", y)[:60]))
	f.Fuzz(func(t *testing.T, raw []byte) {
		d, err := readNPZ("f.npz", bytes.NewReader(raw), int64(len(raw)))
		if err == nil {
			checkDataset(t, d)
		} else if !strings.HasPrefix(err.Error(), "f.npz: ") {
			t.Fatalf("error without the file: %v", err)
		}
	})
}

func FuzzImage(f *testing.F) {
	f.Add([]byte(pngOf(2, 3, color.NRGBA{1, 2, 3, 0})))
	f.Add([]byte(hugePNG(60000, 60000)))
	f.Add([]byte("\xff\xd8\xff"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		for _, o := range []Options{{}, {Gray: true}, {Size: [2]int{2, 3}}} {
			m, err := decodeImage(raw, o)
			if err != nil {
				if errors.Unwrap(err) == nil && err.Error() == "" {
					t.Fatal("an empty error")
				}
				continue
			}
			s := m.Bounds().Size()
			if got, want := len(appendPlanes(nil, m)), channels(o)*s.X*s.Y; got != want {
				t.Fatalf("%v: %d values, want %d", s, got, want)
			}
		}
	})
}

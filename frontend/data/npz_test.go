package data

import (
	"archive/zip"
	"bytes"
	"io"
	"math"
	"testing"
)

// npzFile is a zip with the given names and contents in turn, deflated like
// numpy.savez_compressed does.
func npzFile(namesAndFiles ...string) string {
	return zipFile(zip.Deflate, namesAndFiles...)
}

func zipFile(method uint16, namesAndFiles ...string) string {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for i := 0; i < len(namesAndFiles); i += 2 {
		w, err := z.CreateHeader(&zip.FileHeader{Name: namesAndFiles[i] + ".npy", Method: method})
		if err == nil {
			_, err = w.Write([]byte(namesAndFiles[i+1]))
		}
		if err != nil {
			panic(err)
		}
	}
	z.Close()
	return b.String()
}

func TestOpenNPY(t *testing.T) {
	x := npyFile("<f4", "False", "(3, 2)", []float32{1, 2, 3, 4, 5, 6})
	y := npyFile("<i8", "False", "(3,)", []int64{2, 0, 1})
	bytes3 := npyFile("|u1", "False", "(3, 1, 1, 2)", "\x01\x02\xff\x04\x05\x06")
	nan, inf := float32(math.NaN()), math.Inf(-1)
	file := func(name, content string) map[string]string { return map[string]string{name: content} }
	npz := func(namesAndFiles ...string) map[string]string { return file("d.npz", npzFile(namesAndFiles...)) }
	first, labels := []float32{1, 3, 5}, []int{2, 0, 1}

	runOpen(t, []openCase{
		{name: "npy", files: file("x.npy", x), path: "x.npy", shape: []int{2}, first: first},
		{name: "npy by content", files: file("x.dat", x), path: "x.dat", shape: []int{2}, first: first},
		{name: "bytes", files: file("x.npy", bytes3), path: "x.npy", shape: []int{1, 1, 2}, first: []float32{1, 255, 5}},
		{name: "one number a sample", files: file("x.npy", y), path: "x.npy", shape: []int{}, first: []float32{2, 0, 1}},
		{name: "fortran", files: file("x.npy", npyFile("<f8", "True", "(3, 2)", []float64{1, 3, 5, 2, 4, 6})), path: "x.npy", shape: []int{2}, first: first},
		{name: "int16", files: file("x.npy", npyFile("<i2", "False", "(2, 1)", []int16{-300, 7})), path: "x.npy", shape: []int{1}, first: []float32{-300, 7}},
		{name: "npz", files: npz("x", x, "y", y), path: "d.npz", shape: []int{2}, labels: labels, first: first},
		{name: "npz stored", files: file("d.npz", zipFile(zip.Store, "x", x, "y", y)), path: "d.npz", shape: []int{2}, labels: labels, first: first},
		{name: "npz by content", files: file("d.zip", npzFile("x", x)), path: "d.zip", shape: []int{2}, first: first},
		{name: "x_test", files: npz("y_test", y, "x_train", y, "x_test", x), path: "d.npz", shape: []int{2}, labels: labels, first: first},
		{name: "x before x_test", files: npz("x_test", y, "y_test", x, "y", y, "x", x), path: "d.npz", shape: []int{2}, labels: labels, first: first},
		{name: "no y", files: npz("x", x), path: "d.npz", shape: []int{2}, first: first},
		{name: "y of Keras", files: npz("x", x, "y", npyFile("|u1", "False", "(3, 1)", "\x02\x00\x01")), path: "d.npz", shape: []int{2}, labels: labels, first: first},

		{name: "damaged", files: file("x.npy", "hello"), path: "x.npy", err: `DIR/x.npy: npy: not a NumPy array: it does not begin with "\x93NUMPY"`},
		{name: "truncated", files: file("x.npy", x[:len(x)-1]), path: "x.npy", err: `DIR/x.npy: npy: data is truncated: shape [3 2] of "<f4" needs 24 bytes at offset 70, there are 23: unexpected EOF`},
		{name: "more behind", files: file("x.npy", x+x), path: "x.npy", err: "DIR/x.npy: more bytes follow the data than its header says"},
		{name: "NaN", files: file("x.npy", npyFile("<f4", "False", "(2, 2)", []float32{1, 2, 3, nan})), path: "x.npy", err: "DIR/x.npy: sample 1, value 1 (element 3): NaN, want finite numbers"},
		{name: "Inf", files: file("x.npy", npyFile("<f8", "False", "(1, 2)", []float64{1, inf})), path: "x.npy", err: "DIR/x.npy: sample 0, value 1 (element 1): -Inf, want finite numbers"},
		{name: "scalar", files: file("x.npy", npyFile("<f4", "False", "()", []float32{1})), path: "x.npy", err: "DIR/x.npy: a scalar, want an array whose first axis counts the samples"},
		{name: "no samples", files: file("x.npy", npyFile("<f4", "False", "(0, 2)")), path: "x.npy", err: "DIR/x.npy: shape [0 2]: no samples"},
		{name: "no values", files: file("x.npy", npyFile("<f4", "False", "(2, 0)")), path: "x.npy", err: "DIR/x.npy: shape [2 0]: samples without values"},
		{name: "no x", files: npz("images", x, "labels", y), path: "d.npz", err: `DIR/d.npz: no array "x" or "x_test"; it has images, labels`},
		{name: "no arrays", files: npz(), path: "d.npz", err: `DIR/d.npz: no array "x" or "x_test"; it has no arrays`},
		{name: "not zip", files: file("d.npz", x), path: "d.npz", err: "DIR/d.npz: not a .npz file: zip: not a valid zip file"},
		{name: "count", files: npz("x", x, "y", npyFile("<i8", "False", "(2,)", []int64{2, 0})), path: "d.npz", err: `DIR/d.npz: array "y" has 2 labels, but "x" has 3 samples`},
		{name: "y float", files: npz("x", x, "y", npyFile("<f4", "False", "(3,)", []float32{2, 0, 1})), path: "d.npz", err: `DIR/d.npz: array "y": labels of type "<f4", want an integer type`},
		{name: "y one-hot", files: npz("x", x, "y", npyFile("|u1", "False", "(3, 2)", "\x00\x01\x00\x01\x00\x01")), path: "d.npz", err: `DIR/d.npz: array "y": labels of shape [3 2], want one class number per sample: [N] or [N,1]`},
		{name: "y negative", files: npz("x", x, "y", npyFile("<i8", "False", "(3,)", []int64{2, -1, 0})), path: "d.npz", err: `DIR/d.npz: array "y": label 1 is -1, want a class number from 0`},
		{name: "y damaged", files: npz("x", x, "y", "hello"), path: "d.npz", err: `DIR/d.npz: array "y": npy: not a NumPy array: it does not begin with "\x93NUMPY"`},
		{name: "x with NaN", files: npz("x", npyFile("<f4", "False", "(1,)", []float32{nan})), path: "d.npz", err: `DIR/d.npz: array "x": sample 0, value 0 (element 0): NaN, want finite numbers`},
		{name: "x truncated", files: npz("x", x[:80]), path: "d.npz", err: `DIR/d.npz: array "x": npy: data is truncated: shape [3 2] of "<f4" needs 24 bytes at offset 70, there are 10: unexpected EOF`},
		{name: "more behind x", files: npz("x", x+"!"), path: "d.npz", err: `DIR/d.npz: array "x": more bytes follow the data than its header says`},
		{name: "checksum", files: file("d.npz", flip(zipFile(zip.Store, "x", x), 35+len(x)-1)), path: "d.npz", err: `DIR/d.npz: array "x": zip: checksum error`},
		{name: "method", files: file("d.npz", badMethod(x)), path: "d.npz", err: `DIR/d.npz: array "x": zip: unsupported compression algorithm`},
	})
}

func TestReadGrow(t *testing.T) {
	big := bytes.Repeat([]byte("0123456789"), firstRead/3) // some doublings, and none exact
	for _, want := range []int{0, 1, firstRead, firstRead + 1, len(big)} {
		got, err := readGrow(bytes.NewReader(big), want)
		if err != nil || !bytes.Equal(got, big[:want]) || cap(got) != want {
			t.Errorf("readGrow(%d): %d bytes of capacity %d, %v", want, len(got), cap(got), err)
		}
	}
	for _, have := range []int{0, 1, firstRead, firstRead + 1} {
		got, err := readGrow(bytes.NewReader(big[:have]), maxBytes)
		if err != io.ErrUnexpectedEOF || !bytes.Equal(got, big[:have]) || cap(got) > 2*max(have, firstRead) {
			t.Errorf("readGrow of %d bytes: %d bytes of capacity %d, %v", have, len(got), cap(got), err)
		}
	}
}

// badMethod is a .npz with a compression that does not exist.
func badMethod(x string) string {
	s := zipFile(zip.Store, "x", x)
	at := bytes.Index([]byte(s), []byte("PK\x01\x02")) // central directory: method at +10
	return flip(s, at+10)
}

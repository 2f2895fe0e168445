package data

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// write makes files under a new folder, which it returns; a name ending in a
// slash is a folder.
func write(t testing.TB, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		parent := filepath.Dir(path)
		if strings.HasSuffix(name, "/") {
			parent = path
		}
		if err := os.MkdirAll(parent, 0o777); err != nil {
			t.Fatal(err)
		}
		if parent == path {
			continue
		}
		if err := os.WriteFile(path, []byte(content), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// batch is a CIFAR-10 batch; record i has label labels[i] and the pixels i, i+1, ...
func batch(labels ...int) string {
	var b []byte
	for i, l := range labels {
		b = append(b, byte(l))
		for p := range recordPixels {
			b = append(b, byte(i+p))
		}
	}
	return string(b)
}

// idx is an IDX file.
func idx(magic uint32, dims []uint32, values string) string {
	b := binary.BigEndian.AppendUint32(nil, magic)
	for _, d := range dims {
		b = binary.BigEndian.AppendUint32(b, d)
	}
	return string(b) + values
}

func gz(s string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	w.Write([]byte(s))
	w.Close()
	return b.String()
}

// openCase opens dir/path. Want is one of: an error, which is wantErr with DIR
// standing for the folder and a backslash-free path; or shape, labels and first
// values of each sample.
type openCase struct {
	name   string
	files  map[string]string
	path   string
	opts   Options
	err    string
	shape  []int
	labels []int
	first  []float32
}

func (tc openCase) run(t *testing.T) {
	dir := write(t, tc.files)
	path := dir + "/" + tc.path
	d, err := Open(path, tc.opts)
	if tc.err != "" {
		if err == nil {
			t.Fatalf("no error, want %q", tc.err)
		}
		got := strings.ReplaceAll(filepath.ToSlash(err.Error()), filepath.ToSlash(dir), "DIR")
		if got = strings.ReplaceAll(got, "DIR//", "DIR/"); got != tc.err {
			t.Errorf("error\n %s\nwant\n %s", got, tc.err)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	if d.Name != path || !slices.Equal(d.Shape, tc.shape) || !slices.Equal(d.Labels, tc.labels) {
		t.Errorf("name %q, shape %v, labels %v\nwant %q, %v, %v", d.Name, d.Shape, d.Labels, path, tc.shape, tc.labels)
	}
	if (d.Labels == nil) != (tc.labels == nil) || (d.U8 == nil) == (d.F32 == nil) {
		t.Errorf("labels %v, U8 %v, F32 %v: one of U8 and F32 is to be set", d.Labels, d.U8 != nil, d.F32 != nil)
	}
	var first []float32
	v := make([]float32, d.sampleSize())
	for i := range d.Len() {
		d.Sample(i, v)
		first = append(first, v[0])
	}
	if !slices.Equal(first, tc.first) {
		t.Errorf("first values %v, want %v", first, tc.first)
	}
}

func runOpen(t *testing.T, cases []openCase) {
	for _, tc := range cases {
		t.Run(tc.name, tc.run)
	}
}

func TestOpenCIFAR(t *testing.T) {
	shape := []int{3, 32, 32}
	both := map[string]string{
		"test_batch.bin":    batch(7, 8),
		"data_batch_1.bin":  batch(1),
		"data_batch_2.bin":  batch(2, 3),
		"data_batch_10.bin": batch(9),
		"data_batch_x.bin":  "not a batch by its name",
		"readme.html":       "text",
	}
	runOpen(t, []openCase{
		{name: "folder is test", files: both, shape: shape, labels: []int{7, 8}, first: []float32{0, 1}},
		{name: "folder:test", files: in("c", both), path: "c:test", shape: shape, labels: []int{7, 8}, first: []float32{0, 1}},
		{name: "folder:train, numeric order", files: in("c", both), path: "c:train", shape: shape, labels: []int{1, 2, 3, 9}, first: []float32{0, 0, 1, 0}},
		{name: "batch file", files: both, path: "data_batch_2.bin", shape: shape, labels: []int{2, 3}, first: []float32{0, 1}},
		{name: "batch without extension", files: map[string]string{"test_batch": batch(4)}, path: "test_batch", shape: shape, labels: []int{4}, first: []float32{0}},
		{name: "other .bin of whole records", files: map[string]string{"few.bin": batch(4, 5)}, path: "few.bin", shape: shape, labels: []int{4, 5}, first: []float32{0, 1}},
		{name: "colon in a name", files: in("a:b", both), path: "a:b:test", shape: shape, labels: []int{7, 8}, first: []float32{0, 1}},
		{name: "colon in a name, whole", files: in("a:train", both), path: "a:train", shape: shape, labels: []int{7, 8}, first: []float32{0, 1}},

		{name: "unknown split", files: in("c", both), path: "c:valid", err: `DIR/c: unknown split "valid", want test or train`},
		{name: "split of a file", files: both, path: "test_batch.bin:test", err: `DIR/test_batch.bin: a file has no split "test", only a folder of CIFAR-10 batches has`},
		{name: "split of nothing", path: "c:test", err: "DIR/c: no such file or directory"},
		{name: "split of another folder", files: map[string]string{"c/x.txt": "x"}, path: "c:train", err: `DIR/c: split "train" is for a folder of CIFAR-10 batches, but it has no test_batch.bin or data_batch_*.bin`},
		{name: "only train", files: map[string]string{"c/data_batch_1.bin": batch(0)}, path: "c", err: "DIR/c: no test_batch.bin in the folder; for data_batch_*.bin say DIR/c:train"},
		{name: "only test", files: map[string]string{"c/test_batch.bin": batch(0)}, path: "c:train", err: "DIR/c: no data_batch_*.bin in the folder, which the train split is read from"},
		{name: "truncated", files: map[string]string{"test_batch.bin": batch(1, 2)[:6000]}, path: "test_batch.bin",
			err: "DIR/test_batch.bin: size 6000 is not a multiple of 3073 (a label byte and 3072 pixels): 1 whole records and 2927 bytes over; truncated, or not the binary version of CIFAR-10"},
		{name: "empty batch in a folder", files: map[string]string{"c/test_batch.bin": ""}, path: "c", err: "DIR/c/test_batch.bin: the file is empty, want CIFAR-10 records of 3073 bytes"},
		{name: "label", files: map[string]string{"test_batch.bin": batch(1, 9, 10)}, path: "test_batch.bin", err: "DIR/test_batch.bin: record 2 (offset 6146): label 10, want 0 to 9"},
		{name: "label behind others", files: map[string]string{"test_batch.bin": batch(append(make([]int, 70), 200)...)}, path: "test_batch.bin", err: "DIR/test_batch.bin: record 70 (offset 215110): label 200, want 0 to 9"},
		{name: "label in the second file", files: map[string]string{"c/data_batch_1.bin": batch(1), "c/data_batch_2.bin": batch(200)}, path: "c:train", err: "DIR/c/data_batch_2.bin: record 0 (offset 0): label 200, want 0 to 9"},
	})
}

// in puts files into a folder.
func in(dir string, files map[string]string) map[string]string {
	moved := map[string]string{}
	for name, content := range files {
		moved[dir+"/"+name] = content
	}
	return moved
}

func TestOpenIDX(t *testing.T) {
	images := idx(idxImages, []uint32{2, 2, 3}, "\x01\x02\x03\x04\x05\x06\xff\x02\x03\x04\x05\x06")
	labels := idx(idxLabels, []uint32{2}, "\x07\x09")
	shape, first := []int{1, 2, 3}, []float32{1, 255}
	both := map[string]string{"t10k-images-idx3-ubyte": images, "t10k-labels-idx1-ubyte": labels}
	one := func(name, content string) map[string]string { return map[string]string{name: content} }
	with := func(labels string) map[string]string {
		return map[string]string{"images.idx3": images, "labels.idx1": labels}
	}
	runOpen(t, []openCase{
		{name: "labels beside it", files: both, path: "t10k-images-idx3-ubyte", shape: shape, labels: []int{7, 9}, first: first},
		{name: "only the name changes", files: in("images", both), path: "images/t10k-images-idx3-ubyte", shape: shape, labels: []int{7, 9}, first: first},
		{name: "no labels", files: one("images", images), path: "images", shape: shape, first: first},
		{name: "unknown name", files: map[string]string{"x": images, "labels": labels}, path: "x", shape: shape, first: first},
		{name: "gzip", files: map[string]string{"images.gz": gz(images), "labels.gz": gz(labels)}, path: "images.gz", shape: shape, labels: []int{7, 9}, first: first},
		{name: "gzip without .gz", files: one("a-images", gz(images)), path: "a-images", shape: shape, first: first},
		{name: "gzip, plain labels", files: map[string]string{"images.gz": gz(images), "labels": labels}, path: "images.gz", shape: shape, labels: []int{7, 9}, first: first},
		{name: "plain, gzip labels", files: map[string]string{"images": images, "labels.gz": gz(labels)}, path: "images", shape: shape, labels: []int{7, 9}, first: first},
		{name: "images named .bin", files: one("images.bin", idx(idxImages, []uint32{1, 1, 3057}, strings.Repeat("\x05", 3057))), path: "images.bin", shape: []int{1, 1, 3057}, first: []float32{5}},

		{name: "labels given", files: both, path: "t10k-labels-idx1-ubyte", err: "DIR/t10k-labels-idx1-ubyte: IDX magic number 0x00000801, want 0x00000803 (images: bytes in 3 dimensions): this is a file of labels, give the file of images"},
		{name: "magic", files: one("x-idx3-ubyte", "abcdefgh"), path: "x-idx3-ubyte", err: "DIR/x-idx3-ubyte: IDX magic number 0x61626364, want 0x00000803 (images: bytes in 3 dimensions)"},
		{name: "floats", files: one("x", idx(0xd03, []uint32{1, 1, 1}, "1234")), path: "x", err: "DIR/x: not a kind of data that is known: want a CIFAR-10 batch (.bin), IDX images, .npz, .npy, or a folder"},
		{name: "four dimensions", files: one("x", idx(0x804, []uint32{1, 1, 1, 1}, "1")), path: "x", err: "DIR/x: IDX magic number 0x00000804, want 0x00000803 (images: bytes in 3 dimensions)"},
		{name: "magic of labels", files: with(images), path: "images.idx3", err: "DIR/labels.idx1: IDX magic number 0x00000803, want 0x00000801 (labels: bytes in 1 dimension): this is a file of images"},
		{name: "short magic", files: one("idx", "\x00\x00"), path: "idx", err: "DIR/idx: IDX magic number: want 4 bytes, got 2: unexpected EOF"},
		{name: "short header", files: one("x", images[:9]), path: "x", err: "DIR/x: IDX header is truncated at dimension 1 of 3 (offset 8): unexpected EOF"},
		{name: "truncated", files: one("x", images[:27]), path: "x", err: "DIR/x: IDX data is truncated: dimensions [2 2 3] need 12 bytes at offset 16, there are 11: unexpected EOF"},
		{name: "no data", files: one("x", images[:16]), path: "x", err: "DIR/x: IDX data is truncated: dimensions [2 2 3] need 12 bytes at offset 16, there are 0: unexpected EOF"},
		{name: "claims 32 GB", files: one("x", idx(idxImages, []uint32{1 << 15, 1 << 10, 1 << 10}, "abc")), path: "x", err: "DIR/x: IDX data is truncated: dimensions [32768 1024 1024] need 34359738368 bytes at offset 16, there are 3: unexpected EOF"},
		{name: "claims more than int64", files: one("x", idx(idxImages, []uint32{1<<32 - 1, 1<<32 - 1, 1<<32 - 1}, "abc")), path: "x", err: "DIR/x: IDX header: shape [4294967295 4294967295 4294967295] is more than 68719476735 bytes"},
		{name: "too long", files: one("x", images+"!"), path: "x", err: "DIR/x: IDX data, dimensions [2 2 3]: more bytes follow the data than its header says"},
		{name: "no images", files: one("x", idx(idxImages, []uint32{0, 28, 28}, "")), path: "x", err: "DIR/x: IDX dimension 0 is zero (offset 4), want images: bytes in 3 dimensions, at least one"},
		{name: "count", files: with(idx(idxLabels, []uint32{3}, "\x01\x02\x03")), path: "images.idx3", err: "DIR/labels.idx1: 3 labels, but DIR/images.idx3 has 2 images"},
		{name: "labels truncated", files: with(labels[:9]), path: "images.idx3", err: "DIR/labels.idx1: IDX data is truncated: dimensions [2] need 2 bytes at offset 8, there are 1: unexpected EOF"},
		{name: "gzip truncated", files: one("x.gz", gz(images)[:9]), path: "x.gz", err: "DIR/x.gz: gzip header: unexpected EOF"},
		{name: "gzip checksum", files: one("x.gz", flip(gz(images), -5)), path: "x.gz", err: "DIR/x.gz: IDX data, dimensions [2 2 3]: gzip: invalid checksum"},
		{name: "not gzip", files: one("x.gz", "hello world"), path: "x.gz", err: "DIR/x.gz: IDX magic number 0x68656c6c, want 0x00000803 (images: bytes in 3 dimensions)"},
	})
}

// flip inverts one byte, counted from the end if negative.
func flip(s string, at int) string {
	b := []byte(s)
	if at < 0 {
		at += len(b)
	}
	b[at] ^= 0xff
	return string(b)
}

func TestOpenNothing(t *testing.T) {
	neither := "looked for CIFAR-10 binary batches (test_batch.bin, data_batch_*.bin) and for class folders with PNG or JPEG images, found neither"
	runOpen(t, []openCase{
		{name: "missing", path: "none.npz", err: "DIR/none.npz: no such file or directory"},
		{name: "empty file", files: map[string]string{"x.npz": ""}, path: "x.npz", err: "DIR/x.npz: the file is empty"},
		{name: "empty folder", files: map[string]string{"c/": ""}, path: "c", err: "DIR/c: the folder is empty, want CIFAR-10 binary batches (test_batch.bin, data_batch_*.bin) or class folders with PNG or JPEG images"},
		{name: "neither", files: map[string]string{"c/a.txt": "", "c/d/b.txt": ""}, path: "c", err: "DIR/c: " + neither},
		{name: "flat images", files: map[string]string{"c/a.png": ""}, path: "c", err: "DIR/c: " + neither + " (a.png lies directly in it: images belong in a folder per class)"},
		{name: "pickles", files: map[string]string{"c/data_batch_1": "\x80\x02"}, path: "c", err: "DIR/c: " + neither + " (data_batch_1 is the Python version of CIFAR-10: the binary version is wanted)"},
		{name: "folder of IDX", files: map[string]string{"c/a-labels-idx1": "", "c/t10k-images-idx3-ubyte": ""}, path: "c", err: "DIR/c: " + neither + " (it has IDX images: give the file, DIR/c/t10k-images-idx3-ubyte)"},
		{name: "unknown file", files: map[string]string{"x.pb": "\x08\x01"}, path: "x.pb", err: "DIR/x.pb: not a kind of data that is known: want a CIFAR-10 batch (.bin), IDX images, .npz, .npy, or a folder"},
		{name: "size", opts: Options{Size: [2]int{32, 0}}, err: "image size 32x0: height and width must be from 1 to 16384"},
	})
	if _, err := Open(filepath.Join(t.TempDir(), "none"), Options{}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error %v does not wrap fs.ErrNotExist", err)
	}
}

package onnxpb

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

func sampleModel(t testing.TB) *ModelProto {
	w, err := Encode("w", &Data{Type: int32(TensorProto_FLOAT), Dims: []int{2, 2}, F32: []float32{1, 2, 3, 4}})
	if err != nil {
		t.Fatal(err)
	}
	return &ModelProto{
		IrVersion:   proto.Int64(int64(Version_IR_VERSION)),
		OpsetImport: []*OperatorSetIdProto{{Version: proto.Int64(21)}},
		Graph: &GraphProto{
			Name:        proto.String("g"),
			Node:        []*NodeProto{{OpType: proto.String("MatMul"), Input: []string{"x", "w"}, Output: []string{"y"}}},
			Initializer: []*TensorProto{w},
			Input:       []*ValueInfoProto{{Name: proto.String("x")}},
			Output:      []*ValueInfoProto{{Name: proto.String("y")}},
		},
		MetadataProps: []*StringStringEntryProto{{Key: proto.String("k"), Value: proto.String("v")}},
	}
}

func TestWriteRead(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "m.onnx")
	m := sampleModel(t)
	if err := os.WriteFile(path, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(dir, "link.onnx")
	if err := os.Symlink("m.onnx", link); err != nil {
		t.Fatal(err)
	}
	if err := WriteFile(link, m); err != nil {
		t.Fatal(err)
	}
	got, err := ReadFile(path)
	if err != nil || !proto.Equal(got, m) {
		t.Errorf("got %v, %v", got, err)
	}
	first, _ := os.ReadFile(path)
	if err := WriteFile(path, got); err != nil {
		t.Fatal(err)
	}
	if second, _ := os.ReadFile(path); !bytes.Equal(first, second) {
		t.Error("written again, the bytes are others")
	}
	if st, err := os.Stat(path); err != nil || st.Mode() != 0o600 {
		t.Errorf("mode %v, %v", st.Mode(), err)
	}
	if err := WriteFile(filepath.Join(dir, "new.onnx"), m); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 3 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}

func TestWriteErrors(t *testing.T) {
	dir := t.TempDir()
	wantErr(t, WriteFile(filepath.Join(dir, "m.onnx"), nil), "no model")
	wantErr(t, WriteFile(dir, sampleModel(t)), "not a regular file")
	if err := WriteFile(filepath.Join(dir, "none", "m.onnx"), sampleModel(t)); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 0 {
		t.Errorf("left behind: %v", entries)
	}
}

func TestReadErrors(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	read := func(b []byte) (error, error) {
		if err := os.WriteFile(path, b, 0o644); err != nil {
			t.Fatal(err)
		}
		_, merr := ReadFile(path)
		_, terr := ReadTensorFile(path)
		for _, err := range []error{merr, terr} {
			if err != nil && !strings.HasPrefix(err.Error(), path+": ") {
				t.Errorf("error does not begin with the path: %v", err)
			}
		}
		return merr, terr
	}
	for in, want := range map[string]string{
		"":                                    "the file is empty",
		"hello, world":                        "not an ONNX ",
		"<!DOCTYPE html>":                     "a web page in place of the file",
		"\x1f\x8b\x08\x00":                    "gzip-compressed data; want the file that is in it",
		"PK\x03\x04\x14\x00":                  "a ZIP archive, as PyTorch's .pt and .pth are; want a model exported to ONNX",
		"{\"a\": 1}":                          "JSON or other text",
		"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR": "not an ONNX ",
		"version https://git-lfs.github.com/spec/v1\n": "Git LFS pointer",
		strings.Repeat("\xff", 100):                    "not an ONNX ",
		":\xff\x01":                                    "not an ONNX ", // a first field that is cut off
	} {
		m, ten := read([]byte(in))
		wantErr(t, m, want)
		wantErr(t, ten, want)
	}
	_, err := ReadFile(filepath.Join(dir, "none"))
	if _, terr := ReadTensorFile(filepath.Join(dir, "none")); !errors.Is(err, fs.ErrNotExist) || !errors.Is(terr, fs.ErrNotExist) {
		t.Error(err, terr)
	}
	wantErr(t, err, filepath.Join(dir, "none"))
	_, err = ReadFile(dir)
	wantErr(t, err, "it is a folder; want a file")
	for _, k := range otherKinds { // no message of ONNX begins so
		for _, m := range []proto.Message{&ModelProto{}, &TensorProto{}} {
			num, typ, n := protowire.ConsumeTag([]byte(k.begin))
			if fd := m.ProtoReflect().Descriptor().Fields().ByNumber(num); n > 0 && fd != nil && fits(fd, typ) {
				t.Errorf("%q may begin a %s", k.begin, m.ProtoReflect().Descriptor().Name())
			}
		}
	}

	// Cut off anywhere: never a model, and said to be truncated inside the graph.
	model := sampleModel(t)
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(model)
	if err != nil {
		t.Fatal(err)
	}
	graph := bytes.Index(b, []byte{7<<3 | 2, byte(proto.Size(model.Graph))})
	end := graph + 2 + proto.Size(model.Graph)
	for n := range end {
		err, _ := read(b[:n])
		if err == nil {
			t.Fatalf("a model of %d of %d bytes is taken", n, len(b))
		}
		if n > graph+2 {
			wantErr(t, err, "truncated ONNX model: graph needs")
		}
	}
	damaged := slices.Clone(b)
	damaged[graph+2] = 0xff
	err, _ = read(damaged)
	wantErr(t, err, "damaged ONNX model")

	err, _ = read([]byte{1 << 3, 13}) // an ir_version alone
	wantErr(t, err, "not an ONNX model: it has no graph")

	tb, err := proto.Marshal(model.Graph.Initializer[0])
	if err != nil {
		t.Fatal(err)
	}
	merr, terr := read(tb)
	wantErr(t, merr, "not an ONNX model: byte 4 does not begin a producer_name")
	if terr != nil {
		t.Error(terr)
	}
	_, terr = read(tb[:len(tb)-1])
	wantErr(t, terr, "truncated ONNX tensor: raw_data needs 16 bytes but the file (26 bytes) has only 15 more")
	_, terr = read(b)
	wantErr(t, terr, "not an ONNX tensor")
}

func TestExternal(t *testing.T) {
	top := t.TempDir()
	dir := filepath.Join(top, "model")
	for _, d := range []string{dir, filepath.Join(dir, "sub")} {
		if err := os.Mkdir(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	data := []byte{9, 9, 1, 0, 2, 0, 3, 0}
	for _, p := range []string{"model/w.bin", "model/sub/w.bin", "secret"} {
		if err := os.WriteFile(filepath.Join(top, p), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for link, to := range map[string]string{"in": "sub/w.bin", "out": "../secret", "abs": filepath.Join(top, "secret"), "outdir": ".."} {
		if err := os.Symlink(to, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	tensor := func(kv ...string) *TensorProto {
		p := &TensorProto{Name: proto.String("w"), DataType: proto.Int32(int32(TensorProto_INT16)), Dims: []int64{3},
			DataLocation: TensorProto_EXTERNAL.Enum()}
		for i := 0; i < len(kv); i += 2 {
			p.ExternalData = append(p.ExternalData, &StringStringEntryProto{Key: &kv[i], Value: &kv[i+1]})
		}
		return p
	}
	for _, kv := range [][]string{
		{"location", "w.bin", "offset", "2", "length", "6"},
		{"location", "w.bin", "offset", "2"},
		{"length", "6", "location", "sub/w.bin", "offset", "2", "checksum", "abc"},
		{"location", "./sub//w.bin", "offset", "2"},
		{"location", "in", "offset", "2"},
	} {
		d, err := Decode(tensor(kv...), dir)
		if err != nil || !slices.Equal(d.I64, []int64{1, 2, 3}) {
			t.Errorf("%v: %v, %v", kv, d, err)
		}
	}
	const escapes = "escapes"
	for _, c := range []struct {
		want string
		kv   []string
	}{
		{"no location", nil},
		{"no location", []string{"location", ""}},
		{"not a path below", []string{"location", filepath.Join(dir, "w.bin")}},
		{"not a path below", []string{"location", "../secret"}},
		{"not a path below", []string{"location", "sub/../w.bin"}},
		{"not a path below", []string{"location", ".."}},
		{escapes, []string{"location", "out"}},
		{escapes, []string{"location", "abs"}},
		{escapes, []string{"location", "outdir/secret"}},
		{`no such file as "none" in the model's folder`, []string{"location", "none"}},
		{"not a regular file", []string{"location", "sub"}},
		{"invalid", []string{"location", "w.bin\x00"}},
		{`"location" is given twice`, []string{"location", "w.bin", "location", "w.bin"}},
		{`offset "-1" is not a number of bytes`, []string{"location", "w.bin", "offset", "-1"}},
		{`offset "" is not`, []string{"location", "w.bin", "offset", ""}},
		{`length "9223372036854775808" is not`, []string{"location", "w.bin", "length", "9223372036854775808"}},
		{"offset 9223372036854775807 is past the end", []string{"location", "w.bin", "offset", "9223372036854775807", "length", "9223372036854775807"}},
		{"6 bytes at offset 4 reach past the end of the file (8 bytes)", []string{"location", "w.bin", "offset", "4", "length", "6"}},
		{"8 bytes at offset 0, but type and dims take 6", []string{"location", "w.bin"}},
		{"4 bytes at offset 2, but type and dims take 6", []string{"location", "w.bin", "offset", "2", "length", "4"}},
	} {
		_, err := Decode(tensor(c.kv...), dir)
		wantErr(t, err, c.want)
		wantErr(t, err, `tensor "w": `)
	}
	ok := []string{"location", "w.bin", "offset", "2"}
	_, err := Decode(tensor(ok...), "")
	wantErr(t, err, "no folder")
	_, err = Decode(tensor(ok...), filepath.Join(dir, "none"))
	wantErr(t, err, "folder of the external data")
	both := tensor(ok...)
	both.RawData = []byte{1}
	_, err = Decode(both, dir)
	wantErr(t, err, "both in external and in raw_data")
	str := tensor(ok...)
	str.DataType = proto.Int32(int32(TensorProto_STRING))
	_, err = Decode(str, dir)
	wantErr(t, err, "STRING data must be in string_data")
	huge := tensor(ok...)
	huge.Dims = []int64{1 << 50}
	_, err = Decode(huge, dir)
	wantErr(t, err, "but type and dims take")
}

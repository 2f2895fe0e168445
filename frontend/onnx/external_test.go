package onnx

import (
	"os"
	"path/filepath"
	"testing"

	"google.golang.org/protobuf/proto"

	"quern/frontend/onnx/onnxpb"
)

// TestExternalData: tensors share a file beside the model, and all that are not to be had are reported at once.
func TestExternalData(t *testing.T) {
	top := t.TempDir()
	dir := filepath.Join(top, "model")
	if err := os.MkdirAll(filepath.Join(dir, "sub"), 0o777); err != nil {
		t.Fatal(err)
	}
	data := []byte{0, 0, 0, 0, 0, 0, 128, 63, 0, 0, 0, 64, 0, 0, 64, 64} // 0, 1, 2, 3
	for _, f := range []string{"model/sub/w.data", "secret"} {
		if err := os.WriteFile(filepath.Join(top, f), data, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("../secret", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	write := func(tensors ...[]string) string { // name, then keys and values
		m := parseModel(t, `
			in x f32[2]
			y = Add(x, a)
			z = Mul(y, b)
			out z`)
		for _, s := range tensors {
			p := &onnxpb.TensorProto{Name: &s[0], DataType: proto.Int32(int32(onnxpb.TensorProto_FLOAT)), Dims: []int64{2},
				DataLocation: onnxpb.TensorProto_EXTERNAL.Enum()}
			for i := 1; i < len(s); i += 2 {
				p.ExternalData = append(p.ExternalData, &onnxpb.StringStringEntryProto{Key: &s[i], Value: &s[i+1]})
			}
			m.Graph.Initializer = append(m.Graph.Initializer, p)
		}
		path := filepath.Join(dir, "m.onnx")
		if err := onnxpb.WriteFile(path, m); err != nil {
			t.Fatal(err)
		}
		return path
	}
	g, err := Import(write([]string{"a", "location", "sub/w.data", "length", "8"}, []string{"b", "location", "sub/w.data", "offset", "8"}), Options{})
	if err != nil {
		t.Fatal(err)
	}
	checkText(t, g, `
		const %a f32[2] = [0 1]
		%y f32[2] = Add(%x, %a)
		const %b f32[2] = [2 3]
		%z f32[2] = Mul(%y, %b)
		return %z`)
	_, err = Import(write(
		[]string{"a", "location", "none"}, []string{"b", "location", "sub/w.data", "offset", "12", "length", "8"}, []string{"c", "location", "link"},
		[]string{"d", "location", "../secret"}, []string{"e", "location", filepath.Join(top, "secret")}), Options{})
	in := "the model's folder (" + dir + ")"
	checkError(t, err, `
		m.onnx: initializer: tensor "a": external data: no such file as "none" in `+in+`
		m.onnx: initializer: tensor "b": external data "sub/w.data" in `+dir+`: 8 bytes at offset 12 reach past the end of the file (16 bytes)
		m.onnx: initializer: tensor "c": external data: "link" escapes from `+in+` by a symbolic link; files outside are not read
		m.onnx: initializer: tensor "d": external data: location "../secret" is not a path below the model's own folder
		m.onnx: initializer: tensor "e": external data: location "`+filepath.Join(top, "secret")+`" is not a path below the model's own folder`)
}

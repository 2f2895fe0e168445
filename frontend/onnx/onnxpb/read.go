package onnxpb

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// ReadFile reads an ONNX model file. Errors begin with the path and say whether the file is missing, empty, cut off or no
// ONNX model at all. Data that the model keeps in other files is not read: see [Decode].
func ReadFile(path string) (*ModelProto, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, readError(path, err)
	}
	m := &ModelProto{}
	if err := unmarshal(b, m, func() error { return unmarshalModel(b, m) }, "model"); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if m.Graph == nil {
		return nil, fmt.Errorf("%s: not an ONNX model: it has no graph (another kind of file, or cut off)", path)
	}
	return m, nil
}

// ReadTensorFile reads a file that holds one serialized TensorProto, as the test data of ONNX models do (input_0.pb).
func ReadTensorFile(path string) (*TensorProto, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, readError(path, err)
	}
	t := &TensorProto{}
	if err := unmarshal(b, t, func() error { return proto.Unmarshal(b, t) }, "tensor"); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if t.GetDataType() == 0 {
		return nil, fmt.Errorf("%s: not an ONNX tensor: it has no data type (another kind of file, or cut off)", path)
	}
	return t, nil
}

// readError is a message of os.ReadFile, which names the path.
func readError(path string, err error) error {
	if st, e := os.Stat(path); e == nil && st.IsDir() {
		return fmt.Errorf("%s: it is a folder; want a file", path)
	}
	return err
}

// otherKinds are files that people take for models. No message of ONNX begins so: the first byte would be
// a field that ONNX does not have, or of another type.
var otherKinds = []struct{ begin, is string }{
	{"version https://git-lfs.", "a Git LFS pointer in place of the file (git lfs pull fetches it)"},
	{"\x1f\x8b", "gzip-compressed data; want the file that is in it"},
	{"\xfd7zXZ", "xz-compressed data; want the file that is in it"},
	{"PK\x03\x04", "a ZIP archive, as PyTorch's .pt and .pth are; want a model exported to ONNX"},
	{"\x89HDF\r\n", "an HDF5 file, as Keras writes; want a model exported to ONNX"},
	{"<!DOCTYPE", "a web page in place of the file"},
	{"<html", "a web page in place of the file"},
	{"ORTM", "onnxruntime's own format; want the ONNX model that it was made from"},
	{"{", "JSON or other text"},
}

// unmarshal parses a whole file into m, by parse; what is "model" or "tensor".
func unmarshal(b []byte, m proto.Message, parse func() error, what string) error {
	if len(b) == 0 {
		return errors.New("the file is empty")
	}
	for _, k := range otherKinds {
		if bytes.HasPrefix(b, []byte(k.begin)) {
			return fmt.Errorf("not an ONNX %s: %s", what, k.is)
		}
	}
	err := parse()
	if err == nil {
		return nil
	}
	if d := diagnose(b, m.ProtoReflect().Descriptor(), what); d != nil {
		return d
	}
	return fmt.Errorf("damaged ONNX %s: %w", what, err)
}

// diagnose walks the top level of bytes that do not parse and tells a file that is cut off from one of another format. It
// returns nil when the fault is further inside.
func diagnose(b []byte, md protoreflect.MessageDescriptor, what string) error {
	size, known := len(b), 0 // known: fields of md read so far
	for len(b) > 0 {
		at := size - len(b)
		num, typ, n := protowire.ConsumeTag(b)
		var fd protoreflect.FieldDescriptor
		m := n
		if n >= 0 {
			fd = md.Fields().ByNumber(num)
			if fd != nil && !fits(fd, typ) {
				return fmt.Errorf("not an ONNX %s: byte %d does not begin a %s", what, at, fd.Name())
			}
			m = protowire.ConsumeFieldValue(num, typ, b[n:])
		}
		if m >= 0 {
			if fd != nil {
				known++
			}
			b = b[n+m:]
			continue
		}
		err := protowire.ParseError(m)
		if known == 0 || !errors.Is(err, io.ErrUnexpectedEOF) {
			return fmt.Errorf("not an ONNX %s: no protobuf field at byte %d: %w", what, at, err)
		}
		if fd != nil && typ == protowire.BytesType {
			if want, k := protowire.ConsumeVarint(b[n:]); k > 0 {
				return fmt.Errorf("truncated ONNX %s: %s needs %d bytes but the file (%d bytes) has only %d more",
					what, fd.Name(), want, size, len(b)-n-k)
			}
		}
		return fmt.Errorf("truncated ONNX %s: the file (%d bytes) ends inside a field", what, size)
	}
	return nil
}

// fits says whether a field can have a wire type. Numbers in a list may be packed or not, whatever the schema says.
func fits(fd protoreflect.FieldDescriptor, typ protowire.Type) bool {
	switch fd.Kind() {
	case protoreflect.StringKind, protoreflect.BytesKind, protoreflect.MessageKind:
		return typ == protowire.BytesType
	}
	if fd.IsList() && typ == protowire.BytesType {
		return true
	}
	switch fd.Kind() {
	case protoreflect.FloatKind:
		return typ == protowire.Fixed32Type
	case protoreflect.DoubleKind:
		return typ == protowire.Fixed64Type
	}
	return typ == protowire.VarintType // onnx.proto has no fixed-width integers and no groups
}

// WriteFile writes a model to path, the same bytes each time for the same model. The file appears under its name only when
// it is complete: it is written beside it first and then renamed. A symbolic link is followed and a file's permissions are
// kept.
func WriteFile(path string, m *ModelProto) error {
	if m == nil {
		return fmt.Errorf("%s: no model to write", path)
	}
	if n := proto.Size(m); n > math.MaxInt32 {
		return fmt.Errorf("%s: the model takes %d bytes; a protobuf file is limited to 2 GiB", path, n)
	}
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return replaceFile(path, b)
}

// replaceFile puts data at path by a temporary file in the same folder and a rename.
func replaceFile(path string, data []byte) (err error) {
	mode := fs.FileMode(0o644)
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
		st, err := os.Stat(path)
		if err != nil {
			return err
		}
		if !st.Mode().IsRegular() {
			return fmt.Errorf("%s: not a regular file", path)
		}
		mode = st.Mode().Perm()
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*.tmp")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			f.Close() // a second close does no harm
			os.Remove(f.Name())
		}
	}()
	if _, err := f.Write(data); err != nil {
		return err
	}
	if err := f.Chmod(mode); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

package onnxpb

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"google.golang.org/protobuf/proto"
)

// Data is a tensor's content, out of whichever of the many forms a TensorProto can keep it in. Type is a
// [TensorProto_DataType] and says which slice holds the elements, in row-major order:
//
//   - F32: FLOAT, DOUBLE, FLOAT16, BFLOAT16
//   - I64: INT64, INT32, INT16, INT8, INT4, INT2, the UINT types, and BOOL as 0 and 1
//   - Str: STRING
//
// A scalar has no Dims and one element.
type Data struct {
	Type int32
	Dims []int
	F32  []float32
	I64  []int64
	Str  [][]byte
}

// kind is how elements of one data type are stored.
type kind struct {
	bits    int                  // in raw data; 0 for strings, which have no raw form
	class   byte                 // 'i' signed, 'u' unsigned, 'b' bool, 'f' float, 's' string
	field   string               // the typed field that holds them
	toF32   func(uint16) float32 // for class 'f' of 16 bits
	fromF32 func(float32) uint16
}

var kinds = map[TensorProto_DataType]kind{
	TensorProto_FLOAT:    {bits: 32, class: 'f', field: "float_data"},
	TensorProto_DOUBLE:   {bits: 64, class: 'f', field: "double_data"},
	TensorProto_FLOAT16:  {bits: 16, class: 'f', field: "int32_data", toF32: halfToFloat, fromF32: floatToHalf},
	TensorProto_BFLOAT16: {bits: 16, class: 'f', field: "int32_data", toF32: bfloatToFloat, fromF32: floatToBfloat},
	TensorProto_INT64:    {bits: 64, class: 'i', field: "int64_data"},
	TensorProto_INT32:    {bits: 32, class: 'i', field: "int32_data"},
	TensorProto_INT16:    {bits: 16, class: 'i', field: "int32_data"},
	TensorProto_INT8:     {bits: 8, class: 'i', field: "int32_data"},
	TensorProto_INT4:     {bits: 4, class: 'i', field: "int32_data"},
	TensorProto_INT2:     {bits: 2, class: 'i', field: "int32_data"},
	TensorProto_UINT64:   {bits: 64, class: 'u', field: "uint64_data"},
	TensorProto_UINT32:   {bits: 32, class: 'u', field: "uint64_data"},
	TensorProto_UINT16:   {bits: 16, class: 'u', field: "int32_data"},
	TensorProto_UINT8:    {bits: 8, class: 'u', field: "int32_data"},
	TensorProto_UINT4:    {bits: 4, class: 'u', field: "int32_data"},
	TensorProto_UINT2:    {bits: 2, class: 'u', field: "int32_data"},
	TensorProto_BOOL:     {bits: 8, class: 'b', field: "int32_data"},
	TensorProto_STRING:   {class: 's', field: "string_data"},
}

// limits is the range of an integer type, as far as int64 holds it.
func (k kind) limits() (lo, hi int64) {
	switch {
	case k.class == 'b':
		return 0, 1
	case k.class == 'i':
		return -1 << (k.bits - 1), 1<<(k.bits-1) - 1
	case k.bits == 64:
		return 0, math.MaxInt64
	}
	return 0, 1<<k.bits - 1
}

// rawSize is the number of bytes that n elements take. Types below a byte are packed; the last byte may be partly used.
func (k kind) rawSize(n int) (int, error) {
	if n > (math.MaxInt-7)/max(k.bits, 1) {
		return 0, fmt.Errorf("%d elements are too many", n)
	}
	return (n*k.bits + 7) / 8, nil
}

func kindOf(typ int32) (kind, error) {
	if k, ok := kinds[TensorProto_DataType(typ)]; ok {
		return k, nil
	}
	if typ == 0 {
		return kind{}, errors.New("it has no data type")
	}
	if name, ok := TensorProto_DataType_name[typ]; ok {
		return kind{}, fmt.Errorf("data type %s is not supported", name)
	}
	return kind{}, fmt.Errorf("data type %d is unknown", typ)
}

// Decode reads the elements of t, from raw data, from the typed field or from the file beside the model that the tensor
// refers to. dir is the folder of the model; if it is empty, tensors kept in other files are refused. The number of elements
// must be just what the dims say, and each integer must be in the range of its type.
//
// DOUBLE is rounded to float32, which makes values beyond its range infinite; a UINT64 beyond int64 is an error; any BOOL
// that is not 0 is 1. FLOAT8, FLOAT4 and COMPLEX types are refused. Str, and F32 out of float_data, share their memory with t.
func Decode(t *TensorProto, dir string) (*Data, error) {
	if t == nil {
		return nil, errors.New("no tensor to decode")
	}
	d, err := decode(t, dir)
	if err != nil {
		return nil, fmt.Errorf("tensor %q: %w", t.GetName(), err)
	}
	return d, nil
}

func decode(t *TensorProto, dir string) (*Data, error) {
	k, err := kindOf(t.GetDataType())
	if err != nil {
		return nil, err
	}
	if t.Segment != nil {
		return nil, errors.New("tensors stored in segments are not supported")
	}
	dims := make([]int, len(t.Dims))
	for i, v := range t.Dims {
		if dims[i] = int(v); int64(dims[i]) != v {
			return nil, fmt.Errorf("dims %v are too large", t.Dims)
		}
	}
	n, err := count(dims)
	if err != nil {
		return nil, err
	}
	size, err := k.rawSize(n)
	if err != nil {
		return nil, err
	}
	d := &Data{Type: t.GetDataType(), Dims: dims}
	form, err := storedForm(t)
	if err != nil {
		return nil, err
	}
	name := TensorProto_DataType(d.Type)
	raw := t.RawData
	switch {
	case form == "external" && k.class != 's':
		if raw, err = readExternal(t.ExternalData, dir, size); err != nil {
			return nil, err
		}
	case form == k.field:
		if typed, err := fromTyped(d, t, k, n); typed || err != nil {
			return d, err
		}
		if raw, err = packedBytes(t.Int32Data, size); err != nil {
			return nil, err
		}
	case form == "" && n == 0:
	case form == "":
		return nil, fmt.Errorf("it has no data, but dims %v take %d elements", dims, n)
	case form != "raw_data" || k.class == 's':
		return nil, fmt.Errorf("%s data must be in %s, not in %s", name, k.field, form)
	}
	if len(raw) != size {
		return nil, fmt.Errorf("%d bytes of %s data, but dims %v take %d", len(raw), name, dims, size)
	}
	return d, fromRaw(d, raw, k, n)
}

// count multiplies dims. They come from files: none may be negative and the product must be an int.
func count(dims []int) (int, error) {
	n := 1
	for _, v := range dims {
		if v < 0 {
			return 0, fmt.Errorf("dims %v are negative", dims)
		}
	}
	if slices.Contains(dims, 0) {
		return 0, nil
	}
	for _, v := range dims {
		if n > math.MaxInt/v {
			return 0, fmt.Errorf("dims %v are too large", dims)
		}
		n *= v
	}
	return n, nil
}

// storedForm names the one field that holds the data, "external" for another file, or "" if there is none.
func storedForm(t *TensorProto) (string, error) {
	form := ""
	for _, f := range []struct {
		name string
		set  bool
	}{
		{"external", t.GetDataLocation() == TensorProto_EXTERNAL},
		{"raw_data", len(t.RawData) > 0},
		{"float_data", len(t.FloatData) > 0},
		{"int32_data", len(t.Int32Data) > 0},
		{"string_data", len(t.StringData) > 0},
		{"int64_data", len(t.Int64Data) > 0},
		{"double_data", len(t.DoubleData) > 0},
		{"uint64_data", len(t.Uint64Data) > 0},
	} {
		if f.set && form != "" {
			return "", fmt.Errorf("it has data both in %s and in %s", form, f.name)
		}
		if f.set {
			form = f.name
		}
	}
	return form, nil
}

// fromTyped reads k's typed field. It leaves packed types alone (typed is false): packedBytes makes raw data of them.
func fromTyped(d *Data, t *TensorProto, k kind, n int) (typed bool, err error) {
	if k.bits == 2 || k.bits == 4 {
		return false, nil
	}
	have := max(len(t.FloatData), len(t.DoubleData), len(t.Int32Data), len(t.Int64Data), len(t.Uint64Data), len(t.StringData))
	if have != n {
		return true, fmt.Errorf("%d elements in %s, but dims %v take %d", have, k.field, d.Dims, n)
	}
	switch {
	case k.class == 's':
		d.Str = t.StringData
	case k.field == "float_data":
		d.F32 = t.FloatData
	case k.field == "double_data":
		d.F32 = make([]float32, n)
		for i, v := range t.DoubleData {
			d.F32[i] = float32(v)
		}
	case k.class == 'f':
		d.F32 = make([]float32, n)
		for i, v := range t.Int32Data {
			if v < 0 || v > math.MaxUint16 {
				return true, fmt.Errorf("element %d: %d is not the bits of a 16 bit float", i, v)
			}
			d.F32[i] = k.toF32(uint16(v))
		}
	case k.field == "uint64_data":
		d.I64 = make([]int64, n)
		_, hi := k.limits()
		for i, v := range t.Uint64Data {
			if v > uint64(hi) {
				return true, rangeError(d.Type, i, v)
			}
			d.I64[i] = int64(v)
		}
	case k.field == "int64_data":
		d.I64 = slices.Clone(t.Int64Data)
	default:
		d.I64 = make([]int64, n)
		lo, hi := k.limits()
		for i, v := range t.Int32Data {
			w := int64(v)
			if k.class == 'b' && v != 0 {
				w = 1
			}
			if w < lo || w > hi {
				return true, rangeError(d.Type, i, v)
			}
			d.I64[i] = w
		}
	}
	return true, nil
}

func rangeError(typ int32, i int, v any) error {
	if typ == int32(TensorProto_UINT64) {
		return fmt.Errorf("element %d: %v is beyond int64, which holds UINT64 here", i, v)
	}
	return fmt.Errorf("element %d: %v is out of the range of %s", i, v, TensorProto_DataType(typ))
}

// packedBytes turns int32_data of a packed type into its raw form: each entry is a byte of two or four elements.
func packedBytes(data []int32, size int) ([]byte, error) {
	if len(data) != size {
		return nil, fmt.Errorf("%d packed bytes in int32_data, but the dims take %d", len(data), size)
	}
	b := make([]byte, size)
	for i, v := range data {
		if v < 0 || v > 255 {
			return nil, fmt.Errorf("int32_data[%d]: %d is not a byte of packed elements", i, v)
		}
		b[i] = byte(v)
	}
	return b, nil
}

// Encode makes a TensorProto of d, with raw data in little-endian order (strings in string_data). Floats are rounded to
// nearest even where the type is narrower than float32; integers out of the type's range are an error.
func Encode(name string, d *Data) (*TensorProto, error) {
	if d == nil {
		return nil, fmt.Errorf("tensor %q: no data to encode", name)
	}
	t := &TensorProto{DataType: proto.Int32(d.Type)}
	if name != "" {
		t.Name = proto.String(name)
	}
	if err := encode(t, d); err != nil {
		return nil, fmt.Errorf("tensor %q: %w", name, err)
	}
	return t, nil
}

func encode(t *TensorProto, d *Data) error {
	k, err := kindOf(d.Type)
	if err != nil {
		return err
	}
	n, err := count(d.Dims)
	if err != nil {
		return err
	}
	size, err := k.rawSize(n)
	if err != nil {
		return err
	}
	have := len(d.I64)
	switch k.class {
	case 'f':
		have = len(d.F32)
	case 's':
		have = len(d.Str)
	}
	if have != n || len(d.F32)+len(d.I64)+len(d.Str) != n {
		return fmt.Errorf("%s of dims %v takes %d elements, but there are F32: %d, I64: %d, Str: %d",
			TensorProto_DataType(d.Type), d.Dims, n, len(d.F32), len(d.I64), len(d.Str))
	}
	for _, v := range d.Dims {
		t.Dims = append(t.Dims, int64(v))
	}
	if k.class == 's' {
		t.StringData = slices.Clone(d.Str)
		return nil
	}
	t.RawData = make([]byte, size)
	return toRaw(t.RawData, d, k)
}

package onnxpb

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// same compares data bit for bit, but for NaN: any is the same as any other.
func same(a, b *Data) bool {
	return a.Type == b.Type && slices.Equal(a.Dims, b.Dims) && slices.Equal(a.I64, b.I64) &&
		slices.EqualFunc(a.Str, b.Str, bytes.Equal) &&
		slices.EqualFunc(a.F32, b.F32, func(x, y float32) bool {
			return math.Float32bits(x) == math.Float32bits(y) || x != x && y != y
		})
}

func wantErr(t *testing.T, err error, part string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), part) {
		t.Errorf("error is %v, want one with %q", err, part)
	}
}

// samples has elements of every type that Decode takes, at the ends of its range.
func samples() []*Data {
	inf := float32(math.Inf(1))
	var out []*Data
	for typ, k := range kinds {
		d := &Data{Type: int32(typ)}
		switch k.class {
		case 'f':
			d.F32 = []float32{0, 1, -2.5, inf, -inf, float32(math.NaN()), 0.15625, 65280, float32(math.Copysign(0, -1))}
		case 's':
			d.Str = [][]byte{[]byte("a"), {}, {0, 255}}
		default:
			lo, hi := k.limits()
			d.I64 = []int64{lo, hi, 0, 1, hi / 2, lo / 2, hi}
		}
		d.Dims = []int{1, len(d.F32) + len(d.I64) + len(d.Str)}
		out = append(out, d)
	}
	slices.SortFunc(out, func(a, b *Data) int { return int(a.Type - b.Type) })
	return out
}

// typedForm is d in the typed field of its type, as exporters that avoid raw_data write it.
func typedForm(t *testing.T, d *Data) *TensorProto {
	p, err := Encode("typed", d)
	if err != nil {
		t.Fatal(err)
	}
	raw, k := p.RawData, kinds[TensorProto_DataType(d.Type)]
	p.RawData = nil
	switch {
	case k.field == "float_data":
		p.FloatData = d.F32
	case k.field == "double_data":
		for _, v := range d.F32 {
			p.DoubleData = append(p.DoubleData, float64(v))
		}
	case k.field == "int64_data":
		p.Int64Data = d.I64
	case k.field == "uint64_data":
		for _, v := range d.I64 {
			p.Uint64Data = append(p.Uint64Data, uint64(v))
		}
	case k.class == 'f':
		for i := 0; i < len(raw); i += 2 {
			p.Int32Data = append(p.Int32Data, int32(raw[i])|int32(raw[i+1])<<8)
		}
	case k.class == 's':
	case k.bits < 8:
		for _, b := range raw {
			p.Int32Data = append(p.Int32Data, int32(b))
		}
	default:
		for _, v := range d.I64 {
			p.Int32Data = append(p.Int32Data, int32(v))
		}
	}
	return p
}

func TestRoundTrip(t *testing.T) {
	for _, d := range samples() {
		t.Run(TensorProto_DataType(d.Type).String(), func(t *testing.T) {
			raw, err := Encode("raw", d)
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range []*TensorProto{raw, typedForm(t, d)} {
				got, err := Decode(p, "")
				if err != nil {
					t.Fatalf("%s: %v", p.GetName(), err)
				}
				if !same(got, d) {
					t.Errorf("%s: got %v, want %v", p.GetName(), got, d)
				}
			}
			empty := &Data{Type: d.Type, Dims: []int{3, 0, math.MaxInt}}
			p, err := Encode("", empty)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := Decode(p, ""); err != nil || !same(got, empty) {
				t.Errorf("empty: %v, %v", got, err)
			}
		})
	}
}

func TestScalar(t *testing.T) {
	p := &TensorProto{DataType: proto.Int32(int32(TensorProto_FLOAT)), FloatData: []float32{7}}
	d, err := Decode(p, "")
	if err != nil || len(d.Dims) != 0 || !slices.Equal(d.F32, []float32{7}) {
		t.Errorf("%v, %v", d, err)
	}
}

// TestPackedOrder pins the order inside a byte: the first element is in the low bits.
func TestPackedOrder(t *testing.T) {
	for _, c := range []struct {
		typ  TensorProto_DataType
		raw  []byte
		want []int64
	}{
		{TensorProto_UINT4, []byte{0x21, 0x43, 0x05}, []int64{1, 2, 3, 4, 5}},
		{TensorProto_INT4, []byte{0x71, 0x8f, 0x0e}, []int64{1, 7, -1, -8, -2}},
		{TensorProto_UINT2, []byte{0xe4, 0x01}, []int64{0, 1, 2, 3, 1}},
		{TensorProto_INT2, []byte{0xe4, 0x02}, []int64{0, 1, -2, -1, -2}},
	} {
		p, err := Encode("", &Data{Type: int32(c.typ), Dims: []int{5}, I64: c.want})
		if err != nil || !bytes.Equal(p.RawData, c.raw) {
			t.Errorf("%v: encoded as %x, %v; want %x", c.typ, p.GetRawData(), err, c.raw)
		}
		p.RawData = slices.Clone(c.raw)
		p.RawData[len(c.raw)-1] |= 0xf0 // padding is ignored
		if d, err := Decode(p, ""); err != nil || !slices.Equal(d.I64, c.want) {
			t.Errorf("%v: %v, %v; want %v", c.typ, d, err, c.want)
		}
	}
}

func TestBoolAndDouble(t *testing.T) {
	b := &TensorProto{DataType: proto.Int32(int32(TensorProto_BOOL)), Dims: []int64{3}, RawData: []byte{0, 1, 200}}
	if d, err := Decode(b, ""); err != nil || !slices.Equal(d.I64, []int64{0, 1, 1}) {
		t.Errorf("bool: %v, %v", d, err)
	}
	f := &TensorProto{DataType: proto.Int32(int32(TensorProto_DOUBLE)), Dims: []int64{2}, DoubleData: []float64{0.1, -math.MaxFloat64}}
	if d, err := Decode(f, ""); err != nil || !slices.Equal(d.F32, []float32{0.1, float32(math.Inf(-1))}) {
		t.Errorf("double: %v, %v", d, err)
	}
}

func TestDecodeErrors(t *testing.T) {
	typ := func(p TensorProto_DataType) *int32 { return proto.Int32(int32(p)) }
	for _, c := range []struct {
		want string
		t    *TensorProto
	}{
		{"no data type", &TensorProto{}},
		{"FLOAT8E4M3FN is not supported", &TensorProto{DataType: typ(TensorProto_FLOAT8E4M3FN)}},
		{"FLOAT8E8M0 is not supported", &TensorProto{DataType: typ(TensorProto_FLOAT8E8M0)}},
		{"FLOAT4E2M1 is not supported", &TensorProto{DataType: typ(TensorProto_FLOAT4E2M1)}},
		{"COMPLEX64 is not supported", &TensorProto{DataType: typ(TensorProto_COMPLEX64)}},
		{"data type 99 is unknown", &TensorProto{DataType: proto.Int32(99)}},
		{"segments", &TensorProto{DataType: typ(TensorProto_INT8), Segment: &TensorProto_Segment{}}},
		{"dims [-1] are negative", &TensorProto{DataType: typ(TensorProto_INT8), Dims: []int64{-1}}},
		{"negative", &TensorProto{DataType: typ(TensorProto_INT8), Dims: []int64{0, -1}}},
		{"too large", &TensorProto{DataType: typ(TensorProto_INT8), Dims: []int64{1 << 32, 1 << 31}}},
		{"too many", &TensorProto{DataType: typ(TensorProto_INT16), Dims: []int64{1 << 62}}},
		{"no data, but", &TensorProto{DataType: typ(TensorProto_INT8), Dims: []int64{1 << 40}}},
		{"3 bytes of INT16 data, but dims [2] take 4", &TensorProto{DataType: typ(TensorProto_INT16), Dims: []int64{2}, RawData: []byte{1, 2, 3}}},
		{"but dims [1099511627776] take", &TensorProto{DataType: typ(TensorProto_INT4), Dims: []int64{1 << 40}, RawData: []byte{1}}},
		{"2 elements in float_data, but dims [3] take 3", &TensorProto{DataType: typ(TensorProto_FLOAT), Dims: []int64{3}, FloatData: []float32{1, 2}}},
		{"1 elements in string_data", &TensorProto{DataType: typ(TensorProto_STRING), Dims: []int64{2}, StringData: [][]byte{{1}}}},
		{"1 elements in float_data", &TensorProto{DataType: typ(TensorProto_FLOAT), Dims: []int64{0}, FloatData: []float32{1}}},
		{"FLOAT data must be in float_data, not in int32_data", &TensorProto{DataType: typ(TensorProto_FLOAT), Int32Data: []int32{1}}},
		{"STRING data must be in string_data, not in raw_data", &TensorProto{DataType: typ(TensorProto_STRING), RawData: []byte{1}}},
		{"both in raw_data and in int64_data", &TensorProto{DataType: typ(TensorProto_INT64), RawData: make([]byte, 8), Int64Data: []int64{1}}},
		{"200 is out of the range of INT8", &TensorProto{DataType: typ(TensorProto_INT8), Int32Data: []int32{200}}},
		{"-1 is out of the range of UINT8", &TensorProto{DataType: typ(TensorProto_UINT8), Int32Data: []int32{-1}}},
		{"out of the range of UINT32", &TensorProto{DataType: typ(TensorProto_UINT32), Uint64Data: []uint64{1 << 32}}},
		{"bits of a 16 bit float", &TensorProto{DataType: typ(TensorProto_FLOAT16), Int32Data: []int32{-1}}},
		{"not a byte of packed", &TensorProto{DataType: typ(TensorProto_INT4), Int32Data: []int32{256}}},
		{"2 packed bytes", &TensorProto{DataType: typ(TensorProto_INT4), Dims: []int64{2}, Int32Data: []int32{1, 2}}},
		{"18446744073709551615 is beyond int64", &TensorProto{DataType: typ(TensorProto_UINT64), Uint64Data: []uint64{math.MaxUint64}}},
		{"18446744073709551615 is beyond int64", &TensorProto{DataType: typ(TensorProto_UINT64), RawData: bytes.Repeat([]byte{255}, 8)}},
	} {
		c.t.Name = proto.String("w")
		d, err := Decode(c.t, "")
		wantErr(t, err, c.want)
		wantErr(t, err, `tensor "w": `)
		if d != nil {
			t.Errorf("data beside the error %v", err)
		}
	}
	_, err := Decode(nil, "")
	wantErr(t, err, "no tensor")
}

func TestEncodeErrors(t *testing.T) {
	for _, c := range []struct {
		want string
		d    *Data
	}{
		{"no data", nil},
		{"no data type", &Data{}},
		{"FLOAT8E5M2 is not supported", &Data{Type: int32(TensorProto_FLOAT8E5M2)}},
		{"negative", &Data{Type: 1, Dims: []int{-1, -1}, F32: []float32{1}}},
		{"dims [2] takes 2 elements, but there are F32: 1", &Data{Type: 1, Dims: []int{2}, F32: []float32{1}}},
		{"I64: 1", &Data{Type: 1, Dims: []int{1}, I64: []int64{1}}},
		{"I64: 1", &Data{Type: 1, Dims: []int{1}, F32: []float32{1}, I64: []int64{1}}},
		{"element 1: 8 is out of the range of INT4", &Data{Type: int32(TensorProto_INT4), Dims: []int{2}, I64: []int64{-8, 8}}},
		{"2 is out of the range of BOOL", &Data{Type: int32(TensorProto_BOOL), I64: []int64{2}}},
		{"-1 is", &Data{Type: int32(TensorProto_UINT64), I64: []int64{-1}}},
	} {
		_, err := Encode("w", c.d)
		wantErr(t, err, c.want)
	}
}

// TestHalf checks all 16 bit floats: each must come back as it was, and rounding must agree with arithmetic in float64.
func TestHalf(t *testing.T) {
	value := func(h uint16) float64 { // IEEE 754-2008 3.4, for finite h >= 0
		if h < 1<<10 {
			return math.Ldexp(float64(h), -24)
		}
		return math.Ldexp(float64(h&1023|1024), int(h>>10)-25)
	}
	for i := range 1 << 16 {
		h := uint16(i)
		if got := floatToHalf(halfToFloat(h)); got != h {
			t.Fatalf("half %#04x comes back as %#04x", h, got)
		}
		if got := floatToBfloat(bfloatToFloat(h)); got != h {
			t.Fatalf("bfloat %#04x comes back as %#04x", h, got)
		}
		if h >= 31<<10 {
			continue // negative, or not finite
		}
		a, b := value(h), value(h+1)
		if got := halfToFloat(h); float64(got) != a {
			t.Fatalf("half %#04x is %v, want %v", h, got, a)
		}
		mid := float32((a + b) / 2) // exact: one bit more than a half has
		even := h + h&1
		for _, c := range []struct {
			f    float32
			want uint16
		}{{mid, even}, {math.Nextafter32(mid, 0), h}, {math.Nextafter32(mid, 1e9), h + 1}, {-mid, even | 1<<15}} {
			if got := floatToHalf(c.f); got != c.want {
				t.Fatalf("%v rounds to half %#04x, want %#04x", c.f, got, c.want)
			}
		}
	}
	for f, want := range map[float32]uint16{1: 0x3f80, 1.00390625: 0x3f80, 1.01171875: 0x3f82, -math.MaxFloat32: 0xff80, 1e-45: 0} {
		if got := floatToBfloat(f); got != want {
			t.Errorf("%v rounds to bfloat %#04x, want %#04x", f, got, want)
		}
	}
	for _, bits := range []uint32{0x7f800001, 0xffc00000} { // NaNs, one whose upper bits are those of infinity
		f := math.Float32frombits(bits)
		if h, b := halfToFloat(floatToHalf(f)), bfloatToFloat(floatToBfloat(f)); h == h || b == b {
			t.Errorf("NaN %#x becomes %v and %v", bits, h, b)
		}
	}
}

// TestDataTypes checks that onnx.proto is new enough, and that every type it has is either decoded or refused by name.
func TestDataTypes(t *testing.T) {
	values := TensorProto_FLOAT.Descriptor().Values()
	for name, num := range map[string]int{"UINT4": 21, "INT4": 22, "FLOAT4E2M1": 23, "FLOAT8E8M0": 24, "UINT2": 25, "INT2": 26} {
		if v := values.ByName(protoreflect.Name(name)); v == nil || int(v.Number()) != num {
			t.Errorf("no %s = %d in TensorProto.DataType", name, num)
		}
	}
	for num, name := range TensorProto_DataType_name {
		if _, err := kindOf(num); err != nil && num != 0 {
			wantErr(t, err, name)
		}
	}
}

// TestNames checks that our protobuf names are our own: onnx-go registers "onnx.ModelProto" and so on in the same registry.
func TestNames(t *testing.T) {
	d := (&ModelProto{}).ProtoReflect().Descriptor()
	if d.FullName() != "quern.onnx.ModelProto" || d.ParentFile().Path() != "frontend/onnx/onnxpb/onnx.proto" {
		t.Errorf("%s of %s: see doc.go", d.FullName(), d.ParentFile().Path())
	}
}

func FuzzDecode(f *testing.F) {
	for _, d := range samples() {
		p, err := Encode("w", d)
		if err != nil {
			f.Fatal(err)
		}
		b, err := proto.Marshal(p)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		p := &TensorProto{}
		if proto.Unmarshal(b, p) != nil {
			return
		}
		d, err := Decode(p, "")
		if err != nil {
			return
		}
		if n, err := count(d.Dims); err != nil || len(d.F32)+len(d.I64)+len(d.Str) != n {
			t.Fatalf("dims %v, but F32: %d, I64: %d, Str: %d", d.Dims, len(d.F32), len(d.I64), len(d.Str))
		}
		q, err := Encode(p.GetName(), d)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := Decode(q, ""); err != nil || !same(got, d) {
			t.Fatalf("%v comes back as %v, %v", d, got, err)
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	for _, typ := range []TensorProto_DataType{TensorProto_FLOAT, TensorProto_FLOAT16, TensorProto_INT8, TensorProto_INT4} {
		b.Run(fmt.Sprint(typ), func(b *testing.B) {
			raw := make([]byte, 16<<20)
			p := &TensorProto{DataType: proto.Int32(int32(typ)), Dims: []int64{int64(len(raw)) * 8 / int64(kinds[typ].bits)}, RawData: raw}
			b.SetBytes(int64(len(raw)))
			for b.Loop() {
				if _, err := Decode(p, ""); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

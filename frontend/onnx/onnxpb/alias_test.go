package onnxpb

import (
	"bytes"
	"slices"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// TestUnmarshalModel: sharing changes nothing of what protobuf makes of the same bytes, whole or damaged.
func TestUnmarshalModel(t *testing.T) {
	raw := func(name string, n int, b byte) *TensorProto {
		return &TensorProto{Name: &name, Dims: []int64{int64(n)}, DataType: proto.Int32(2), RawData: bytes.Repeat([]byte{b}, n)}
	}
	marshal := func(m proto.Message) []byte {
		b, err := proto.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	m := sampleModel(t)
	m.Graph.Initializer = append(m.Graph.Initializer, raw("a", 5000, 1), raw("b", 4095, 2), raw("c", 9000, 3),
		&TensorProto{Name: proto.String("d"), DataType: proto.Int32(1), Dims: []int64{1000}, FloatData: make([]float32, 1000)})
	plain := marshal(m)
	// a tensor with two raw_data, of which the last counts
	twice := marshal(raw("e", 6000, 4))
	twice = protowire.AppendBytes(protowire.AppendTag(twice, tensorRawData, protowire.BytesType), bytes.Repeat([]byte{5}, 7000))
	twice = protowire.AppendBytes(protowire.AppendTag(nil, graphInitializer, protowire.BytesType), twice)
	// numbers under the field numbers that matter, which protobuf keeps as unknown fields
	var odd []byte
	for _, num := range []protowire.Number{modelGraph, graphInitializer, tensorRawData} {
		odd = protowire.AppendVarint(protowire.AppendTag(odd, num, protowire.VarintType), 7)
	}
	graph := func(parts ...[]byte) []byte {
		return protowire.AppendBytes(protowire.AppendTag(nil, modelGraph, protowire.BytesType), slices.Concat(parts...))
	}
	big := marshal(&GraphProto{Initializer: []*TensorProto{raw("f", 8000, 6)}})
	for name, b := range map[string][]byte{
		"plain": plain, "two raw_data": graph(marshal(m.Graph), twice), "two graphs": slices.Concat(plain, graph(twice)),
		"odd": graph(odd, big), "odd outside": slices.Concat(odd, graph(big)), "a few bytes": graph(marshal(&GraphProto{Name: proto.String("g")})),
	} {
		for n := len(b); n >= 0; n = cut(n) {
			want, got := &ModelProto{}, &ModelProto{}
			wantErr, gotErr := proto.Unmarshal(b[:n], want), unmarshalModel(b[:n], got)
			if (wantErr == nil) != (gotErr == nil) || wantErr == nil && !proto.Equal(want, got) {
				t.Fatalf("%s, %d of %d bytes: %v, protobuf %v", name, n, len(b), gotErr, wantErr)
			}
		}
	}
	got := &ModelProto{}
	if err := unmarshalModel(plain, got); err != nil {
		t.Fatal(err)
	}
	clear(plain)
	for i, shared := range []bool{false, true, false, true} { // w, a, b, c; b is small
		if r := got.Graph.Initializer[i].RawData; (r[0] == 0) != shared && i > 0 {
			t.Errorf("initializer %d: shared %v, want %v", i, !shared, shared)
		}
	}
}

// cut takes many lengths near both ends of a file, and some between.
func cut(n int) int {
	if n > 400 {
		return n - 37
	}
	return n - 1
}

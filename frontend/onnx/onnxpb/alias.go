package onnxpb

import (
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// unmarshalModel is proto.Unmarshal, but the raw data of large initializers shares its bytes with b: protobuf would copy what is nearly
// the whole file. It gets a skeleton of the model without them, and they are put in afterwards.
func unmarshalModel(b []byte, m *ModelProto) error {
	raws, graphs, total := findRaws(b)
	if graphs != 1 || total < len(b)/2 { // protobuf merges graphs; and what is wrong with the bytes, it says
		return proto.Unmarshal(b, m)
	}
	// Each message on the way, from the inside out, is a copy of its fields but the one that changes.
	small := edit(b, total, func(out []byte, num protowire.Number, v []byte) ([]byte, bool) {
		if num != modelGraph {
			return out, false
		}
		i := -1
		g := edit(v, total, func(out []byte, num protowire.Number, v []byte) ([]byte, bool) {
			if num != graphInitializer {
				return out, false
			}
			if i++; raws[i] == nil {
				return out, false
			}
			t := edit(v, len(raws[i]), func(out []byte, num protowire.Number, _ []byte) ([]byte, bool) { return out, num == tensorRawData })
			return protowire.AppendBytes(protowire.AppendTag(out, num, protowire.BytesType), t), true
		})
		return protowire.AppendBytes(protowire.AppendTag(out, num, protowire.BytesType), g), true
	})
	if err := proto.Unmarshal(small, m); err != nil {
		return err
	}
	for i, t := range m.Graph.Initializer {
		if raws[i] != nil {
			t.RawData = raws[i]
		}
	}
	return nil
}

// The numbers of the fields on the way to the data, and the size from which sharing pays.
const (
	modelGraph       = 7
	graphInitializer = 5
	tensorRawData    = 9
	shareFrom        = 4096
)

// findRaws finds the raw data of initializers, nil for those where it is small, and their total. No graphs are found if b is damaged.
func findRaws(b []byte) (raws [][]byte, graphs, total int) {
	ok := each(b, func(_ []byte, num protowire.Number, v []byte) bool {
		if num != modelGraph {
			return true
		}
		graphs++
		return each(v, func(_ []byte, num protowire.Number, v []byte) bool {
			if num != graphInitializer {
				return true
			}
			var raw []byte
			ok := each(v, func(_ []byte, num protowire.Number, v []byte) bool {
				if num == tensorRawData { // the last one counts
					raw = v[:len(v):len(v)]
				}
				return true
			})
			if len(raw) < shareFrom {
				raw = nil
			}
			raws, total = append(raws, raw), total+len(raw)
			return ok
		})
	})
	if !ok {
		return nil, 0, 0
	}
	return raws, graphs, total
}

// each calls f with the fields of a message as they stand, and their content if it is bytes, until f returns false.
func each(b []byte, f func(field []byte, num protowire.Number, v []byte) bool) bool {
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return false
		}
		m := protowire.ConsumeFieldValue(num, typ, b[n:])
		if m < 0 {
			return false
		}
		var v []byte
		if typ == protowire.BytesType {
			v, _ = protowire.ConsumeBytes(b[n:])
		} else {
			num = 0 // nobody looks for these
		}
		if !f(b[:n+m], num, v) {
			return false
		}
		b = b[n+m:]
	}
	return true
}

// edit copies a message that each can read, to be shorter by less bytes. change appends what stands in the place of a field and returns
// true, or returns false for a plain copy.
func edit(b []byte, less int, change func(out []byte, num protowire.Number, v []byte) ([]byte, bool)) []byte {
	out := make([]byte, 0, len(b)-less)
	each(b, func(field []byte, num protowire.Number, v []byte) bool {
		var done bool
		if out, done = change(out, num, v); !done {
			out = append(out, field...)
		}
		return true
	})
	return out
}

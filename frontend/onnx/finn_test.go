package onnx

import (
	"fmt"
	"math"
	"testing"

	"quern/ir/tensor"
)

// TestThresholdNodes: the operators that FINN makes, on every integer of 8 bits, against their definition, through interpreter and simulator.
func TestThresholdNodes(t *testing.T) {
	count := func(x float64, ths ...float64) (k float64) {
		for _, v := range ths {
			if x >= v {
				k++
			}
		}
		return k
	}
	for _, c := range []struct {
		node, grid string // of the result
		want       func(x float64, ch int) float64
	}{
		{`qonnx.custom_op.general::MultiThreshold<out_dtype="UINT2">(q, three)`, "u2 1 0", func(x float64, ch int) float64 { return count(x, -3, 0.25, 7) }},
		{`finn.custom_op.general::MultiThreshold<out_dtype="INT2",out_bias=-2.0>(q, each)`, "i2 1 0", func(x float64, ch int) float64 {
			return count(x, []float64{-3, 4, 9}[ch], []float64{1, -5, 20}[ch]) - 2
		}},
		{`qonnx.custom_op.general::MultiThreshold<out_dtype="BIPOLAR",out_scale=2.0,out_bias=-1.0>(q, nought)`, "i2 1 0", func(x float64, ch int) float64 {
			return math.Copysign(1, x)
		}},
		{`qonnx.custom_op.general::MultiThreshold<out_scale=0.5,out_bias=10.0>(q, three)`, "u2 0.5 -20", func(x float64, ch int) float64 {
			return 10 + 0.5*count(x, -3, 0.25, 7)
		}},
		{`qonnx.custom_op.general::MultiThreshold<out_scale=-0.25>(q, three)`, "i3 0.25 0", func(x float64, ch int) float64 {
			return -0.25 * count(x, -3, 0.25, 7)
		}},
		{`qonnx.custom_op.general::MultiThreshold<data_layout="NHWC",out_dtype="UINT1">(q, pixel)`, "u1 1 0", nil},
		{`qonnx.custom_op.general::QuantAvgPool2d<kernel=2,stride=2,ibits=8,obits=8,signed=1>(q)`, "i8 1 0", nil},
		{`qonnx.custom_op.general::QuantAvgPool2d<kernel=2,stride=2,ibits=8,obits=4,signed=1,data_layout="NHWC">(q)`, "i4 1 0", nil},
	} {
		t.Run(c.node, func(t *testing.T) {
			g := mustImport(t, `
				opset qonnx.custom_op.general 1
				opset finn.custom_op.general 1
				in x f32[1,3,16,16]
				const one f32[] = 1
				const zero f32[] = 0
				const b8 f32[] = 8
				const three f32[1,3] = 7 -3 0.25
				const each f32[3,2] = -3 1 4 -5 9 20
				const nought f32[1,1] = 0
				const pixel f32[16,1] = -8 -7 -6 -5 -4 -3 -2 -1 0 1 2 3 4 5 6 7
				q = qonnx.custom_op.general::Quant(x, one, zero, b8)
				y = `+c.node+`
				out y`)
			x := tensor.New(tensor.F32, 1, 3, 16, 16)
			for i := range x.F {
				x.F[i] = float32((i*7+i/256)%256 - 128)
			}
			got := both(t, g, x)
			if q := g.Outputs[0].Type; !q.IsQuant() || gridText(q.Elem, q.Quant.Scale[0], q.Quant.Zero[0]) != c.grid {
				t.Errorf("result is %v, want %s", q, c.grid)
			}
			at := func(ch, r, k int) float64 { return float64(x.F[ch*256+r*16+k]) }
			for i, y := range got {
				var want float64
				switch {
				case c.want != nil:
					want = c.want(float64(x.F[i]), i/256)
				case len(got) == 3*256:
					want = count(float64(x.F[i]), float64(i%16-8))
				case len(got) == 3*64: // 255*4 has 10 bits: 2 are dropped
					ch, r, k := i/64, i/8%8*2, i%8*2
					want = math.Floor((at(ch, r, k) + at(ch, r, k+1) + at(ch, r+1, k) + at(ch, r+1, k+1)) / 4)
				default: // [1,1,8,16]: rows are channels, the last dim is that of the channels
					r, k := i/16*2, i%16
					want = math.Floor((at(0, r, k) + at(1, r, k) + at(0, r+1, k) + at(1, r+1, k)) / 64)
				}
				if float64(y) != want {
					t.Fatalf("element %d: got %v, want %v", i, y, want)
				}
			}
		})
	}
}

func TestThresholdErrors(t *testing.T) {
	_, err := importText(t, `
		opset qonnx.custom_op.general 1
		in x f32[1,3,4,4]
		const t f32[1,2] = 0 1
		const u f32[2] = 0 1
		const v f32[1,1] = NaN
		const w f32[2,1] = 0 1
		a = qonnx.custom_op.general::MultiThreshold<data_layout="CHW">(x, t)
		b = qonnx.custom_op.general::MultiThreshold(x, u)
		c = qonnx.custom_op.general::MultiThreshold(x, v)
		d = qonnx.custom_op.general::MultiThreshold(x, w)
		e = qonnx.custom_op.general::MultiThreshold<out_scale=0.0>(x, t)
		f = qonnx.custom_op.general::MultiThreshold<out_dtype="BIPOLAR">(x, t)
		g = qonnx.custom_op.general::MultiThreshold(x, x)
		h = qonnx.custom_op.general::QuantAvgPool2d<kernel=0>(x)
		i = qonnx.custom_op.general::QuantAvgPool2d<data_layout="CHW">(x)
		out a`)
	checkError(t, err, `
		t.onnx: node 0 (MultiThreshold): data_layout "CHW": want NCHW, NCW, NC, NHWC or NWC
		t.onnx: node 1 (MultiThreshold): input 1 (thresholds): want reals of shape [1,n] or [channels,n], got f32[2]
		t.onnx: node 2 (MultiThreshold): input 1 (thresholds): element 0 is not a number
		t.onnx: node 3 (MultiThreshold): input 1 (thresholds): want [1,n] or [3,n], got f32[2,1]
		t.onnx: node 4 (MultiThreshold): out_scale 0, out_bias 0: want finite numbers, the first not 0
		t.onnx: node 5 (MultiThreshold): out_dtype BIPOLAR with out_scale 1, out_bias 0 and 2 thresholds: want 2, -1 and 1
		t.onnx: node 6 (MultiThreshold): input 1 (thresholds): "x" has to be a constant, but it is computed when the model runs
		t.onnx: node 7 (QuantAvgPool2d): stride 1, kernel 0, ibits 1, obits 1: want at least 1 each, and at most 1024, 16 and 32 for the last three
		t.onnx: node 8 (QuantAvgPool2d): data_layout "CHW": want NCHW or NHWC`)
}

func gridText(e tensor.Elem, scale float64, zero int64) string {
	return fmt.Sprint(e, " ", scale, " ", zero)
}

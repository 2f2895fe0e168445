package onnx

import (
	"math"
	"strings"
	"testing"

	"quern/frontend/onnx/onnxpb"
	"quern/ir/tensor"
)

// TestQuantized: the QDQ and the QONNX form, and the IR that they become.
func TestQuantized(t *testing.T) {
	for _, c := range []struct{ name, model, want string }{
		{"QDQ", `
			in x f32[N,2]
			const s f32[] = 0.5
			const z i8[] = 3
			const w i8[2,3] = 1 -2 3 -4 5 127
			const ws f32[3] = 1 2 3
			const wz i8[3] = 0 0 0
			const b i32[3] = 7 8 9
			const bs f32[3] = 0.5 1 1.5
			q = QuantizeLinear(x, s, z)  ; q
			d = DequantizeLinear(q, s, z)  ; d
			wd = DequantizeLinear<axis=-1>(w, ws, wz)  ; wd
			bd = DequantizeLinear<axis=0>(b, bs)
			y = Gemm(d, wd, bd)
			out y`, `
			%q i8[N,2]{s=0.5 z=3} = Quantize(%x)
			%d f32[N,2] = Dequantize(%q)
			const %w i8[2,3]{s=[1,2,3] z=0 axis=1} = [1 -2 3 -4 5 127]
			%wd f32[2,3] = Dequantize(%w)
			const %b i32[3]{s=[0.5,1,1.5] z=0 axis=0} = [7 8 9]
			%bd f32[3] = Dequantize(%b)
			%y f32[N,3] = Gemm(%d, %wd, %bd)
			return %y`},
		{"QDQ per channel zero points, one scale, uint8 without zero point", `
			in x f32[N,2]
			const s f32[2] = 0.5 0.25
			const z u8[2] = 1 2
			const one f32[1] = 1
			q = QuantizeLinear(x, s, z)
			d = DequantizeLinear(q, s, z)
			e = QuantizeLinear(d, one)
			out e u8[N,2]`, `
			%q u8[N,2]{s=[0.5,0.25] z=[1,2] axis=1} = Quantize(%x)
			%d f32[N,2] = Dequantize(%q)
			%e u8[N,2]{s=1 z=0} = Quantize(%d)
			return %e`},
		{"QDQ of 16 and 4 bits", `
			opset 21
			in x f32[N,2]
			const s f32[] = 0.5
			const z u16[] = 1
			const w i4[2] = -8 7
			q = QuantizeLinear(x, s, z)
			d = DequantizeLinear<block_size=0>(q, s, z)
			e = DequantizeLinear(w, s)
			f = QuantizeLinear<output_dtype=22>(d, s)
			g = Add(d, e)
			out g
			out f`, `
			%q u16[N,2]{s=0.5 z=1} = Quantize(%x)
			%d f32[N,2] = Dequantize(%q)
			const %w i4[2]{s=0.5 z=0} = [-8 7]
			%e f32[2] = Dequantize(%w)
			%f i4[N,2]{s=0.5 z=0} = Quantize(%d)
			%g f32[N,2] = Add(%d, %e)
			return %g, %f`},
		{"integers moved between Quantize and Dequantize", `
			in x f32[1,1,4,4]
			const s f32[] = 0.5
			const z u8[] = 3
			const p i64[8] = 0 0 1 1 0 0 0 0
			const v u8[] = 5
			const r i64[2] = 1 4
			const i i64[] = 1
			q = QuantizeLinear(x, s, z)
			a = Pad(q, p, v)
			b = MaxPool<kernel_shape=[2,2],strides=[2,2]>(a)
			c = Reshape(b, r)
			d = Concat<axis=1>(c, c)
			e, f = Split<axis=1>(d)
			g = Transpose(e)
			h = Gather(g, i)
			n = Identity(h)
			y = DequantizeLinear(n, s, z)
			out y`, `
			%q u8[1,1,4,4]{s=0.5 z=3} = Quantize(%x)
			%a u8[1,1,5,5]{s=0.5 z=3} = Pad<pads=[0,0,1,1,0,0,0,0],value=1f>(%q)
			%b u8[1,1,2,2]{s=0.5 z=3} = MaxPool<kernel_shape=[2,2],strides=[2,2]>(%a)
			%c u8[1,4]{s=0.5 z=3} = Reshape<shape=[1,4]>(%b)
			%d u8[1,8]{s=0.5 z=3} = Concat<axis=1>(%c, %c)
			%e u8[1,4]{s=0.5 z=3}, %f u8[1,4]{s=0.5 z=3} = Split<axis=1,split=[4,4]>(%d)
			%g u8[4,1]{s=0.5 z=3} = Transpose<perm=[1,0]>(%e)
			const %i i64[] = [1]
			%h u8[1]{s=0.5 z=3} = Gather(%g, %i)
			%n u8[1]{s=0.5 z=3} = Identity(%h)
			%y f32[1] = Dequantize(%n)
			return %y`},
		{"QuantizeLinear of a constant, an integer initializer with two readers", `
			in x f32[2]
			const s f32[] = 0.5
			const z i8[] = 1
			const c f32[2] = 1 100
			const w i8[2] = 1 2
			q = QuantizeLinear(c, s, z)
			d = DequantizeLinear(q, s, z)
			e = DequantizeLinear(w, s, z)
			f = DequantizeLinear(w, s)
			a = Add(x, d)
			b = Add(a, e)
			y = Add(b, f)
			out y`, `
			const %q i8[2]{s=0.5 z=1} = [3 127]
			%d f32[2] = Dequantize(%q)
			const %w.1 i8[2]{s=0.5 z=1} = [1 2]
			%e f32[2] = Dequantize(%w.1)
			const %w.2 i8[2]{s=0.5 z=0} = [1 2]
			%f f32[2] = Dequantize(%w.2)
			%a f32[2] = Add(%x, %d)
			%b f32[2] = Add(%a, %e)
			%y f32[2] = Add(%b, %f)
			return %y`},
		{"QONNX", `
			opset onnx.brevitas 1
			in x f32[N,2,4,4]
			const s f32[] = 0.5
			const z f32[] = 0
			const b8 f32[] = 8
			const b3 f32[1] = 3
			const w f32[1,2,1,1] = 0.3 -9
			const ws f32[1,2,1,1] = 0.1 1
			a = onnx.brevitas::Quant<signed=0,narrow=0,rounding_mode="FLOOR">(x, s, z, b8)  ; qa
			v = onnx.brevitas::Quant<signed=1,narrow=1,rounding_mode="HALF_UP">(w, ws, z, b3)  ; qw
			y = Conv(a, v)  ; conv
			r = onnx.brevitas::Quant(y, s, z, b3)
			out r`, `
			%a_int u8[N,2,4,4]{s=0.5 z=0 round=floor} = Quantize(%x)
			%a f32[N,2,4,4] = Dequantize(%a_int)
			const %v_int i3[1,2,1,1]{s=[0.1,1] z=0 axis=1 min=-3 max=3 round=half_away} = [3 -3]
			%v f32[1,2,1,1] = Dequantize(%v_int)
			%y f32[N,1,4,4] = Conv(%a, %v)
			%r_int i3[N,1,4,4]{s=0.5 z=0} = Quantize(%y)
			%r f32[N,1,4,4] = Dequantize(%r_int)
			return %r`},
		{"QONNX: axes, zero points, widths", `
			opset qonnx.custom_op.general 1
			opset finn.custom_op.general 1
			in x f32[N,3]
			const one f32[1,1] = 1
			const s3 f32[3] = 1 2 3
			const z0 f32[] = 0
			const z3 f32[1,3] = 1 2 -3
			const b1 f32[] = 1
			const b4 f32[1] = 4
			const b32 f32[] = 32
			const b40 f32[] = 40
			const c f32[2] = 1e6 -3
			a = qonnx.custom_op.general::Quant<signed=0>(x, one, z0, b1)
			b = finn.custom_op.general::IntQuant<signed=0,narrow=1,rounding_mode="HALF_EVEN">(a, s3, z0, b4)
			d = qonnx.custom_op.general::Quant(b, one, z3, b32)
			e = qonnx.custom_op.general::Quant(c, one, z0, b40)
			out d
			out e`, `
			%a_int u1[N,3]{s=1 z=0} = Quantize(%x)
			%a f32[N,3] = Dequantize(%a_int)
			%b_int u4[N,3]{s=[1,2,3] z=0 axis=1 min=0 max=14} = Quantize(%a)
			%b f32[N,3] = Dequantize(%b_int)
			%d_int i32[N,3]{s=[1,1,1] z=[1,2,-3] axis=1} = Quantize(%b)
			%d f32[N,3] = Dequantize(%d_int)
			const %e_int i40[2]{s=1 z=0} = [1000000 -3]
			%e f32[2] = Dequantize(%e_int)
			return %d, %e`},
		{"a bias beyond 32 bits, as int-16 networks have", `
			opset qonnx.custom_op.general 1
			const c f32[2] = 8589934592 -3
			const s f32[] = 1
			const z f32[] = 0
			const b f32[] = 36
			in x f32[2]
			e = qonnx.custom_op.general::Quant(c, s, z, b)
			y = Add(x, e)
			out y`, `
			const %e_int i36[2]{s=1 z=0} = [8589934592 -3]
			%e f32[2] = Dequantize(%e_int)
			%y f32[2] = Add(%x, %e)
			return %y`},
		{"ranges of quern's own", `
			opset qonnx.custom_op.general 1
			in x f32[2]
			const s f32[] = 0.5
			const z f32[] = 1
			const b f32[] = 4
			const lo f32[] = -0.5
			const hi f32[] = 2.5
			c = Clip(x, lo, hi)  ; a_quern_clip
			a = qonnx.custom_op.general::Quant<quern_min=0,quern_max=6>(c, s, z, b)
			d = Clip(a, lo, hi)  ; mine
			e = qonnx.custom_op.general::Quant<quern_min=0,quern_max=6>(d, s, z, b)
			out e`, `
			%a_int i4[2]{s=0.5 z=1 min=0 max=6} = Quantize(%x)
			%a f32[2] = Dequantize(%a_int)
			%d f32[2] = Clip<min=-0.5f,max=2.5f>(%a)
			%e_int i4[2]{s=0.5 z=1 min=0 max=6} = Quantize(%d)
			%e f32[2] = Dequantize(%e_int)
			return %e`},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := mustImport(t, c.model)
			checkText(t, g, c.want)
			once := again(t, g)
			if strings.Contains(c.model, "::Quant") {
				checkSame(t, once, g)
			}
			checkSame(t, again(t, once), once) // the QDQ form has become QONNX, which stays
		})
	}
}

func TestQuantizedInput(t *testing.T) {
	g := mustImport(t, `
		in x u8[N,2]
		const s f32[] = 0.5
		y = DequantizeLinear(x, s)
		out y`)
	checkText(t, g, `
		%y f32[N,2] = Dequantize(%x)
		return %y`)
	if s := g.Inputs[0].Type.String(); s != "u8[N,2]{s=0.5 z=0}" {
		t.Errorf("input %s", s)
	}
	checkText(t, again(t, g), `
		%y_int u8[N,2]{s=0.5 z=0} = Quantize(%x)
		%y f32[N,2] = Dequantize(%y_int)
		return %y`)
}

func TestQuantizedErrors(t *testing.T) {
	for _, c := range []struct{ name, model, want string }{
		{"QuantizeLinear", `
			opset 21
			in x f32[N,4]
			in i i32[N,4]
			in dyn f32[]
			const s f32[] = 0.5
			const s2 f32[2] = 1 1
			const s0 f32[1] = 0
			const sb f32[2,2] = 1 1 1 1
			const si i32[] = 1
			const z i8[] = 0
			const zf f32[] = 0
			a = QuantizeLinear(x, dyn)
			b = QuantizeLinear(x, s2)
			c = QuantizeLinear(x, s0)
			d = QuantizeLinear(x, sb)
			e = QuantizeLinear<block_size=2>(x, s)
			f = QuantizeLinear(x, si)
			g = QuantizeLinear(x, s, zf)
			h = QuantizeLinear(i, s, z)
			j = QuantizeLinear<axis=7>(x, s2)
			k = QuantizeLinear<output_dtype=17>(x, s)
			l = QuantizeLinear(x, s2, z)
			m = QuantizeLinear(x)
			n = QuantizeLinear<foo=1>(x, s)
			out a`, `
			t.onnx: node 0 (QuantizeLinear): input 1 (scale): "dyn" has to be a constant, but it is computed when the model runs
			t.onnx: node 1 (QuantizeLinear): 2 scales or zero points, but axis 1 of f32[N,4] has 4
			t.onnx: node 2 (QuantizeLinear): input 1 (scale): element 0 is 0, want a positive finite number
			t.onnx: node 3 (QuantizeLinear): scale f32[2 2] with block_size 0: blocks are not supported, want one scale or one for each index of an axis
			t.onnx: node 4 (QuantizeLinear): scale f32[] with block_size 2: blocks are not supported, want one scale or one for each index of an axis
			t.onnx: node 5 (QuantizeLinear): input 1 (scale): want reals, got i32[]
			t.onnx: node 6 (QuantizeLinear): quantization to f32 is not supported, want integers of up to 32 bits
			t.onnx: node 7 (QuantizeLinear): input 0: want reals, got i32[N,4]
			t.onnx: node 8 (QuantizeLinear): axis 7 of 2 dims: want -2 to 1
			t.onnx: node 9 (QuantizeLinear): attribute output_dtype: element type FLOAT8E4M3FN is not supported
			t.onnx: node 10 (QuantizeLinear): input 2 (zero point): want as many as scales, 2, got 1
			t.onnx: node 11 (QuantizeLinear): want 2 to 3 inputs, got 1
			t.onnx: node 12 (QuantizeLinear): attribute foo is not supported`},
		{"DequantizeLinear", `
			in x f32[N,4]
			in i i8[N,4]
			in j i8[N,4]
			const s f32[] = 0.5
			const t f32[] = 0.25
			const z u8[] = 3
			a = QuantizeLinear(x, s, z)
			b = DequantizeLinear(a, t, z)
			c = DequantizeLinear(a, s)
			d = DequantizeLinear(x, s)
			e = DequantizeLinear(i, s, z)
			f = Neg(i)
			g = DequantizeLinear(f, s)
			h = DequantizeLinear(i, s)
			l = DequantizeLinear(j, s)
			m = DequantizeLinear(j, t)
			out l`, `
			t.onnx: node 1 (DequantizeLinear): scale and zero point differ from those that "a" was quantized with
			t.onnx: node 2 (DequantizeLinear): scale and zero point differ from those that "a" was quantized with
			t.onnx: node 3 (DequantizeLinear): quantization to f32 is not supported, want integers of up to 32 bits
			t.onnx: node 4 (DequantizeLinear): input 2 (zero point): want the element type of input 0, i8, got u8[]
			t.onnx: node 6 (DequantizeLinear): input 0: "f" is computed with plain integers; want what QuantizeLinear made, a constant or a graph input
			t.onnx: node 7 (DequantizeLinear): input 0: the graph input "i" is read as plain integers by another node before
			t.onnx: node 9 (DequantizeLinear): scale and zero point differ from those that "j" was quantized with`},
		{"integers of quantized values taken as numbers", `
			in x f32[2,2]
			const s f32[] = 0.5
			const t f32[2] = 0.5 1
			const z u8[] = 3
			const one u8[] = 1
			a = QuantizeLinear(x, s, z)
			b = Add(a, one)
			c = Cast<to=1>(a)
			d = Relu(a)
			e = QuantizeLinear(x, s)
			f = Concat<axis=0>(a, e)
			g = Relu(e)
			h = Add(one, a)
			i = Clip(a, one)
			p = QuantizeLinear(x, t)
			q = Transpose(p)
			r = Relu(p)
			out g`, `
			t.onnx: node 1 (Add): "a" is quantized: its integers are not plain numbers; want DequantizeLinear, or an operator that only moves values
			t.onnx: node 2 (Cast): "a" is quantized: its integers are not plain numbers; want DequantizeLinear, or an operator that only moves values
			t.onnx: node 3 (Relu): "a" is quantized: its integers are not plain numbers; want DequantizeLinear, or an operator that only moves values
			t.onnx: node 5 (Concat): input 1: "e" is not quantized like input 0
			t.onnx: node 7 (Add): input 0 holds plain numbers, but input 1, "a", is quantized
			t.onnx: node 8 (Clip): "a" is quantized: its integers are not plain numbers; want DequantizeLinear, or an operator that only moves values
			t.onnx: node 10 (Transpose): "p" is quantized along axis 1: want one scale where values are moved`},
		{"QONNX", `
			opset onnx.brevitas 1
			in x f32[N,2,3]
			in i i64[2]
			const s f32[] = 0.5
			const z f32[] = 0
			const half f32[] = 0.5
			const s23 f32[2,3] = 1 1 1 1 1 1
			const s4 f32[1,1,1,2] = 1 1
			const s2111 f32[2,1,1,1] = 1 1
			const s2 f32[2] = 1 1
			const b f32[] = 8
			const bb f32[2] = 8 4
			const b1 f32[] = 1
			const b33 f32[] = 33
			const b49 f32[] = 49
			const c f32[1] = 1e20
			a = onnx.brevitas::Quant<rounding_mode="ODD">(x, s, z, b)
			b2 = onnx.brevitas::Quant(x, x, z, b)
			c2 = onnx.brevitas::Quant(x, s, half, b)
			d = onnx.brevitas::Quant(x, s, z, half)
			e = onnx.brevitas::Quant<narrow=1>(x, s, z, b1)
			f = onnx.brevitas::Quant(x, s, z, b33)
			g = onnx.brevitas::Quant(c, s, z, b49)
			h = onnx.brevitas::Quant(c, s, z, b33)
			j = onnx.brevitas::Quant(x, s23, z, b)
			k = onnx.brevitas::Quant(x, s4, z, b)
			l = onnx.brevitas::Quant(x, s2, z, b)
			m = onnx.brevitas::Quant(x, s, z, bb)
			n = onnx.brevitas::Quant<signed=2>(x, s, z, b)
			o = onnx.brevitas::Quant(i, s, z, b)
			p = onnx.brevitas::Quant(x, s, z)
			q = onnx.brevitas::Quant<foo=1>(x, s, z, b)
			r = onnx.brevitas::FloatQuant(x, s)
			u = onnx.brevitas::Quant<quern_max=128>(x, s, z, b)
			v = onnx.brevitas::Quant(x, s2111, z, b)
			w = onnx.brevitas::Quan(x, s, z, b)
			y = Quant(x, s, z, b)
			out a`, `
			t.onnx: node 0 (Quant): rounding_mode "ODD" is not supported, want one of ROUND, HALF_EVEN, HALF_UP, HALF_DOWN, FLOOR, CEIL, UP, DOWN, ROUND_TO_ZERO
			t.onnx: node 1 (Quant): input 1 (scale): "x" has to be a constant, but it is computed when the model runs
			t.onnx: node 2 (Quant): input 2 (zero point): element 0 is 0.5, want an integer
			t.onnx: node 3 (Quant): input 3 (bitwidth) is 0.5, want an integer from 1 to 32
			t.onnx: node 4 (Quant): 1 signed bit stands for -1 and 1: want zero point 0, and not narrow
			t.onnx: node 5 (Quant): input 3 (bitwidth) is 33, want an integer from 1 to 32
			t.onnx: node 6 (Quant): input 3 (bitwidth) is 49, want an integer from 1 to 48
			t.onnx: node 8 (Quant): input 1: shape [2 3] runs along more than one axis of f32[N,2,3]; want one number, or one for each index of an axis
			t.onnx: node 9 (Quant): 2 scales or zero points, but axis 2 of f32[N,2,3] has 3
			t.onnx: node 10 (Quant): 2 scales or zero points, but axis 2 of f32[N,2,3] has 3
			t.onnx: node 11 (Quant): input 3 (bitwidth): widths that differ by channel are not supported
			t.onnx: node 12 (Quant): attribute signed is 2, want 0 or 1
			t.onnx: node 13 (Quant): input 0: want reals, got i64[2]
			t.onnx: node 14 (Quant): want 4 inputs, got 3
			t.onnx: node 15 (Quant): attribute foo is not supported
			t.onnx: node 16 (FloatQuant): it is not supported: it rounds to small floats; want Quant nodes, which make integers
			t.onnx: node 17 (Quant): quern_min -128, quern_max 128: want a range inside -128..127
			t.onnx: node 18 (Quant): input 1: shape [2 1 1 1] runs along more than one axis of f32[N,2,3]; want one number, or one for each index of an axis
			t.onnx: node 19 (Quan): operator Quan (domain onnx.brevitas, opset 1) is not supported: did you mean Quant?
			t.onnx: node 20 (Quant): operator Quant (domain ai.onnx, opset 13) is not supported: only that of the QONNX domains is`},
		{"NaN", `
			const c f32[1] = NaN
			const s f32[] = 1
			a = QuantizeLinear(c, s)
			out a`, `t.onnx: node 0 (QuantizeLinear): input 0: element 0 is not a number`},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := importText(t, c.model)
			checkError(t, err, c.want)
		})
	}
}

// TestQuantOfConstants compares the integers of a QONNX constant with the definition in the QONNX documents: clamp(x/scale + zero), then
// round, over ties and values beyond the range.
func TestQuantOfConstants(t *testing.T) {
	away := func(x float64) float64 { return math.Copysign(math.Floor(math.Abs(x)+0.5), x) }
	modes := map[string]func(float64) float64{"ROUND": math.RoundToEven, "FLOOR": math.Floor, "HALF_UP": away}
	for mode, round := range modes {
		for _, signed := range []int{0, 1} {
			for _, narrow := range []int{0, 1} {
				lo, hi := 0.0, 15.0-float64(narrow)
				if signed == 1 {
					lo, hi = -8+float64(narrow), 7
				}
				m := parseModel(t, `
					opset qonnx.custom_op.general 1
					const s f32[] = 0.25
					const z f32[] = 0
					const b f32[] = 4
					const x f32[1] = 0
					y = qonnx.custom_op.general::Quant(x, s, z, b)
					out y`)
				m.Graph.Node[0].Attribute = []*onnxpb.AttributeProto{intAttr("signed", signed), intAttr("narrow", narrow), stringAttr("rounding_mode", mode)}
				x := tensor.New(tensor.F32, 401)
				for i := range x.F {
					x.F[i] = float32(i-200) / 32 // steps of an eighth of the scale
				}
				p, err := encodeTensor("x", x)
				if err != nil {
					t.Fatal(err)
				}
				m.Graph.Initializer[3] = p
				g, err := FromProto(m, "t.onnx", Options{})
				if err != nil {
					t.Fatal(err)
				}
				q := g.Nodes[0].In[0]
				for i, v := range x.F {
					want := round(min(max(float64(v)/0.25, lo), hi))
					if got := float64(q.Const.I[i]); got != want {
						t.Errorf("%s signed %d narrow %d: %v: got %v, want %v", mode, signed, narrow, v, got, want)
					}
				}
			}
		}
	}
}

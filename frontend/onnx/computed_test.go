package onnx

import (
	"fmt"
	"strings"
	"testing"

	"quern/ir"
)

// TestComputed: operators that older ones express, those that are computed at import, and parameters between inputs of data. What has
// nodes is exported and imported again.
func TestComputed(t *testing.T) {
	for _, c := range []struct{ name, model, want string }{
		{"OneHot: the depth between two inputs of data", `
			in x i64[N,3]
			in v f32[2]
			const d i64[1] = 5
			y = OneHot<axis=-2>(x, d, v)
			out y`, `
			%y f32[N,5,3] = OneHot<axis=1,depth=5>(%x, %v)
			return %y`},
		{"TopK 1", `
			opset 9
			in x f32[N,8]
			v, i = TopK<k=3,axis=-1>(x)
			out i`, `
			%v f32[N,3], %i i64[N,3] = TopK<axis=1,k=3>(%x)
			return %i`},
		{"TopK 11 without indices, CumSum, Trilu", `
			opset 14
			in x f32[N,8]
			const k i64[1] = 3
			const a i32[] = -1
			const d i64[] = -1
			v = TopK<largest=0>(x, k)
			c = CumSum<reverse=1>(v, a)
			y = Trilu<upper=0>(c, d)
			z = Trilu(y)
			out z`, `
			%v f32[N,3], %v.unused i64[N,3] = TopK<axis=1,k=3,largest=false>(%x)
			%c f32[N,3] = CumSum<axis=1,reverse=true>(%v)
			%y f32[N,3] = Trilu<k=-1,upper=false>(%c)
			%z f32[N,3] = Trilu(%y)
			return %z`},
		{"Scatter 9, ScatterND 18", `
			opset 9
			in x f32[4,2]
			in i i64[1,2]
			in u f32[1,2]
			y = Scatter<axis=-2>(x, i, u)
			out y`, `
			%y f32[4,2] = ScatterElements(%x, %i, %u)
			return %y`},
		{"reductions", `
			opset 18
			in x f32[4,2]
			in i i64[1,1]
			in u f32[1,2]
			const a i64[1] = -1
			y = ScatterND<reduction="max">(x, i, u)
			z = ReduceL2<keepdims=0>(y, a)
			out z`, `
			%y f32[4,2] = ScatterND<reduction="max">(%x, %i, %u)
			%z f32[4] = ReduceL2<axes=[1],keepdims=false>(%y)
			return %z`},
		{"reductions over no axes", `
			opset 18
			in x f32[2]
			const none i64[0] =
			a = ReduceL1<noop_with_empty_axes=1>(x, none)
			b = ReduceSumSquare<noop_with_empty_axes=1>(a)
			c = ReduceLogSum<noop_with_empty_axes=1>(b)
			d = ReduceLogSumExp<noop_with_empty_axes=1>(c)
			out d`, `
			%a f32[2] = Abs(%x)
			%b f32[2] = Mul(%a, %a)
			%c f32[2] = Log(%b)
			%d f32[2] = Identity(%c)
			return %d`},
		{"Hardmax 1", `
			opset 11
			in x f32[N,2,3]
			y = Hardmax(x)
			out y`, `
			%y_flat f32[N,6] = Flatten(%x)
			%y_rows f32[N,6] = Hardmax<axis=1>(%y_flat)
			%y f32[N,2,3] = Reshape<shape=[0,2,3]>(%y_rows)
			return %y`},
		{"And 1", `
			opset 6
			in x bool[2,3,4]
			in b bool[3]
			y = And<broadcast=1,axis=1>(x, b)
			out y`, `
			%y_wide bool[3,1] = Unsqueeze<axes=[1]>(%b)
			%y bool[2,3,4] = And(%x, %y_wide)
			return %y`},
		{"CastLike, Mean", `
			opset 15
			in x i8[2]
			in f f32[N,2]
			y = CastLike(x, f)
			z = Mean(y, f)
			w = Mean(z)
			out w`, `
			%y f32[2] = Cast(%x)
			%z_sum f32[N,2] = Sum(%y, %f)
			const %z_count f32[] = [2]
			%z f32[N,2] = Div(%z_sum, %z_count)
			%w f32[N,2] = Identity(%z)
			return %w`},
		{"CenterCropPad", `
			opset 18
			in x f32[N,5,2]
			const s i64[2] = 2 5
			const t i64[1] = 2
			y = CenterCropPad<axes=[1,-1]>(x, s)
			z = CenterCropPad<axes=[1]>(y, t)
			out z`, `
			%y_crop f32[N,2,2] = Slice<starts=[1],ends=[3],axes=[1]>(%x)
			%y f32[N,2,5] = Pad<pads=[0,0,1,0,0,2]>(%y_crop)
			%z f32[N,2,5] = Identity(%y)
			return %z`},
		{"Compress by a constant", `
			in x f32[N,4]
			const c bool[4] = 1 0 0 1
			y = Compress<axis=1>(x, c)
			out y`, `
			const %y_indices i64[2] = [0 3]
			%y f32[N,2] = Gather<axis=1>(%x, %y_indices)
			return %y`},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := mustImport(t, c.model)
			checkText(t, g, c.want)
			checkSame(t, again(t, g), g)
		})
	}
}

// TestConstants: what is computed at import, symbolic dimensions included.
func TestConstants(t *testing.T) {
	for _, c := range []struct{ node, out, want string }{
		{"r = Range(one, eight, three)", "r", "i64[3] [1 4 7]"},
		{"r = Range(eight, one, minus)", "r", "i64[7] [8 7 6 5 4 3 2]"},
		{"r = Range(one, one, three)", "r", "i64[0] []"},
		{"n = NonZero(v)", "n", "i64[2,3] [0 0 1 0 2 1]"},
		{"u, i, b, c = Unique(v)", "u", "i64[4] [0 3 4 5]"},
		{"u, i, b, c = Unique(v)", "i", "i64[4] [1 4 2 0]"},
		{"u, i, b, c = Unique<sorted=0>(v)", "b", "i64[6] [0 1 2 1 3 1]"},
		{"u, _, _, c = Unique<sorted=0>(v)", "c", "i64[4] [1 3 1 1]"},
		{"u = Unique<axis=1>(v)", "u", "i64[2,3] [0 4 5 3 0 0]"},
		{"e = EyeLike<dtype=9,k=-1>(v)", "e", "bool[2,3] [0 0 0 1 0 0]"},
		{"e = Size(v)", "e", "i64[] [6]"},
		{"e = Size(x)", "e", "i64[] [N]"},
		{"c = CenterCropPad(v, two)", "c", "i64[2,2] [5 0 0 3]"},
		{"c = Compress(v, mask)", "c", "i64[2] [5 4]"},
	} {
		g := mustImport(t, `
			opset 18
			in x f32[N,1]
			const one i64[] = 1
			const three i64[] = 3
			const eight i64[] = 8
			const minus i64[] = -1
			const two i64[2] = 2 2
			const mask bool[3] = 1 0 1
			const v i64[2,3] = 5 0 4 0 3 0
			`+c.node+`
			out `+c.out)
		v := g.Outputs[0]
		if v.Const == nil {
			t.Errorf("%s: not computed", c.node)
			continue
		}
		var l []string
		for _, x := range v.Const.I {
			l = append(l, ir.DimString(int(x)))
		}
		if got := fmt.Sprintf("%v [%s]", v.Type, strings.Join(l, " ")); got != c.want {
			t.Errorf("%s: %s is %s, want %s", c.node, c.out, got, c.want)
		}
	}
}

// TestNotComputed: what these operators refuse.
func TestNotComputed(t *testing.T) {
	for _, c := range []struct{ node, want string }{
		{"y = NonZero(x)", `(NonZero): input 0 (X, which decides the shape of the result): "x" has to be a constant, but it is computed when the model runs`},
		{"y = Compress(x, b)", `(Compress): input 1 (condition, which decides the shape of the result): "b" has to be a constant, but it is computed when the model runs`},
		{"s = Shape(x) \n y = Range(zero, s, one)", "(Range): input 1 (limit): dimension N must be known"},
		{"y = Range(one, one, zero)", "(Range): input 2 (delta): want a step other than 0"},
		{"y = Range(zero, f, one)", "(Range): input 1 (limit): want one number of the type of input 0, got f32[]"},
		{"y = EyeLike(x)", "(EyeLike): input 0: want 2 known dims, got f32[N]"},
		{"y = CenterCropPad(x, one)", "(CenterCropPad): axis 0: size N to 1: the dimensions must be known"},
		{"y = Compress<axis=0>(f2, m)", "(Compress): input 1 (condition): element 2 is true, but axis 0 has size 2"},
		{"y = BitShift(u, u)", "(BitShift): attribute direction is missing"},
		{"y = TopK(x, h)", "(TopK): input 1 (k): want one integer, got f32[]"},
		{"y = TopK(x)", "(TopK): input 1 (k) is missing"},
		{"y = Unique<axis=2>(f2)", "(Unique): axis 2 of 1 dims: want -1 to 0"},
		{"y = Scatter<axes=1>(x, x, x)", "(Scatter): attribute axes is not supported"},
	} {
		_, err := importText(t, strings.ReplaceAll(`
			opset 18
			in x f32[N]
			in b bool[3]
			in u u8[2]
			const zero i64[1] = 0
			const one i64[1] = 1
			const f f32[] = 3
			const h f32[] = 0.5
			const f2 f32[2] = 1 2
			const m bool[3] = 0 0 1
			`+c.node+`
			out y`, "\\n", "\n"))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %s", c.node, err, c.want)
		}
	}
}

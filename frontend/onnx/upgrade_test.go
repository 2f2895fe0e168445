package onnx

import "testing"

// TestUpgrade has a model for every old or abbreviated form, and the IR that it becomes. Each is exported and imported again, too.
func TestUpgrade(t *testing.T) {
	for _, c := range []struct{ name, model, want string }{
		{"Clip 6", `
			opset 7
			in x f32[2]
			y = Clip<min=0.0,max=6.0>(x)
			out y`, `
			%y f32[2] = Clip<min=0f,max=6f>(%x)
			return %y`},
		{"Clip 6 without bounds", `
			opset 10
			in x f32[2]
			y = Clip(x)
			out y`, `
			%y f32[2] = Clip(%x)
			return %y`},
		{"Clip of integers", `
			opset 12
			in x i8[2]
			const lo i8[] = -3
			const hi i8[] = 6
			a = Clip(x, lo, hi)
			b = Clip(x, _, hi)
			c = Clip(x)
			out a
			out b
			out c`, `
			const %lo i8[] = [-3]
			%a_low i8[2] = Max(%x, %lo)
			const %hi i8[] = [6]
			%a i8[2] = Min(%a_low, %hi)
			%b i8[2] = Min(%x, %hi)
			%c i8[2] = Identity(%x)
			return %a, %b, %c`},
		{"Dropout with mask", `
			opset 12
			in x f32[1,3]
			y, m = Dropout(x)
			out y
			out m`, `
			%y f32[1,3] = Dropout(%x)
			const %m bool[1,3] = [1 1 1]
			return %y, %m`},
		{"MaxPool with indices", `
			opset 12
			in x u8[1,1,4]
			y, i = MaxPool<kernel_shape=[2],ceil_mode=1>(x)
			_, j = MaxPool<kernel_shape=[2],storage_order=1,auto_pad="SAME_UPPER">(x)
			out y
			out i
			out j`, `
			%y u8[1,1,3] = MaxPool<kernel_shape=[2],ceil_mode=true>(%x)
			%i i64[1,1,3] = MaxPoolIndices<kernel_shape=[2],ceil_mode=true>(%x)
			%j i64[1,1,4] = MaxPoolIndices<kernel_shape=[2],pads=[0,1],storage_order=1>(%x)
			return %y, %i, %j`},
		{"Clip 11", `
			opset 11
			in x f32[2]
			const hi f32[] = 6
			y = Clip(x, _, hi)
			out y`, `
			%y f32[2] = Clip<max=6f>(%x)
			return %y`},
		{"Pad 2", `
			opset 10
			in x f32[1,2]
			y = Pad<pads=[0,1,0,2],mode="edge",value=1.5>(x)
			out y`, `
			%y f32[1,5] = Pad<pads=[0,1,0,2],value=1.5f,mode="edge">(%x)
			return %y`},
		{"Pad 11", `
			opset 11
			in x f32[1,2]
			const p i64[4] = 0 1 0 2
			const v f32[] = 7
			y = Pad(x, p, v)
			out y`, `
			%y f32[1,5] = Pad<pads=[0,1,0,2],value=7f>(%x)
			return %y`},
		{"Pad 19 with mode wrap", `
			opset 19
			in x f32[1,2]
			const p i64[4] = 0 3 0 0
			y = Pad<mode="wrap">(x, p)
			out y`, `
			%y f32[1,5] = Pad<pads=[0,3,0,0],mode="wrap">(%x)
			return %y`},
		{"Pad 18 with axes", `
			opset 18
			in x f32[1,2,3]
			const p i64[2] = 1 2
			const a i64[1] = -2
			y = Pad<mode="reflect">(x, p, _, a)
			out y`, `
			%y f32[1,5,3] = Pad<pads=[0,1,0,0,2,0],mode="reflect">(%x)
			return %y`},
		{"Squeeze 1", `
			opset 12
			in x f32[1,2,1]
			y = Squeeze<axes=[-1,0]>(x)
			out y`, `
			%y f32[2] = Squeeze<axes=[0,2]>(%x)
			return %y`},
		{"Squeeze 13", `
			in x f32[1,2,1]
			const a i64[1] = -1
			y = Squeeze(x, a)
			z = Squeeze(y)
			out z`, `
			%y f32[1,2] = Squeeze<axes=[2]>(%x)
			%z f32[2] = Squeeze(%y)
			return %z`},
		{"Unsqueeze 1", `
			opset 11
			in x f32[2]
			y = Unsqueeze<axes=[2,0]>(x)
			out y`, `
			%y f32[1,2,1] = Unsqueeze<axes=[0,2]>(%x)
			return %y`},
		{"Unsqueeze 13", `
			in x f32[2]
			const a i64[1] = -1
			y = Unsqueeze(x, a)
			out y`, `
			%y f32[2,1] = Unsqueeze<axes=[1]>(%x)
			return %y`},
		{"Reshape 5", `
			opset 8
			in x f32[N,2,3]
			const s i64[2] = 0 -1
			y = Reshape(x, s)
			out y`, `
			%y f32[N,6] = Reshape<shape=[0,-1]>(%x)
			return %y`},
		{"Reshape 14", `
			opset 14
			in x f32[2,3]
			const s i64[2] = 3 2
			y = Reshape<allowzero=1>(x, s)
			out y`, `
			%y f32[3,2] = Reshape<shape=[3,2],allowzero=true>(%x)
			return %y`},
		{"Slice 1", `
			opset 9
			in x f32[4,4]
			y = Slice<starts=[1],ends=[9223372036854775807],axes=[-1]>(x)
			out y`, `
			%y f32[4,3] = Slice<starts=[1],ends=[9223372036854775807],axes=[1]>(%x)
			return %y`},
		{"Slice 10", `
			opset 10
			in x f32[N,4]
			const s i64[2] = 0 -1
			const e i64[2] = 9223372036854775807 -9223372036854775808
			const st i64[2] = 1 -2
			y = Slice(x, s, e, _, st)
			out y`, `
			%y f32[N,2] = Slice<starts=[0,-1],ends=[9223372036854775807,-9223372036854775808],steps=[1,-2]>(%x)
			return %y`},
		{"Slice with the steps that are the default", `
			in x f32[4,4]
			const s i64[1] = 1
			const e i64[1] = -1
			const one i64[1] = 1
			y = Slice(x, s, e, one, one)
			out y`, `
			%y f32[4,2] = Slice<starts=[1],ends=[-1],axes=[1]>(%x)
			return %y`},
		{"Cast 24, MaxPool on the wrong side of ceil_mode", `
			opset 24
			in x f32[1,1,3,3]
			c = Cast<to=11,saturate=1,round_mode="up">(x)
			y = MaxPool<kernel_shape=[2,2],strides=[2,2],auto_pad="SAME_LOWER",ceil_mode=1>(c)
			out y`, `
			%c f32[1,1,3,3] = Cast(%x)
			%y f32[1,1,2,2] = MaxPool<kernel_shape=[2,2],strides=[2,2],pads=[1,1,0,0]>(%c)
			return %y`},
		{"ReduceMean 11, ReduceSum 11", `
			opset 11
			in x f32[2,3,4]
			y = ReduceMean<axes=[-1,1],keepdims=0>(x)
			z = ReduceSum(x)
			out y
			out z`, `
			%y f32[2] = ReduceMean<axes=[1,2],keepdims=false>(%x)
			%z f32[1,1,1] = ReduceSum(%x)
			return %y, %z`},
		{"ReduceSum 13", `
			in x f32[2,3]
			const a i64[1] = -1
			const none i64[0] =
			y = ReduceSum(x, a)
			z = ReduceSum<noop_with_empty_axes=1>(x, none)
			out y
			out z`, `
			%y f32[2,1] = ReduceSum<axes=[1]>(%x)
			%z f32[2,3] = Identity(%x)
			return %y, %z`},
		{"ReduceMax 18", `
			opset 18
			in x f32[2,3]
			const a i64[1] = 1
			y = ReduceMax<noop_with_empty_axes=1>(x, a)
			z = ReduceMin<noop_with_empty_axes=0>(x)
			out y
			out z`, `
			%y f32[2,1] = ReduceMax<axes=[1]>(%x)
			%z f32[1,1] = ReduceMin(%x)
			return %y, %z`},
		{"Dropout", `
			opset 10
			in x f32[2]
			y, mask = Dropout<ratio=0.3>(x)
			out y`, `
			%y f32[2] = Dropout(%x)
			return %y`},
		{"Dropout 12", `
			opset 12
			in x f32[2]
			const r f32[] = 0.3
			const f bool[] = 0
			y = Dropout<seed=1>(x, r, f)
			out y`, `
			%y f32[2] = Dropout(%x)
			return %y`},
		{"BatchNormalization 7", `
			opset 7
			in x f32[N,1]
			const a f32[1] = 2
			y, _, _, m, v = BatchNormalization<spatial=1,momentum=0.9,epsilon=0.5>(x, a, a, a, a)
			out y`, `
			const %a f32[1] = [2]
			%y f32[N,1] = BatchNormalization<epsilon=0.5f>(%x, %a, %a, %a, %a)
			return %y`},
		{"BatchNormalization 15", `
			opset 15
			in x f32[N,1]
			const a f32[1] = 2
			y = BatchNormalization<training_mode=0>(x, a, a, a, a)
			out y`, `
			const %a f32[1] = [2]
			%y f32[N,1] = BatchNormalization(%x, %a, %a, %a, %a)
			return %y`},
		{"Gemm", `
			opset 11
			in x f32[N,2]
			const w f32[1,2] = 1 2
			y = Gemm<transB=1,alpha=0.5>(x, w)
			out y`, `
			const %w f32[1,2] = [1 2]
			%y f32[N,1] = Gemm<alpha=0.5f,transB=true>(%x, %w)
			return %y`},
		{"Softmax 11 on the last axis", `
			opset 11
			in x f32[N,2]
			y = Softmax(x)
			out y`, `
			%y f32[N,2] = Softmax<axis=1>(%x)
			return %y`},
		{"Softmax 11 over ones", `
			opset 12
			in x f32[N,5,1,1]
			y = LogSoftmax<axis=-3>(x)
			out y`, `
			%y f32[N,5,1,1] = LogSoftmax<axis=1>(%x)
			return %y`},
		{"Softmax 11 over several axes", `
			opset 11
			in x f32[N,2,3]
			y = Softmax(x)
			out y`, `
			%y_flat f32[N,6] = Flatten(%x)
			%y_rows f32[N,6] = Softmax<axis=1>(%y_flat)
			%y f32[N,2,3] = Reshape<shape=[0,2,3]>(%y_rows)
			return %y`},
		{"Softmax 13", `
			in x f32[N,2,3]
			y = Softmax<axis=-2>(x)
			z = Softmax(y)
			out z`, `
			%y f32[N,2,3] = Softmax<axis=1>(%x)
			%z f32[N,2,3] = Softmax<axis=2>(%y)
			return %z`},
		{"Split 2", `
			opset 11
			in x f32[N,6]
			a, b, c = Split<axis=-1>(x)
			d, e = Split<axis=1,split=[1,1]>(a)
			out c
			out e`, `
			%a f32[N,2], %b f32[N,2], %c f32[N,2] = Split<axis=1,split=[2,2,2]>(%x)
			%d f32[N,1], %e f32[N,1] = Split<axis=1,split=[1,1]>(%a)
			return %c, %e`},
		{"Split 13 and 18", `
			opset 18
			in x f32[N,5]
			const s i64[2] = 1 4
			a, b = Split<axis=1>(x, s)
			c, d, e = Split<axis=1,num_outputs=3>(x)
			out b
			out e`, `
			%a f32[N,1], %b f32[N,4] = Split<axis=1,split=[1,4]>(%x)
			%c f32[N,2], %d f32[N,2], %e f32[N,1] = Split<axis=1,split=[2,2,1]>(%x)
			return %b, %e`},
		{"Split with an output left out", `
			opset 13
			in x f32[2,4]
			a, _ = Split<axis=1>(x)
			out a`, `
			%a f32[2,2], %a.unused f32[2,2] = Split<axis=1,split=[2,2]>(%x)
			return %a`},
		{"Sum, Max, Min 6", `
			opset 7
			in x f32[2]
			a = Sum(x, x, x)
			b = Max(a, x)
			c = Min(b, x)
			out c`, `
			%a f32[2] = Sum(%x, %x, %x)
			%b f32[2] = Max(%a, %x)
			%c f32[2] = Min(%b, %x)
			return %c`},
		{"Expand, Tile", `
			opset 8
			in x f32[N,1]
			const s i64[2] = 1 3
			y = Expand(x, s)
			z = Tile(y, s)
			out z`, `
			%y f32[N,3] = Expand<shape=[1,3]>(%x)
			%z f32[N,9] = Tile<repeats=[1,3]>(%y)
			return %z`},
		{"ConstantOfShape", `
			opset 9
			in x f32[N,2]
			const s i64[1] = 2
			c = ConstantOfShape<value=f32[1]{0.5}>(s)
			y = Add(x, c)
			out y`, `
			const %c f32[2] = [0.5 0.5]
			%y f32[N,2] = Add(%x, %c)
			return %y`},
		{"Constant", `
			in x f32[N,2]
			a = Constant<value=f32[2]{1 2}>()
			b = Constant<value_float=3.0>()
			c = Constant<value_floats=[4.0,5.0]>()
			i = Constant<value_int=-1>()
			j = Constant<value_ints=[0,2,1]>()
			p = Add(x, a)
			q = Add(p, b)
			r = Add(q, c)
			s = Reshape(r, j)
			t = Gather(s, i)
			out t`, `
			const %a f32[2] = [1 2]
			%p f32[N,2] = Add(%x, %a)
			const %b f32[] = [3]
			%q f32[N,2] = Add(%p, %b)
			const %c f32[2] = [4 5]
			%r f32[N,2] = Add(%q, %c)
			%s f32[N,2,1] = Reshape<shape=[0,2,1]>(%r)
			const %i i64[] = [-1]
			%t f32[2,1] = Gather(%s, %i)
			return %t`},
		{"Cast", `
			in x f32[2]
			a = Cast<to=7>(x)
			b = Cast<to=10>(a)
			c = Cast<to=9>(b)
			out c`, `
			%a i64[2] = Cast<to="i64">(%x)
			%b f32[2] = Cast(%a)
			%c bool[2] = Cast<to="bool">(%b)
			return %c`},
		{"Transpose without perm, negative axes", `
			in x f32[N,2,3]
			a = Transpose(x)
			b = Flatten<axis=-1>(a)
			c = Concat<axis=-2>(b, b)
			d = ArgMax<axis=-1>(c)
			out d`, `
			%a f32[3,2,N] = Transpose<perm=[2,1,0]>(%x)
			%b f32[6,N] = Flatten<axis=2>(%a)
			%c f32[12,N] = Concat(%b, %b)
			%d i64[12,1] = ArgMax<axis=1>(%c)
			return %d`},
		{"MaxPool with indices that nothing reads", `
			opset 12
			in x f32[N,1,4,4]
			y, i = MaxPool<kernel_shape=[2,2],strides=[2,2],pads=[0,0,0,0],storage_order=0,dilations=[1,1],ceil_mode=0>(x)
			out y`, `
			%y f32[N,1,2,2] = MaxPool<kernel_shape=[2,2],strides=[2,2]>(%x)
			return %y`},
		{"AveragePool", `
			opset 11
			in x f32[N,1,5,5]
			y = AveragePool<kernel_shape=[2,2],strides=[2,2],ceil_mode=1,count_include_pad=1>(x)
			z = AveragePool<kernel_shape=[2,2],strides=[2,2],ceil_mode=1,auto_pad="VALID">(x)
			out y
			out z`, `
			%y f32[N,1,3,3] = AveragePool<kernel_shape=[2,2],strides=[2,2],ceil_mode=true,count_include_pad=true>(%x)
			%z f32[N,1,2,2] = AveragePool<kernel_shape=[2,2],strides=[2,2]>(%x)
			return %y, %z`},
		{"AveragePool 19", `
			opset 19
			in x f32[N,1,5,5]
			y = AveragePool<kernel_shape=[2,2],dilations=[2,2]>(x)
			out y`, `
			%y f32[N,1,3,3] = AveragePool<kernel_shape=[2,2],dilations=[2,2]>(%x)
			return %y`},
		{"Conv with auto_pad", `
			opset 11
			in x f32[N,1,6,5]
			const w f32[1,1,2,2] = 1 2 3 4
			a = Conv<auto_pad="SAME_UPPER",kernel_shape=[2,2],strides=[1,1],dilations=[1,1],group=1>(x, w)
			b = Conv<auto_pad="SAME_LOWER",strides=[2,2]>(x, w)
			c = Conv<auto_pad="VALID",dilations=[2,2]>(x, w)
			d = Conv<auto_pad="SAME_UPPER",dilations=[2,3]>(x, w)
			e = Conv<auto_pad="NOTSET",pads=[1,0,0,1]>(x, w)
			out a
			out b
			out c
			out d
			out e`, `
			const %w f32[1,1,2,2] = [1 2 3 4]
			%a f32[N,1,6,5] = Conv<pads=[0,0,1,1]>(%x, %w)
			%b f32[N,1,3,3] = Conv<strides=[2,2],pads=[0,1,0,0]>(%x, %w)
			%c f32[N,1,4,3] = Conv<dilations=[2,2]>(%x, %w)
			%d f32[N,1,6,5] = Conv<pads=[1,1,1,2],dilations=[2,3]>(%x, %w)
			%e f32[N,1,6,5] = Conv<pads=[1,0,0,1]>(%x, %w)
			return %a, %b, %c, %d, %e`},
		{"Gelu 20 brings a younger opset", `
			opset 20
			in x f32[2,3]
			const a i64[1] = 1
			y = Gelu<approximate="tanh">(x)
			z = ReduceMean(y, a)
			out z`, `
			%y f32[2,3] = Gelu<approximate="tanh">(%x)
			%z f32[2,1] = ReduceMean<axes=[1]>(%y)
			return %z`},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := mustImport(t, c.model)
			checkText(t, g, c.want)
			checkSame(t, again(t, g), g)
		})
	}
}

// TestShapeChains: what exporters write to flatten, with the batch open.
func TestShapeChains(t *testing.T) {
	for _, c := range []struct{ name, model, want string }{
		{"x.view(x.size(0), -1)", `
			in x f32[N,2,3,4]
			s = Shape(x)
			i = Constant<value=i64[]{0}>()
			n = Gather<axis=0>(s, i)
			ax = Constant<value_ints=[0]>()
			u = Unsqueeze(n, ax)
			m = Constant<value_ints=[-1]>()
			c = Concat<axis=0>(u, m)
			y = Reshape(x, c)
			out y`, `
			%y f32[N,24] = Reshape<shape=[0,-1]>(%x)
			return %y`},
		{"Keras: Slice of Shape, Cast, the batch in front of a number", `
			opset 12
			in x f32[N,4,4]
			s = Shape(x)
			c = Cast<to=7>(s)
			st = Constant<value_ints=[0]>()
			en = Constant<value_ints=[1]>()
			n = Slice(c, st, en, st)
			k = Constant<value_ints=[16]>()
			r = Concat<axis=0>(n, k)
			y = Reshape(x, r)
			out y`, `
			%y f32[N,16] = Reshape<shape=[0,16]>(%x)
			return %y`},
		{"sizes are multiplied", `
			opset 15
			in x f32[N,2,3]
			h = Shape<start=1,end=2>(x)
			w = Shape<start=-1>(x)
			hw = Mul(h, w)
			m = Constant<value_ints=[-1]>()
			r = Concat<axis=0>(m, hw)
			y = Reshape(x, r)
			out y`, `
			%y f32[N,6] = Reshape<shape=[-1,6]>(%x)
			return %y`},
		{"the batch moves to another axis", `
			in x f32[N,2,3]
			y = Transpose<perm=[1,0,2]>(x)
			s = Shape(x)
			i = Constant<value_ints=[1,2,0]>()
			r = Gather(s, i)
			z = Reshape(y, r)
			out z`, `
			%y f32[2,N,3] = Transpose<perm=[1,0,2]>(%x)
			%z f32[2,3,N] = Reshape<shape=[2,3,-1]>(%y)
			return %z`},
		{"Expand to the shape of another value", `
			in x f32[N,1,3]
			in y f32[N,2,3]
			s = Shape(y)
			z = Expand(x, s)
			out z`, `
			%z f32[N,2,3] = Expand<shape=[1,2,3]>(%x)
			return %z`},
		{"weights are folded, too", `
			in x f32[N,2]
			const w f32[1,2] = 1 2
			v = Transpose(w)
			k = Constant<value_float=2.0>()
			u = Mul(v, k)
			y = MatMul(x, u)
			out y`, `
			const %u f32[2,1] = [2 4]
			%y f32[N,1] = MatMul(%x, %u)
			return %y`},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := mustImport(t, c.model)
			checkText(t, g, c.want)
			checkSame(t, again(t, g), g)
		})
	}
}

package onnx

import "testing"

// TestLegacy has a model for each form that only opsets before 7 have, and the IR that it becomes.
func TestLegacy(t *testing.T) {
	for _, c := range []struct{ name, model, want string }{
		{"broadcast from an axis, a constant", `
			opset 6
			in x f32[2,3,4,5]
			const b f32[3] = 1 2 3
			y = Add<broadcast=1,axis=1>(x, b)
			out y`, `
			const %y_wide f32[3,1,1] = [1 2 3]
			%y f32[2,3,4,5] = Add(%x, %y_wide)
			return %y`},
		{"broadcast from an axis, a value", `
			opset 1
			in x f32[2,3]
			in b f32[2]
			y = Mul<broadcast=1,axis=0,consumed_inputs=[0,0]>(x, b)
			out y`, `
			%y_wide f32[2,1] = Unsqueeze<axes=[1]>(%b)
			%y f32[2,3] = Mul(%x, %y_wide)
			return %y`},
		{"broadcast at the end", `
			opset 6
			in x f32[2,3]
			in b f32[3]
			y = Pow<broadcast=1>(x, b)
			out y`, `
			%y f32[2,3] = Pow(%x, %b)
			return %y`},
		{"BatchNormalization 1", `
			opset 5
			in x f32[1,2]
			const s f32[2] = 1 1
			y = BatchNormalization<consumed_inputs=[0,0,0,1,1],is_test=1,spatial=1,momentum=0.5>(x, s, s, s, s)
			out y`, `
			const %s f32[2] = [1 1]
			%y f32[1,2] = BatchNormalization(%x, %s, %s, %s, %s)
			return %y`},
		{"Cast 1", `
			opset 5
			in x f32[2]
			y = Cast<to="INT8">(x)
			out y`, `
			%y i8[2] = Cast<to="i8">(%x)
			return %y`},
		{"Concat 1", `
			opset 3
			in x f32[1,2]
			y = Concat(x, x)
			out y`, `
			%y f32[1,4] = Concat<axis=1>(%x, %x)
			return %y`},
		{"Dropout 6", `
			opset 6
			in x f32[2]
			y = Dropout<is_test=1,ratio=0.5>(x)
			out y`, `
			%y f32[2] = Dropout(%x)
			return %y`},
		{"Gemm 6", `
			opset 6
			in x f32[1,2]
			const w f32[2,1] = 1 2
			const b f32[1] = 3
			y = Gemm<broadcast=1>(x, w, b)
			out y`, `
			const %w f32[2,1] = [1 2]
			const %b f32[1] = [3]
			%y f32[1,1] = Gemm(%x, %w, %b)
			return %y`},
		{"PRelu 6", `
			opset 6
			in x f32[1,2,3,3]
			const s f32[2] = 1 2
			y = PRelu(x, s)
			out y`, `
			const %y_wide f32[2,1,1] = [1 2]
			%y f32[1,2,3,3] = PRelu(%x, %y_wide)
			return %y`},
		{"Pad 1", `
			opset 1
			in x f32[1,2]
			y = Pad<paddings=[0,1,0,2]>(x)
			out y`, `
			%y f32[1,5] = Pad<pads=[0,1,0,2]>(%x)
			return %y`},
		{"Reshape 1", `
			opset 4
			in x f32[2,3]
			y = Reshape<shape=[3,-1],consumed_inputs=[0]>(x)
			out y`, `
			%y f32[3,2] = Reshape<shape=[3,-1]>(%x)
			return %y`},
		{"Selu 1", `
			opset 5
			in x f32[2]
			y = Selu<gamma=2.0>(x)
			out y`, `
			%y f32[2] = Selu<alpha=1.6732f,gamma=2f>(%x)
			return %y`},
		{"Split 1", `
			opset 1
			in x f32[3]
			const s i64[2] = 1 2
			y, z = Split(x, s)
			a, b = Split<split=[2,1]>(x)
			out y
			out b`, `
			%y f32[1], %z f32[2] = Split<split=[1,2]>(%x)
			%a f32[2], %b f32[1] = Split<split=[2,1]>(%x)
			return %y, %b`},
		{"Sum 6", `
			opset 6
			in x f32[2]
			y = Sum(x, x, x)
			out y`, `
			%y f32[2] = Sum(%x, %x, %x)
			return %y`},
		{"Tile 1", `
			opset 5
			in x f32[1,2]
			const n f32[1] = 3
			const a f32[1] = -1
			y = Tile(x, n, a)
			out y`, `
			%y f32[1,6] = Tile<repeats=[1,3]>(%x)
			return %y`},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := mustImport(t, c.model)
			checkText(t, g, c.want)
			checkSame(t, again(t, g), g)
		})
	}
}

func TestLegacyErrors(t *testing.T) {
	for _, c := range []struct{ name, model, want string }{
		{"broadcast", `
			opset 6
			in x f32[2,3]
			in b f32[3]
			in v f32[1,2,3]
			p = Add(x, b)
			q = Add<broadcast=1,axis=2>(x, b)
			r = Add<broadcast=1>(x, v)
			s = Add<broadcast=1,axis=0>(x, b)
			out p`, `
			t.onnx: node 0 (Add): shapes f32[2,3] and f32[3] differ, and opset 6 broadcasts only with broadcast=1
			t.onnx: node 1 (Add): axis 2: f32[3] does not fit from there into f32[2,3]
			t.onnx: node 2 (Add): opset 6 broadcasts input 1 only: want at most the 2 dims of input 0, got f32[1,2,3]
			t.onnx: node 3 (Add): input 1: shapes [2,3] and [3,1] do not broadcast: 2 against 3`},
		{"training", `
			opset 6
			in x f32[1,2]
			const s f32[2] = 1 1
			p = Dropout(x)
			q = BatchNormalization<is_test=0>(x, s, s, s, s)
			out p`, `
			t.onnx: node 0 (Dropout): is_test 0: want 1, a model for inference
			t.onnx: node 1 (BatchNormalization): is_test 0: want 1, a model for inference`},
		{"others", `
			opset 5
			in x f32[1,2]
			const n f32[1] = 3
			p = Cast<to="NUMBER">(x)
			q = Tile(x, n, n)
			r = Expand(x, n)
			s = Tile(x, n)
			out p`, `
			t.onnx: node 0 (Cast): attribute to: no element type "NUMBER"
			t.onnx: node 1 (Tile): axis 3 of 2 dims: want -2 to 1
			t.onnx: node 3 (Tile): want 3 inputs, got 2
			t.onnx: node 2 (Expand): operator Expand (domain ai.onnx, opset 5) is not supported: it exists as of opset 8`},
		{"as of 7", `
			opset 7
			in x f32[1,2]
			p = Add<broadcast=1>(x, x)
			q = Dropout<is_test=1>(x)
			r = Relu<consumed_inputs=[0]>(x)
			out p`, `
			t.onnx: node 0 (Add): attribute broadcast is not supported
			t.onnx: node 1 (Dropout): attribute is_test is not supported
			t.onnx: node 2 (Relu): attribute consumed_inputs is not supported`},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := importText(t, c.model)
			checkError(t, err, c.want)
		})
	}
}

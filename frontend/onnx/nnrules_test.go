package onnx

import "testing"

// TestNeuralUpgrade: old forms and defaults of ConvTranspose, Resize and the normalizations, and that export and import keep them.
func TestNeuralUpgrade(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"ConvTranspose, output_shape", `
			opset 11
			in x f32[N,1,3]
			const w f32[1,1,3] = 1 2 3
			a = ConvTranspose<strides=[2],output_shape=[6]>(x, w)
			b = ConvTranspose<strides=[2],auto_pad="SAME_UPPER">(x, w)
			c = ConvTranspose<strides=[1],pads=[0,0],dilations=[1],output_padding=[0]>(x, w)
			out a
			out b
			out c`, `
			const %w f32[1,1,3] = [1 2 3]
			%a f32[N,1,6] = ConvTranspose<strides=[2],pads=[1,0]>(%x, %w)
			%b f32[N,1,6] = ConvTranspose<strides=[2],pads=[0,1]>(%x, %w)
			%c f32[N,1,5] = ConvTranspose(%x, %w)
			return %a, %b, %c`},
		{"Upsample 9", `
			opset 9
			in x f32[N,1,2]
			const s f32[3] = 1 1 2
			y = Upsample(x, s)
			out y`, `
			%y f32[N,1,4] = Resize<scales=[1f,1f,2f],coordinate_transformation_mode="asymmetric",nearest_mode="floor">(%x)
			return %y`},
		{"Resize 13", `
			opset 13
			in x f32[N,1,2]
			const f f32[3] = 1 1 2
			y = Resize<mode="linear">(x, _, f)
			out y`, `
			%y f32[N,1,4] = Resize<scales=[1f,1f,2f],mode="linear">(%x)
			return %y`},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := mustImport(t, c.text)
			checkText(t, g, c.want)
			checkSame(t, again(t, g), g)
		})
	}
}

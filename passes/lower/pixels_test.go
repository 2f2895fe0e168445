package lower

import (
	"slices"
	"testing"

	"quern/backends/sim"
	"quern/ir"
	"quern/ir/hw"
	"quern/ir/irtext"
	"quern/passes/quant"
)

// TestPixels: a network that takes pixels has, in every buffer, the integers of the one whose input the host preprocesses and quantizes: for
// preprocessing by channel, channels first and last, padding that is not 0, and tables that are steps of 1.
func TestPixels(t *testing.T) {
	for _, c := range []struct {
		name, src string
		pixels    Pixels
		last      hw.Prim // of the first kernel
	}{
		{"by channel", `graph g(%x f32[1,3,4,5]) {
  %q i4[1,3,4,5]{s=0.3 z=-2} = Quantize(%x)
  %y i4[1,3,4,5]{s=0.3 z=-2} = MaxPool<kernel_shape=[3,3],pads=[1,1,1,1]>(%q)
  %d f32[1,3,4,5] = Dequantize(%y)
  return %d
}`, Pixels{3, func(off int) int { return off / 20 }, func(c, x int) float32 { return (float32(x)/255 - 0.4 - float32(c)/20) / (0.2 + float32(c)/50) }}, hw.Lut},
		{"channels last", `graph g(%x f32[1,4,5,3]) {
  %q u8[1,4,5,3]{s=0.02 z=128} = Quantize(%x)
  %y u8[1,4,5,3]{s=0.03 z=99} = Relu(%q)
  %d f32[1,4,5,3] = Dequantize(%y)
  return %d
}`, Pixels{3, func(off int) int { return off % 3 }, func(c, x int) float32 { return (float32(x)/255 - 0.5) * float32(c+1) }}, hw.Lut},
		{"all alike", `graph g(%x f32[1,6]) {
  %q i8[1,6]{s=0.0078125 z=0} = Quantize(%x)
  %y u4[1,6]{s=0.1 z=0} = Relu(%q)
  %d f32[1,6] = Dequantize(%y)
  return %d
}`, Pixels{1, func(int) int { return 0 }, func(_, x int) float32 { return float32(x-128) / 128 }}, hw.AddI},
	} {
		g := absorbed(t, c.name, c.src)
		host, err := Lower(g, Options{})
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		pixel, err := Lower(g, Options{Pixels: &c.pixels})
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		k := pixel.Prog.Kernels[0]
		if got := k.Prog.Code[len(k.Prog.Code)-1].Prim; got != c.last {
			t.Errorf("%s: first kernel ends in %v, want %v", c.name, got, c.last)
		}
		in := pixel.Prog.Inputs[0]
		if in.Range != (hw.Interval{Lo: 0, Hi: 255}) || in.Port.Name != "x" || in.Port.Quant.Scale[0] != 1 || in.Port.Quant.Zero[0] != 0 {
			t.Errorf("%s: port %v %+v", c.name, in.Range, in.Port)
		}
		a, b := state(t, host.Prog), state(t, pixel.Prog)
		for first := range 256 { // each pixel in each place
			raw, real := make([]float32, in.Len()), make([]float32, in.Len())
			for i := range raw {
				x := (first + 37*i) % 256
				raw[i], real[i] = float32(x), c.pixels.Real(c.pixels.Channel(i), x)
			}
			y, err := a.RunFloat([][]float32{real})
			if err != nil {
				t.Fatal(err)
			}
			want := slices.Clone(y[0])
			got, err := b.RunFloat([][]float32{raw})
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(got[0], want) {
				t.Fatalf("%s: first pixel %d: got %v, want %v", c.name, first, got[0], want)
			}
			if got, want := b.Buffer(k.Out), a.Buffer(host.Prog.Inputs[0]); !slices.Equal(got, want) {
				t.Fatalf("%s: first pixel %d: input of the first layer is %v, want %v", c.name, first, got, want)
			}
		}
	}
}

// absorbed is a graph in quantized form.
func absorbed(t *testing.T, name, src string) *ir.Graph {
	t.Helper()
	g, err := irtext.Parse(name, []byte(src))
	if err == nil {
		err = quant.Absorb(g)
	}
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return g
}

func state(t *testing.T, p *hw.Program) *sim.State {
	t.Helper()
	m, err := sim.New(p)
	if err != nil {
		t.Fatal(err)
	}
	return m.NewState()
}

// TestPixelsMixed: tables that change along channels and pixels of the hardware's layout have no form.
func TestPixelsMixed(t *testing.T) {
	g := absorbed(t, "mixed", `graph g(%x f32[1,2,2,2]) {
  %q i8[1,2,2,2]{s=0.5 z=0} = Quantize(%x)
  %y i8[1,2,2,2]{s=0.4 z=0} = Relu(%q)
  %d f32[1,2,2,2] = Dequantize(%y)
  return %d
}`)
	_, err := Lower(g, Options{Pixels: &Pixels{2, func(off int) int { return off % 3 % 2 }, func(c, x int) float32 { return float32(x * c) }}})
	if err == nil || err.Error() != `mixed: node 2 (Quantize): input "x": mean and std change along the channels and along the pixels of the hardware's layout: want one for all of the input` {
		t.Errorf("got %v", err)
	}
}

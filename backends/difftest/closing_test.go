package difftest

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"quern/backends/hls"
	"quern/ir/hw/stream"
	"quern/ir/irtest"
	"quern/ir/irtext"
	"quern/passes/quant"
)

// TestClosing: what closes a classifier goes into hardware where quantization was asked for it, through a file of either format, and in
// both styles of C.
func TestClosing(t *testing.T) {
	t.Parallel()
	var streams, plain []project
	want := ""
	for i, closing := range []string{
		"%y f32[N,10] = Softmax<axis=1>(%c)\n  return %y",
		"%y f32[N,10] = LogSoftmax<axis=1>(%c)\n  return %y",
		"%y i64[N] = ArgMax<axis=1, keepdims=false>(%c)\n  return %y",
		"%y i64[N,1] = ArgMin<axis=1, keepdims=true, select_last_index=true>(%c)\n  return %y",
		"%y f32[N,3], %z i64[N,3] = TopK<axis=-1, k=3, largest=true, sorted=true>(%c)\n  return %y, %z",
	} {
		r := rand.New(rand.NewPCG(uint64(i), 4))
		var w strings.Builder
		for range 1080 {
			fmt.Fprintf(&w, "%.4f ", r.NormFloat64()/8)
		}
		g, err := irtext.Parse("closing.ir", []byte(`graph closing(%x f32[N,3,6,6]) {
  const %w f32[10,108] = [`+w.String()+`]
  %f f32[N,108] = Flatten<axis=1>(%x)
  %c f32[N,10] = Gemm<transB=true>(%f, %w)
  `+closing+"\n}"))
		if err != nil {
			t.Fatal(err)
		}
		in := irtest.RandomInputs(r, g, 6)
		_, p := quantized(t, g, in, quant.Config{Bits: quant.Bits{W: 6, A: 7}, Whole: true})
		d, err := stream.Build(p, randomFolds(r, p))
		if err != nil {
			t.Fatal(err)
		}
		vs := testVectors(t, p, in)
		pr := streamed(t, d, fmt.Sprintf("closing%d", i), vs)
		streams = append(streams, pr)
		files, err := hls.Emit(p, hls.Options{Top: fmt.Sprintf("plain%d", i), Vectors: vs})
		if err != nil {
			t.Fatal(err)
		}
		plain = append(plain, newProject(files, pr.n, len(vs)))
		want += pr.want
	}
	run := func(c compiler, ps []project) {
		if got, err := runC(t, c, ps); err != nil || got != want {
			t.Fatalf("%s: %v\n%s\nwant\n%s", c.path, err, got, want)
		}
	}
	for _, c := range cxx(t) {
		run(c, streams)
	}
	for _, c := range compilers(t) {
		run(c, plain)
	}
}

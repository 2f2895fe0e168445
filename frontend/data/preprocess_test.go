package data

import (
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func TestApply(t *testing.T) {
	for _, tc := range []struct {
		name  string
		p     Preprocess
		shape []int
		raw   []float32
		want  []float32
	}{
		{"zero value", Preprocess{}, []int{2}, []float32{0, 255}, []float32{0, 1}},
		{"raw", Preprocess{Scale: 1}, []int{2}, []float32{0, 255}, []float32{0, 255}},
		{"one for all", Preprocess{Scale: 2, Mean: []float64{1}, Std: []float64{4}}, []int{2, 2}, []float32{0, 2, 10, 18}, []float32{-0.25, 0, 1, 2}},
		{"per channel", Preprocess{Scale: 1, Mean: []float64{1, 2}, Std: []float64{1, 10}}, []int{2, 1, 2}, []float32{1, 2, 12, 22}, []float32{0, 1, 1, 2}},
		{"nhwc", Preprocess{Scale: 1, Mean: []float64{0, 100}, Layout: "nhwc"}, []int{2, 2, 2}, []float32{1, 2, 3, 4, 101, 102, 103, 104}, []float32{1, 1, 2, 2, 3, 3, 4, 4}},
		{"nhwc moves only 3-d", Preprocess{Scale: 1, Layout: "nhwc"}, []int{2, 2}, []float32{1, 2, 3, 4}, []float32{1, 2, 3, 4}},
		{"one number", Preprocess{Scale: 1, Mean: []float64{3}}, []int{}, []float32{5}, []float32{2}},
		// In float64, rounded once at the end, these would be -1.2659707 and 1.4479176.
		{"float32 all the way", Preprocess{Mean: []float64{0.4914}, Std: []float64{0.2023}}, []int{1, 2}, []float32{60, 200}, []float32{-1.2659708, 1.4479177}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := make([]float32, len(tc.raw))
			tc.p.Apply(got, tc.raw, tc.shape)
			if !slices.Equal(got, tc.want) {
				t.Errorf("got %v, want %v", got, tc.want)
			}
		})
	}
}

func TestApplyPanics(t *testing.T) {
	defer func() {
		if p := fmt.Sprint(recover()); !strings.Contains(p, "shape [3] has 3 values, raw 2, dst 3") {
			t.Errorf("panic %q", p)
		}
	}()
	Preprocess{}.Apply(make([]float32, 3), make([]float32, 2), []int{3})
}

func TestCheck(t *testing.T) {
	three := []float64{1, 2, 3}
	for _, tc := range []struct {
		p    Preprocess
		want string // "" for none
	}{
		{Preprocess{}, ""},
		{Preprocess{Scale: 1, Mean: three, Std: three, Layout: "nhwc"}, ""},
		{Preprocess{Mean: three[:1], Std: three[:1], Layout: "nchw"}, ""},
		{Preprocess{Mean: three[:2]}, "mean has 2 values, want 1 or one per channel (3)"},
		{Preprocess{Std: append(three, 4)}, "std has 4 values, want 1 or one per channel (3)"},
		{Preprocess{Scale: -1}, "scale -1, want a positive finite number"},
		{Preprocess{Scale: math.NaN()}, "scale NaN, want a positive finite number"},
		{Preprocess{Scale: 1e300}, "scale 1e+300, want a positive finite number"},
		{Preprocess{Mean: []float64{1, 2, math.Inf(1)}}, "mean[2] is +Inf, want a finite number"},
		{Preprocess{Std: []float64{1, 0, 1}}, "std[1] is 0, want a positive finite number"},
		{Preprocess{Std: []float64{1e-60}}, "std[0] is 1e-60, want a positive finite number"},
		{Preprocess{Layout: "NHWC"}, `layout "NHWC", want nchw or nhwc`},
	} {
		got := ""
		if err := tc.p.Check(3); err != nil {
			got = err.Error()
		}
		if got != tc.want {
			t.Errorf("%+v: error %q, want %q", tc.p, got, tc.want)
		}
	}
}

func lookup(meta [][2]string) func(string) (string, bool) {
	return func(key string) (string, bool) {
		for _, kv := range meta {
			if kv[0] == key {
				return kv[1], true
			}
		}
		return "", false
	}
}

func TestMeta(t *testing.T) {
	cifar := Preprocess{Scale: 255, Mean: []float64{0.4914, 0.4822, 0.30000000000000004}, Std: []float64{0.2023, 1e-7, 2}, Layout: "nhwc"}
	want := [][2]string{
		{"quern.scale", "255"},
		{"quern.mean", "0.4914,0.4822,0.30000000000000004"},
		{"quern.std", "0.2023,1e-07,2"},
		{"quern.layout", "nhwc"},
	}
	if got := cifar.Meta(); !reflect.DeepEqual(got, want) {
		t.Errorf("Meta: %q, want %q", got, want)
	}
	for _, p := range []Preprocess{cifar, {Scale: 1, Layout: "nchw"}, {Scale: 127.5, Mean: []float64{1}, Layout: "nchw"}} {
		if got, found, err := ParsePreprocess(lookup(p.Meta())); err != nil || !found || !reflect.DeepEqual(got, p) {
			t.Errorf("%+v came back as %+v, %v, %v", p, got, found, err)
		}
	}
}

func TestParsePreprocess(t *testing.T) {
	defaults := Preprocess{Scale: 255, Layout: "nchw"}
	if p, found, err := ParsePreprocess(lookup(nil)); err != nil || found || !reflect.DeepEqual(p, defaults) {
		t.Errorf("of nothing: %+v, %v, %v", p, found, err)
	}
	if p, found, err := ParsePreprocess(lookup((Preprocess{}).Meta())); err != nil || !found || !reflect.DeepEqual(p, defaults) {
		t.Errorf("of the zero value: %+v, %v, %v", p, found, err)
	}
	spaced := [][2]string{{"quern.mean", " 1, -2 ,3e0"}}
	if p, found, err := ParsePreprocess(lookup(spaced)); err != nil || !found || !slices.Equal(p.Mean, []float64{1, -2, 3}) {
		t.Errorf("with spaces: %+v, %v, %v", p, found, err)
	}
	for _, tc := range []struct{ meta, want string }{
		{"quern.scale=x", `quern.scale is "x", want numbers separated by commas`},
		{"quern.scale=", `quern.scale is "", want numbers separated by commas`},
		{"quern.scale=1,2", "quern.scale has 2 values, want 1"},
		{"quern.scale=0", "quern.scale: scale 0, want a positive finite number"},
		{"quern.scale=-3", "quern.* metadata: scale -3, want a positive finite number"},
		{"quern.mean=1,,2", `quern.mean is "1,,2", want numbers separated by commas`},
		{"quern.mean=NaN", "quern.* metadata: mean[0] is NaN, want a finite number"},
		{"quern.std=1,0", "quern.* metadata: std[1] is 0, want a positive finite number"},
		{"quern.layout=hwc", `quern.* metadata: layout "hwc", want nchw or nhwc`},
		{"quern.mean=1,2;quern.std=1,2,3", "quern.mean has 2 values, but quern.std has 3"},
	} {
		var meta [][2]string
		for kv := range strings.SplitSeq(tc.meta, ";") {
			k, v, _ := strings.Cut(kv, "=")
			meta = append(meta, [2]string{k, v})
		}
		if _, found, err := ParsePreprocess(lookup(meta)); !found || err == nil || err.Error() != tc.want {
			t.Errorf("%s: found %v, error %v, want %s", tc.meta, found, err, tc.want)
		}
	}
}

package data

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Preprocess is input = (pixel/Scale - Mean)/Std per channel (axis 0 of the
// sample shape), then the layout. The zero value is pixel/255 in NCHW.
type Preprocess struct {
	Scale     float64   // 255 unless given (zero is not given); 1 keeps raw pixels
	Mean, Std []float64 // per channel, or one value for all, or empty: 0 and 1
	Layout    string    // "nchw" (default, also "") or "nhwc": how the model wants a 3-d sample
}

func (p Preprocess) scale() float64 {
	if p.Scale == 0 {
		return 255
	}
	return p.Scale
}

func (p Preprocess) layout() string {
	if p.Layout == "" {
		return "nchw"
	}
	return p.Layout
}

// Check reports the first thing that would make Apply meaningless for samples
// with this many channels (axis 0 of the shape): a scale or a std that is not
// positive and finite as float32, a mean that is not finite, lists that have
// neither one value nor one per channel, an unknown layout.
func (p Preprocess) Check(channels int) error {
	if err := p.checkValues(); err != nil {
		return err
	}
	for _, l := range []struct {
		name   string
		values []float64
	}{{"mean", p.Mean}, {"std", p.Std}} {
		if n := len(l.values); n > 1 && n != channels {
			return fmt.Errorf("%s has %d values, want 1 or one per channel (%d)", l.name, n, channels)
		}
	}
	return nil
}

// checkValues is the part of Check that needs no channels. Values are judged
// after rounding to float32, which is what Apply computes with.
func (p Preprocess) checkValues() error {
	if !positive(p.scale()) {
		return fmt.Errorf("scale %g, want a positive finite number", p.Scale)
	}
	for i, m := range p.Mean {
		if f := float64(float32(m)); math.IsNaN(f) || math.IsInf(f, 0) {
			return fmt.Errorf("mean[%d] is %g, want a finite number", i, m)
		}
	}
	for i, s := range p.Std {
		if !positive(s) {
			return fmt.Errorf("std[%d] is %g, want a positive finite number", i, s)
		}
	}
	if l := p.layout(); l != "nchw" && l != "nhwc" {
		return fmt.Errorf("layout %q, want nchw or nhwc", l)
	}
	return nil
}

func positive(v float64) bool {
	f := float64(float32(v))
	return f > 0 && !math.IsInf(f, 1)
}

// Apply converts the raw values of one sample (CHW, or any shape with the
// channels first) to the model's input. dst and raw have the product of shape
// values and must not overlap if the layout is NHWC, which only moves samples of
// three dimensions. Every operation is one float32 operation, as in PyTorch's
// ToTensor and Normalize, so the results are the same bits.
//
// It panics on wrong lengths; a Preprocess that Check refuses for shape[0] may
// panic or give infinities.
func (p Preprocess) Apply(dst, raw []float32, shape []int) {
	n := 1
	for _, d := range shape {
		n *= d
	}
	if len(dst) != n || len(raw) != n {
		panic(fmt.Sprintf("data: Preprocess.Apply: shape %v has %d values, raw %d, dst %d", shape, n, len(raw), len(dst)))
	}
	chans := 1
	if len(shape) > 0 {
		chans = shape[0]
	}
	if chans == 0 {
		return
	}
	plane := n / chans
	step, start := 1, plane // where value i of channel c goes: c*start + i*step
	if p.interleaves(shape) {
		step, start = chans, 1
	}
	scale := float32(p.scale())
	for c := range chans {
		mean, std := pick(p.Mean, c, 0), pick(p.Std, c, 1)
		to := c * start
		for _, v := range raw[c*plane : (c+1)*plane] {
			// Conversions keep the compiler from fusing or widening: each is a rounding.
			dst[to] = float32(float32(v/scale)-mean) / std
			to += step
		}
	}
}

// interleaves reports whether the channels of a pixel lie together in what Apply
// makes of samples of a shape.
func (p Preprocess) interleaves(shape []int) bool { return len(shape) == 3 && p.layout() == "nhwc" }

// pick is the value of channel c: its own, the one for all, or the default.
func pick(values []float64, c int, def float32) float32 {
	switch len(values) {
	case 0:
		return def
	case 1:
		return float32(values[0])
	}
	return float32(values[c])
}

// The keys of ONNX metadata_props that Meta writes and ParsePreprocess looks up.
const (
	keyScale  = "quern.scale"
	keyMean   = "quern.mean"
	keyStd    = "quern.std"
	keyLayout = "quern.layout"
)

// MetaKeys are all keys that Meta may write.
var MetaKeys = []string{keyScale, keyMean, keyStd, keyLayout}

// Meta is the key/value form kept in ONNX metadata_props: quern.scale,
// quern.mean, quern.std, quern.layout, in this order. Numbers are decimal in the
// shortest form that reads back exactly, lists are separated by commas. Defaults
// of scale and layout are written out; empty lists are left out.
func (p Preprocess) Meta() [][2]string {
	meta := [][2]string{{keyScale, formatList([]float64{p.scale()})}}
	if len(p.Mean) > 0 {
		meta = append(meta, [2]string{keyMean, formatList(p.Mean)})
	}
	if len(p.Std) > 0 {
		meta = append(meta, [2]string{keyStd, formatList(p.Std)})
	}
	return append(meta, [2]string{keyLayout, p.layout()})
}

func formatList(values []float64) string {
	s := make([]string, len(values))
	for i, v := range values {
		s[i] = strconv.FormatFloat(v, 'g', -1, 64)
	}
	return strings.Join(s, ",")
}

// ParsePreprocess reads what Meta wrote, through a lookup of values by key.
// found is true if any of the keys exists; missing ones have their defaults,
// spelled out (Scale 255, Layout "nchw"). The error names the key and the value:
// not a number, not positive where it must be, an unknown layout, or mean and std
// of different lengths.
func ParsePreprocess(get func(key string) (string, bool)) (p Preprocess, found bool, err error) {
	list := func(key string) []float64 {
		s, ok := get(key)
		if !ok || err != nil {
			return nil
		}
		found = true
		var values []float64
		values, err = parseList(key, s)
		return values
	}
	scale := list(keyScale)
	p.Mean, p.Std = list(keyMean), list(keyStd)
	if err != nil {
		return Preprocess{}, true, err
	}
	switch {
	case len(scale) > 1:
		return Preprocess{}, true, fmt.Errorf("%s has %d values, want 1", keyScale, len(scale))
	case len(scale) == 1 && scale[0] == 0: // zero means "not given" only in the struct
		return Preprocess{}, true, errors.New(keyScale + ": scale 0, want a positive finite number")
	case len(scale) == 1:
		p.Scale = scale[0]
	}
	p.Scale = p.scale()
	if l, ok := get(keyLayout); ok {
		found, p.Layout = true, l
	}
	p.Layout = p.layout()
	if err := p.checkValues(); err != nil {
		return Preprocess{}, true, fmt.Errorf("quern.* metadata: %w", err)
	}
	if m, s := len(p.Mean), len(p.Std); m > 1 && s > 1 && m != s {
		return Preprocess{}, true, fmt.Errorf("%s has %d values, but %s has %d", keyMean, m, keyStd, s)
	}
	return p, found, nil
}

func parseList(key, s string) ([]float64, error) {
	parts := strings.Split(s, ",")
	values := make([]float64, len(parts))
	for i, part := range parts {
		v, err := strconv.ParseFloat(strings.TrimSpace(part), 64)
		if err != nil {
			return nil, fmt.Errorf("%s is %q, want numbers separated by commas", key, s)
		}
		values[i] = v
	}
	return values, nil
}

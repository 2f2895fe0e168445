package op

import (
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"quern/ir"
	"quern/ir/tensor"
)

// TestTable: the rows are sorted, unique, documented and consistent, and the operators they make are plain structs of attributes.
func TestTable(t *testing.T) {
	for i := range Table {
		d := &Table[i]
		if i > 0 && Table[i-1].Name >= d.Name {
			t.Errorf("%s stands behind %s: want alphabetical order, each once", d.Name, Table[i-1].Name)
		}
		if d.Doc == "" || strings.ContainsAny(d.Doc, "\n") || strings.HasSuffix(d.Doc, ".") {
			t.Errorf("%s: doc %q: want one line without a full stop", d.Name, d.Doc)
		}
		o := d.New()
		if o.OpName() != d.Name || Of(o) != d || ByName(d.Name) != d {
			t.Errorf("%s: New makes %s", d.Name, o.OpName())
		}
		if !Equal(o, d.New()) {
			t.Errorf("%s: two new ones differ", d.Name)
		}
		if d.MinIn < 1 || d.MaxIn >= 0 && d.MaxIn < d.MinIn {
			t.Errorf("%s: %d to %d inputs", d.Name, d.MinIn, d.MaxIn)
		}
		switch {
		case d.Domain == "quern" && d.Since == nil:
		case d.Domain == "" && len(d.Since) > 0 && slices.IsSorted(d.Since) && d.Since[0] >= 1 && d.Since[len(d.Since)-1] <= 25:
			if len(slices.Compact(slices.Clone(d.Since))) != len(d.Since) {
				t.Errorf("%s: since %v: a version twice", d.Name, d.Since)
			}
		default:
			t.Errorf("%s: domain %q with versions %v", d.Name, d.Domain, d.Since)
		}
		v := reflect.TypeOf(o).Elem()
		seen := map[string]bool{}
		for i := range v.NumField() {
			f := v.Field(i)
			name := f.Tag.Get("attr")
			if !f.IsExported() || name == "" || seen[name] {
				t.Errorf("%s: field %s (attr %q): want an exported field with an attr tag of its own", d.Name, f.Name, name)
			}
			seen[name] = true
			switch reflect.New(f.Type).Elem().Interface().(type) {
			case int, float32, bool, string, []int, []float32:
			default:
				t.Errorf("%s: field %s has type %v", d.Name, f.Name, f.Type)
			}
		}
		for _, a := range Attrs(o) {
			if !a.Default {
				t.Errorf("%s: a new one has %s=%v, which is not the default", d.Name, a.Name, a.Value)
			}
		}
	}
	if ByName("Nonesuch") != nil {
		t.Error("ByName of an unknown name: want nil")
	}
}

// TestDefaults: the defaults of ONNX.
func TestDefaults(t *testing.T) {
	for _, c := range []struct{ name, want string }{
		{"Conv", "strides=[] pads=[] dilations=[] group=1"},
		{"Gemm", "alpha=1f beta=1f transA=false transB=false"},
		{"BatchNormalization", "epsilon=1e-05f"},
		{"LeakyRelu", "alpha=0.01f"},
		{"Clip", "min=-3.4028235e+38f max=3.4028235e+38f"},
		{"MaxPool", "kernel_shape=[] strides=[] pads=[] dilations=[] ceil_mode=false"},
		{"AveragePool", "kernel_shape=[] strides=[] pads=[] dilations=[] ceil_mode=false count_include_pad=false"},
		{"Flatten", "axis=1"},
		{"Pad", `pads=[] value=0f mode="constant"`},
		{"Softmax", "axis=-1"},
		{"LogSoftmax", "axis=-1"},
		{"ReduceMean", "axes=[] keepdims=true"},
		{"ArgMax", "axis=0 keepdims=true select_last_index=false"},
		{"Shape", "start=0 end=2147483647"},
		{"Elu", "alpha=1f"},
		{"Selu", "alpha=1.6732632f gamma=1.050701f"},
		{"HardSigmoid", "alpha=0.2f beta=0.5f"},
		{"Gelu", `approximate="none"`},
		{"Split", "axis=0 split=[]"},
	} {
		var s []string
		for _, a := range Attrs(ByName(c.name).New()) {
			s = append(s, a.Name+"="+FormatAttr(a.Value))
		}
		if got := strings.Join(s, " "); got != c.want {
			t.Errorf("%s: got %s, want %s", c.name, got, c.want)
		}
	}
}

// randomize sets every attribute to something else than the default.
func randomize(r *rand.Rand, o ir.Op) {
	v := reflect.ValueOf(o).Elem()
	for i := range v.NumField() {
		switch f := v.Field(i); f.Interface().(type) {
		case int:
			f.SetInt(int64(r.IntN(5) - 2))
		case float32:
			f.SetFloat(float64(r.IntN(9)-4) / 4)
		case bool:
			f.SetBool(r.IntN(2) == 0)
		case string:
			s := []string{"constant", "edge", "reflect", "none", "tanh", "f32", "i64", "bool", "f16", "u3", "", "i,i->i", "...", "add", "LEFT", "DCR"}
			f.SetString(s[r.IntN(len(s))])
		case []int:
			s := make([]int, r.IntN(5))
			for i := range s {
				s[i] = r.IntN(6) - 2
				if r.IntN(40) == 0 {
					s[i] = ir.Symbol("N")
				} else if r.IntN(40) == 0 {
					s[i] = []int{math.MinInt64, math.MaxInt64}[r.IntN(2)]
				}
			}
			f.Set(reflect.ValueOf(s))
		}
	}
}

// TestAttrs: Set of what Attrs gives makes an equal operator, Clone is equal and apart, and wrong names and types are refused.
func TestAttrs(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for i := range Table {
		for range 20 {
			o := Table[i].New()
			randomize(r, o)
			c := Table[i].New()
			for _, a := range Attrs(o) {
				if err := SetAttr(c, a.Name, a.Value); err != nil {
					t.Fatalf("%s: %v", describe(o), err)
				}
			}
			d := Clone(o)
			if !Equal(o, c) || !Equal(o, d) || describe(c) != describe(o) || describe(d) != describe(o) {
				t.Fatalf("got %s and %s, want %s", describe(c), describe(d), describe(o))
			}
			v := reflect.ValueOf(d).Elem()
			for k := range v.NumField() {
				if s, ok := v.Field(k).Interface().([]int); ok && len(s) > 0 {
					s[0]++
					if Equal(o, d) {
						t.Fatalf("%s: Clone shares a slice, or Equal does not see it", describe(o))
					}
				}
			}
		}
	}
	if Equal(&Add{}, &Sub{}) || Equal(&LeakyRelu{0.1}, &LeakyRelu{0.2}) || !Equal(&Squeeze{}, &Squeeze{Axes: []int{}}) {
		t.Error("Equal: want names and values compared, nil equal to empty")
	}
	for _, c := range []struct {
		o     ir.Op
		name  string
		value any
		want  string
	}{
		{&Conv{}, "stride", 1, `no attribute "stride"; Conv has strides, pads, dilations, group`},
		{&Add{}, "axis", 1, `no attribute "axis"; Add has none`},
		{&Conv{}, "group", float32(1), "attribute group: want an integer, got a float"},
		{&Conv{}, "strides", 1, "attribute strides: want a list of integers, got an integer"},
		{&Gemm{}, "transA", 2, "attribute transA: want 0 or 1, got an integer"},
		{&Gemm{}, "transA", 1, ""},
		{&Squeeze{Axes: []int{1}}, "axes", []int{}, ""},
	} {
		err := SetAttr(c.o, c.name, c.value)
		if err == nil && c.want != "" || err != nil && err.Error() != c.want {
			t.Errorf("SetAttr(%s, %v): got %v, want %s", c.name, c.value, err, c.want)
		}
	}
	for _, c := range []struct {
		x    any
		want string
	}{
		{3, "3"}, {ir.Symbol("N"), "N"}, {float32(0.1), "0.1f"}, {true, "true"}, {"a\"b", `"a\"b"`}, {[]int{ir.Symbol("N"), -1}, "[N,-1]"},
		{[]float32{1, 2.5}, "[1f,2.5f]"}, {[]int(nil), "[]"},
	} {
		if got := FormatAttr(c.x); got != c.want {
			t.Errorf("FormatAttr(%v) = %s, want %s", c.x, got, c.want)
		}
	}
}

// anyCase is an operator of the table with random attributes and random small inputs, most of which do not fit it.
func anyCase(r *rand.Rand) (Op, []*tensor.T) {
	d := &Table[r.IntN(len(Table))]
	if f := likely[d.Name]; f != nil && r.IntN(2) == 0 {
		return f(r)
	}
	o := d.New()
	if r.IntN(3) > 0 {
		randomize(r, o)
	}
	elems := []tensor.Elem{tensor.F32, tensor.F32, tensor.F32, tensor.I64, tensor.B, tensor.I(4), tensor.U(8), tensor.F16}
	e := elems[r.IntN(len(elems))]
	base := make([]int, r.IntN(5))
	for i := range base {
		base[i] = r.IntN(5)
	}
	var in []*tensor.T
	for range r.IntN(6) {
		shape := slices.Clone(base)
		for i := range shape {
			if r.IntN(6) == 0 {
				shape[i] = r.IntN(4)
			}
		}
		shape = shape[r.IntN(10)%(len(shape)/2+1):]
		if r.IntN(8) == 0 {
			e = elems[r.IntN(len(elems))]
		}
		in = append(in, randT(r, e, shape...))
		if r.IntN(20) == 0 {
			in[len(in)-1] = nil
		}
	}
	if r.IntN(2) > 0 && len(base) > 2 { // what chance hardly hits
		x := randT(r, e, base...)
		switch o := o.(type) {
		case *BitShift:
			y := randT(r, tensor.U(8), base...)
			return &BitShift{[]string{"LEFT", "RIGHT"}[r.IntN(2)]}, []*tensor.T{y, y}
		case *Conv:
			w := randT(r, tensor.F32, append([]int{1 + r.IntN(3), base[1]}, ones(len(base)-2)...)...)
			return &Conv{Group: 1}, []*tensor.T{randT(r, tensor.F32, base...), w}
		case *DepthToSpace:
			return &DepthToSpace{2, []string{"DCR", "CRD"}[r.IntN(2)]}, []*tensor.T{randT(r, e, base[0], 4*base[1], base[2], 2)}
		case *SpaceToDepth:
			return &SpaceToDepth{2}, []*tensor.T{randT(r, e, base[0], base[1], 2*base[2], 2)}
		case *ReverseSequence:
			return &ReverseSequence{BatchAxis: 1}, []*tensor.T{x, randT(r, tensor.U(8), base[1])}
		case *ScatterElements:
			o.Reduction = []string{"none", "add", "mul", "max", "min"}[r.IntN(5)]
			return o, []*tensor.T{x, randT(r, tensor.I64, base...), x}
		case *ScatterND:
			o.Reduction = []string{"none", "add", "mul", "max", "min"}[r.IntN(5)]
			return o, []*tensor.T{x, randT(r, tensor.I(4), 2, 1), randT(r, e, append([]int{2}, base[1:]...)...)}
		case *Einsum:
			o.Equation = []string{"...ij->...ji", "i...,i...", "iij", "abc,abd->cd", "ab...,ab...->...", "i j k", "i", "i->ii", "..."}[r.IntN(9)]
		case *MaxPool:
			o.KernelShape, o.Strides, o.Pads, o.Dilations = ones(len(base)-2), nil, nil, nil
		case *MaxPoolIndices:
			o.KernelShape, o.Strides, o.Pads, o.Dilations, o.StorageOrder = ones(len(base)-2), nil, nil, nil, r.IntN(2)
		case *AveragePool:
			o.KernelShape, o.Strides, o.Pads, o.Dilations = ones(len(base)-2), nil, nil, nil
		case *BatchNormalization:
			p := randT(r, tensor.F32, base[1])
			return o, []*tensor.T{randT(r, tensor.F32, base...), p, p, p, p}
		}
	}
	return o, in
}

// TestAnything: whatever the attributes and inputs, Infer does not panic, with symbols neither, and where it agrees the kernel gives
// what it says or a proper error.
func TestAnything(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	good, refused := map[string]int{}, map[string]bool{}
	for range 1500 * len(Table) {
		o, in := anyCase(r)
		types := typesOf(in)
		if res, err := o.Infer(types); err != nil {
			refused[o.OpName()] = true
			continue
		} else if slices.ContainsFunc(res, func(t ir.Type) bool { return !t.Known() }) {
			continue // a symbol among the attributes
		} else if slices.ContainsFunc(res, func(t ir.Type) bool { return len(t.Shape) > 0 && slices.Max(t.Shape) > 1<<30 }) {
			continue // more than there is memory, which the importer refuses
		}
		out, err := Eval(o, in)
		if err != nil {
			if strings.Contains(err.Error(), "kernel failed") {
				t.Fatalf("%s of %v: %v", describe(o), in, err)
			}
			continue
		}
		agree(t, o, in, out)
		good[o.OpName()]++
		// With some sizes as symbols Infer may ask for a number; what it gives must not contradict the sizes.
		sizes := map[int]int{}
		for _, x := range types {
			if x != nil {
				x.Shape = slices.Clone(x.Shape)
				for i, d := range x.Shape {
					if r.IntN(3) == 0 {
						x.Shape[i] = ir.Symbol(string(rune('a' + d)))
						sizes[x.Shape[i]] = d
					}
				}
			}
		}
		sym, err := o.Infer(types)
		if err != nil {
			continue
		}
		for i, y := range sym {
			for k, d := range y.Shape {
				if n, ok := sizes[d]; ok {
					d = n
				}
				if len(y.Shape) != len(out[i].Shape) || d != out[i].Shape[k] {
					t.Fatalf("%s of %v: result %d inferred as %v, is %v", describe(o), in, i, y, out[i])
				}
			}
		}
	}
	for i := range Table {
		if name := Table[i].Name; good[name] == 0 || !refused[name] {
			t.Errorf("%s: %d good cases, some refused: %v; want both kinds", name, good[name], refused[name])
		}
	}
}

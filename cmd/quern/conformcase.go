package main

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"quern/backends/interp"
	"quern/frontend/onnx"
	"quern/frontend/onnx/onnxpb"
	"quern/ir"
	"quern/ir/tensor"
)

// outcome of a conformance case.
type outcome string

const (
	pass    outcome = "pass"
	refused outcome = "refused" // by the importer, with a message
	failed  outcome = "fail"    // other results than ONNX's, or a crash
)

// confCase is a folder with model.onnx and test_data_set_N/{input,output}_I.pb, as ONNX's own test runner reads them.
type confCase struct {
	name    string // path below the root, with slashes
	dir     string
	outcome outcome
	reason  string // of what is not a pass, one line
}

func (c *confCase) run() {
	defer func() {
		if r := recover(); r != nil {
			c.outcome, c.reason = failed, fmt.Sprintf("crash: %v", r)
		}
		c.reason = strings.Join(strings.Fields(strings.ReplaceAll(c.reason, "\n", "; ")), " ")
	}()
	sets, err := filepath.Glob(filepath.Join(c.dir, "test_data_set_*"))
	if err == nil && len(sets) == 0 {
		err = errors.New("no test_data_set_* folder")
	}
	c.outcome = pass
	for _, s := range sets {
		if err == nil {
			c.outcome, err = conformSet(filepath.Join(c.dir, "model.onnx"), s)
		}
	}
	if err != nil {
		c.reason = err.Error()
		if c.outcome == pass {
			c.outcome = failed
		}
	}
}

// conformSet imports a model for one set of data, since shapes and parameters may come from that, runs it and compares.
func conformSet(model, set string) (outcome, error) {
	m, err := onnxpb.ReadFile(model)
	if err != nil {
		return failed, err
	}
	data, dataErr := readSet(m.GetGraph(), set)
	g, err := importFor(model, m.GetGraph(), data)
	if err != nil {
		return refused, errors.New(withoutPos(err))
	}
	if dataErr != nil {
		return failed, dataErr
	}
	run, err := interp.New(g)
	if err != nil {
		return failed, err
	}
	in := make([]*tensor.T, len(g.Inputs))
	for i, v := range g.Inputs {
		if in[i] = data[v.Name]; in[i] == nil {
			return failed, fmt.Errorf("no data for input %q", v.Name)
		}
	}
	got, err := run.Run(in, nil)
	if err != nil {
		return failed, err
	}
	return pass, compareSet(m.GetGraph(), g, got, set)
}

// withoutPos is the first problem of an import without file and node, which say nothing new in a case of one node.
func withoutPos(err error) string {
	if all, ok := err.(interface{ Unwrap() []error }); ok {
		err = all.Unwrap()[0]
	}
	var e *ir.Error
	if errors.As(err, &e) {
		return e.Op + ": " + e.Err.Error()
	}
	return err.Error()
}

// readSet reads the inputs of a set by the names of the graph inputs that are not initializers.
func readSet(g *onnxpb.GraphProto, set string) (map[string]*tensor.T, error) {
	var names []string
	for _, v := range g.GetInput() {
		if !slices.ContainsFunc(g.Initializer, func(t *onnxpb.TensorProto) bool { return t.GetName() == v.GetName() }) {
			names = append(names, v.GetName())
		}
	}
	data := map[string]*tensor.T{}
	files := tensorFiles(set, "input")
	if len(files) > len(names) {
		return nil, fmt.Errorf("%s: %d inputs for the %d of the model", set, len(files), len(names))
	}
	for i, f := range files {
		t, err := onnx.ReadTensor(f)
		if err != nil {
			return nil, err
		}
		for _, v := range g.Input {
			if v.GetName() == names[i] {
				t = declared(t, v)
			}
		}
		data[names[i]] = t
	}
	return data, nil
}

// declared is a tensor of the type that the model declares: ONNX's data keeps bfloat16 as the bits of uint16.
func declared(t *tensor.T, v *onnxpb.ValueInfoProto) *tensor.T {
	typ := onnxpb.TensorProto_DataType(v.GetType().GetTensorType().GetElemType())
	if typ != onnxpb.TensorProto_BFLOAT16 || t.Elem != tensor.U(16) {
		return t
	}
	r := tensor.New(tensor.F32, t.Shape...)
	for i, b := range t.I {
		r.F[i] = math.Float32frombits(uint32(b) << 16)
	}
	return r
}

// tensorFiles are KIND_0.pb, KIND_1.pb and so on.
func tensorFiles(set, kind string) []string {
	var files []string
	for i := 0; ; i++ {
		f := filepath.Join(set, kind+"_"+strconv.Itoa(i)+".pb")
		if _, err := os.Stat(f); err != nil {
			return files
		}
		files = append(files, f)
	}
}

// importFor imports a model for the shapes of the data. Inputs that the importer wants to be constants, as they are parameters, are; so are
// single integers that a parameter is computed from, such as the length of a window function.
func importFor(model string, g *onnxpb.GraphProto, data map[string]*tensor.T) (*ir.Graph, error) {
	o := onnx.Options{Dims: map[string]int{}, Consts: map[string]*tensor.T{}}
	for _, v := range g.GetInput() {
		t := data[v.GetName()]
		for i, d := range v.GetType().GetTensorType().GetShape().GetDim() {
			if t == nil || i >= len(t.Shape) || t.Shape[i] == 0 || d.GetDimValue() > 0 {
				continue
			}
			name := d.GetDimParam()
			if name == "" {
				name = fmt.Sprintf("%s_%d", v.GetName(), i)
			}
			o.Dims[name] = t.Shape[i]
		}
	}
	for {
		r, err := onnx.Import(model, o)
		had := len(o.Consts)
		for _, e := range onnx.NotConstants(err) {
			for _, name := range sources(g, e.Value) {
				if t := data[name]; t != nil && (name == e.Value || t.Elem.IsInt() && t.Len() == 1) {
					o.Consts[name] = t
				}
			}
		}
		if err == nil || len(o.Consts) == had {
			return r, err
		}
	}
}

// sources are a value and all others that it is computed from.
func sources(g *onnxpb.GraphProto, value string) []string {
	list := []string{value}
	for i := 0; i < len(list); i++ {
		for _, n := range g.Node {
			if !slices.Contains(n.Output, list[i]) {
				continue
			}
			for _, in := range n.Input {
				if !slices.Contains(list, in) {
					list = append(list, in)
				}
			}
		}
	}
	return list
}

// compareSet compares the outputs of a graph with those of the set.
func compareSet(p *onnxpb.GraphProto, g *ir.Graph, got []*tensor.T, set string) error {
	files := tensorFiles(set, "output")
	if len(files) != len(got) {
		return fmt.Errorf("%d outputs, want %d", len(got), len(files))
	}
	for i, f := range files {
		want, err := onnx.ReadTensor(f)
		if err != nil {
			return err
		}
		want = declared(want, p.Output[i])
		t, v := got[i], g.Outputs[i]
		if v.Type.Quant != nil && !want.Elem.IsFloat() { // results are the reals that the integers stand for
			t = v.Type.Quant.Integers(v.Type.Elem, t)
		}
		if err := compareTensor(t, want, tolerance(p.Output[i].GetType().GetTensorType().GetElemType())); err != nil {
			return fmt.Errorf("output %d: %w", i, err)
		}
	}
	return nil
}

// tolerance is relative: that of ONNX's own runner, for short formats two units of the last place.
func tolerance(typ int32) float64 {
	switch onnxpb.TensorProto_DataType(typ) {
	case onnxpb.TensorProto_FLOAT16:
		return 2 * 0x1p-10
	case onnxpb.TensorProto_BFLOAT16:
		return 2 * 0x1p-7
	}
	return 1e-3
}

// compareTensor compares element types, shapes, integers exactly, and reals within a relative tolerance of what is wanted plus 1e-7.
func compareTensor(got, want *tensor.T, tol float64) error {
	if got.Elem != want.Elem || !slices.Equal(got.Shape, want.Shape) {
		return fmt.Errorf("got %v, want %v", got, want)
	}
	bad, first := 0, 0
	for i := range want.Len() {
		same := false
		if want.I != nil {
			same = got.I[i] == want.I[i]
		} else {
			a, b := got.Float(i), want.Float(i)
			same = a == b || a != a && b != b || math.Abs(a-b) <= 1e-7+tol*math.Abs(b)
			if math.IsInf(b, 0) {
				same = a == b
			}
		}
		if !same {
			if bad == 0 {
				first = i
			}
			bad++
		}
	}
	if bad == 0 {
		return nil
	}
	return fmt.Errorf("%d of %d elements differ; element %d is %v, want %v", bad, want.Len(), first, got.Float(first), want.Float(first))
}

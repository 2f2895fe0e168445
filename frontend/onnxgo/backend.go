// Package onnxgo is the graph IR as a backend of github.com/owulveryck/onnx-go, for Go programs that decode models with that package,
// and a second reader of ONNX files beside frontend/onnx:
//
//	b := onnxgo.New(onnxgo.Options{File: "lenet.onnx", Opset: 13})
//	m := onnx.NewModel(b)
//	err := m.UnmarshalBinary(data)
//	g, err := b.Graph(m)
//
// onnx-go shows a backend values, weights, nodes and edges. The backend writes them down as an ONNX graph again and frontend/onnx makes
// the IR of it, so that operators are described once. onnx-go (v0.5.0) does not show, and the graph has not:
//
//   - names of nodes and of the graph, documentation, metadata;
//   - the version of the operators: [Options.Opset] says it;
//   - dimensions without a number, which it leaves out of the shape: [Options.Shapes] says them;
//   - domains: all operators are taken as those of ai.onnx, and those of other domains are refused as unknown.
//
// It refuses initializers other than float32, double, int32, int64 and bool, raw ones of bool (it takes 8 bytes for each), any that is
// empty or kept in another file, and attributes that are graphs. On some it panics.
//
// [Import] fills in what the options need from the header of the file.
package onnxgo

import (
	"fmt"

	"github.com/owulveryck/onnx-go"
	"gonum.org/v1/gonum/graph"
	"gonum.org/v1/gonum/graph/simple"
	"gorgonia.org/tensor"

	"quern/frontend/onnx/onnxpb"
)

// Backend takes what onnx-go decodes. It implements [onnx.Backend]; the graph that it is has an edge from a value to each of the values
// that it is computed from. A Backend is for one model.
type Backend struct {
	*simple.WeightedDirectedGraph
	o      Options
	values []*value // by id
	edges  map[int64][]graph.WeightedEdge
	nodes  []*onnxpb.NodeProto
	made   map[string]bool // values that a node computes
}

var _ onnx.Backend = (*Backend)(nil)

// New makes an empty backend.
func New(o Options) *Backend {
	return &Backend{
		WeightedDirectedGraph: simple.NewWeightedDirectedGraph(0, 0),
		o:                     o, edges: map[int64][]graph.WeightedEdge{}, made: map[string]bool{},
	}
}

// value is a node in the sense of onnx-go: a named value, not an operator. A name can have several: one for its declaration as an input,
// one as an output.
type value struct {
	id   int64
	name string
	t    tensor.Tensor // of a declaration only type and shape, of an initializer the data
	sets int           // how often t was set
}

var (
	_ onnx.Namer       = (*value)(nil)
	_ onnx.DataCarrier = (*value)(nil)
)

func (v *value) ID() int64                { return v.id }
func (v *value) SetName(s string)         { v.name = s }
func (v *value) GetName() string          { return v.name }
func (v *value) GetTensor() tensor.Tensor { return v.t }

func (v *value) SetTensor(t tensor.Tensor) error {
	v.t = t
	v.sets++
	return nil
}

// NewNode makes a value. Ids count up in the order of the calls.
func (b *Backend) NewNode() graph.Node {
	v := &value{id: int64(len(b.values))}
	b.values = append(b.values, v)
	return v
}

// NewWeightedEdge says that from is computed from to, as input number weight.
func (b *Backend) NewWeightedEdge(from, to graph.Node, weight float64) graph.WeightedEdge {
	return simple.WeightedEdge{F: from, T: to, W: weight}
}

// SetWeightedEdge keeps the edge for the operation that follows. The graph itself has at most one edge between two values, and Mul(x, x)
// needs two.
func (b *Backend) SetWeightedEdge(e graph.WeightedEdge) {
	from, to := e.From().ID(), e.To().ID()
	b.edges[from] = append(b.edges[from], e)
	if from != to { // an invalid model, which the importer reports as a cycle; the graph would panic
		b.WeightedDirectedGraph.SetWeightedEdge(e)
	}
}

// ApplyOperation notes a node of the file: op computes the outputs from what edges lead to since the last call.
func (b *Backend) ApplyOperation(op onnx.Operation, outputs ...graph.Node) error {
	n := &onnxpb.NodeProto{OpType: &op.Name}
	for _, o := range outputs {
		v, ok := o.(*value)
		if !ok {
			return fmt.Errorf("%s: output %v is no value of this backend", op.Name, o)
		}
		n.Output = append(n.Output, v.name)
		b.made[v.name] = true
		for _, e := range b.edges[v.id] { // the same of each output
			i := int(e.Weight())
			for len(n.Input) <= i {
				n.Input = append(n.Input, "")
			}
			n.Input[i] = e.To().(*value).name
		}
	}
	if len(n.Input) == 1 && n.Input[0] != "" && b.invented(n.Input[0]) {
		n.Input = nil
	}
	clear(b.edges)
	var err error
	n.Attribute, err = attributes(op.Attributes)
	if err != nil {
		return fmt.Errorf("node %d (%s): %w", len(b.nodes), op.Name, err)
	}
	b.nodes = append(b.nodes, n)
	return nil
}

// invented reports whether a value is the input that onnx-go makes up for a node that has none: NAME/input, without a type.
func (b *Backend) invented(name string) bool {
	const suffix = "/input"
	if len(name) < len(suffix) || name[len(name)-len(suffix):] != suffix || b.made[name] {
		return false
	}
	for _, v := range b.values {
		if v.name == name && v.t != nil {
			return false
		}
	}
	return true
}

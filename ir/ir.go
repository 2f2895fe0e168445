// Package ir is quern's graph: the form between a model file and the hardware IR.
//
// A graph is in SSA form: nodes stand in topological order and each value has one definition (a node, a constant or an
// input of the graph). A value's type says how it is stored: an element type, a shape and, for quantized values, a Quant.
//
// A quantized value stands for real numbers: real = (integer - zero) * scale. Operators keep their meaning over the reals; a
// node whose result has a Quant computes in reals and then quantizes:
//
//	%y u8[1,8,8,8]{s=0.0123 z=0} = Conv<pads=[1,1,1,1]>(%x, %w, %b)
//
// means y = clamp(round(conv(real x, real w, real b)/0.0123) + 0, 0, 255). The interpreter does exactly this in float32; the
// lowering to ir/hw does it in integers. A clamp is therefore also an activation: Conv, Relu with zero = min is one node.
package ir

import (
	"fmt"

	"quern/ir/tensor"
)

// Graph is a function from inputs to outputs.
type Graph struct {
	Name    string
	Inputs  []*Value
	Outputs []*Value
	Nodes   []*Node // topological order is an invariant
	// Meta holds key and value strings that travel with the model (preprocessing), in file order.
	Meta [][2]string
}

// Node applies an operator. In[i] is nil for an optional input that is not given.
type Node struct {
	Op  Op
	In  []*Value
	Out []*Value
	Pos Pos
}

// Value is one SSA value. Def is the node that computes it, Const its data if it is a constant; both nil: a graph input.
type Value struct {
	Name  string // unique in its graph, without the % of the text form
	Type  Type
	Def   *Node
	Const *tensor.T
}

// Op is what the graph needs of an operator; ir/op declares them. An Op is a pointer to a struct whose exported fields are the
// attributes.
type Op interface {
	// OpName is the name in the textual IR, the ONNX name where there is one.
	OpName() string
	// Infer derives the output types from the input types. A nil entry is an omitted optional input. The Quant of the results is
	// nil: it is not inferred but chosen by passes.
	Infer(in []*Type) ([]Type, error)
}

// Pos says where a node came from, for messages.
type Pos struct {
	File string // base name of the model or IR file
	Node int    // index in the file, from 0; the line for textual IR
	Name string // the node's name in the file
}

func (p Pos) String() string {
	s := p.File
	if s == "" {
		s = "<graph>"
	}
	s += fmt.Sprintf(": node %d", p.Node)
	if p.Name != "" {
		s += fmt.Sprintf(" %q", p.Name)
	}
	return s
}

// Error is an error with a position: `resnet8.onnx: node 17 "conv3" (Conv): input 1: want 4 dims, got 3`.
type Error struct {
	Pos Pos
	Op  string
	Err error
}

func (e *Error) Error() string {
	s := e.Pos.String()
	if e.Op != "" {
		s += " (" + e.Op + ")"
	}
	return s + ": " + e.Err.Error()
}

func (e *Error) Unwrap() error { return e.Err }

// Errorf is an Error at the node. It wraps like fmt.Errorf.
func (n *Node) Errorf(format string, args ...any) error {
	return &Error{Pos: n.Pos, Op: n.Op.OpName(), Err: fmt.Errorf(format, args...)}
}

// Wrap puts the node's position before an error; nil stays nil.
func (n *Node) Wrap(err error) error {
	if err == nil {
		return nil
	}
	return &Error{Pos: n.Pos, Op: n.Op.OpName(), Err: err}
}

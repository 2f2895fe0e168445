// Package op declares the operators of the graph, each once: a file with a struct whose exported fields are the attributes, its
// shape inference and its float kernel, and one row in Table.
//
// A field tagged `attr:"name"` is an attribute: an int, float32, bool or string, or a slice of ints or float32s. The value that
// Def.New gives it is the default; the textual IR leaves out attributes that have it. Old ONNX forms (attributes that became inputs
// and the like) are brought into the one form here by frontend/onnx/upgrade.go; inputs that only carry parameters (the shape of
// Reshape, the axes of Squeeze, the pads of Pad) are attributes here.
//
// To add an operator: a file here, a row in Table, a lowering rule in passes/lower if it is quantizable, and a case under
// testdata/cases.
package op

import (
	"fmt"

	"quern/ir"
	"quern/ir/tensor"
)

// Op is an operator with a float kernel.
type Op interface {
	ir.Op
	// Eval computes the results. A nil entry is an omitted optional input. It must not write to its inputs nor return their
	// data slices unless the result is a mere view. Shapes are those of the tensors at hand, which agree with Infer. Inputs of
	// quantized values come as the float32 numbers they stand for.
	Eval(in []*tensor.T) ([]*tensor.T, error)
}

// Class says how quantization treats an operator.
type Class uint8

// The classes.
const (
	None      Class = iota // not for hardware: stays in float
	MAC                    // multiplies and accumulates with weights: Conv, Gemm, MatMul
	SameScale              // moves or selects values: the result has the scale of the input
	Pointwise              // arithmetic whose result has a scale of its own: Add, AveragePool
	TableFunc              // a function of one value: a table over the input's integers
	Boundary               // Quantize, Dequantize
	Index                  // finds places of extremes: for the host, or for hardware where that is asked for
)

var classNames = [...]string{"none", "MAC", "same-scale", "pointwise", "table", "boundary", "index"}

func (c Class) String() string { return classNames[c] }

// Def is one row of Table.
type Def struct {
	Name   string // in the textual IR; the ONNX name where there is one
	Domain string // "" is ai.onnx; "quern" for operators that ONNX lacks
	Since  []int  // the ONNX operator versions that the importer accepts, ascending; nil outside ONNX
	MinIn  int    // inputs as ONNX counts them, parameters included
	MaxIn  int    // -1: any number
	Doc    string // one line
	Class  Class
	New    func() Op // with default attributes
}

// ByName finds the row of an operator; nil if there is none.
func ByName(name string) *Def { return byName[name] }

var byName = func() map[string]*Def {
	m := map[string]*Def{}
	for i := range Table {
		d := &Table[i]
		if m[d.Name] != nil {
			panic("op: two rows for " + d.Name)
		}
		m[d.Name] = d
	}
	return m
}()

// Of is the row of an operator at hand.
func Of(o ir.Op) *Def {
	d := byName[o.OpName()]
	if d == nil {
		panic("op: no row for " + o.OpName())
	}
	return d
}

// Eval runs an operator, and turns a broken shape or index inside a kernel into an error rather than a crash of the program.
func Eval(o ir.Op, in []*tensor.T) (out []*tensor.T, err error) {
	e, ok := o.(Op)
	if !ok {
		return nil, fmt.Errorf("%s has no float kernel", o.OpName())
	}
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%s: kernel failed: %v", o.OpName(), r)
		}
	}()
	return e.Eval(in)
}

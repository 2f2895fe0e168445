package op

import (
	"fmt"

	"quern/ir"
	"quern/ir/tensor"
)

// inputs checks the number of inputs of a node: the first least have to be there, and there may be up to most (-1: any number).
// Parameters that are attributes here do not count.
func inputs(in []*ir.Type, least, most int) error {
	if len(in) < least || most >= 0 && len(in) > most {
		switch {
		case most < 0:
			return fmt.Errorf("want at least %d inputs, got %d", least, len(in))
		case least == most:
			return fmt.Errorf("want %d inputs, got %d", least, len(in))
		}
		return fmt.Errorf("want %d to %d inputs, got %d", least, most, len(in))
	}
	for i, t := range in {
		if t == nil && (i < least || most < 0) {
			return fmt.Errorf("input %d: it is not optional, but omitted", i)
		}
	}
	return nil
}

// reals is inputs for operators over reals: those given must be floats of one element type.
func reals(in []*ir.Type, least, most int) error {
	if err := inputs(in, least, most); err != nil {
		return err
	}
	for i, t := range in {
		if t == nil {
			continue
		}
		if !t.Elem.IsFloat() {
			return fmt.Errorf("input %d: want reals, got %v", i, *t)
		}
		if t.Elem != in[0].Elem {
			return fmt.Errorf("input %d: want the element type of input 0, %v, got %v", i, in[0].Elem, *t)
		}
	}
	return nil
}

// realMap is the inference of a function from reals to reals of the same shape.
func realMap(in []*ir.Type) ([]ir.Type, error) {
	if err := reals(in, 1, 1); err != nil {
		return nil, err
	}
	return sameType(in[0]), nil
}

// given is input i, nil if it is omitted.
func given[X any](in []*X, i int) *X {
	if i < len(in) {
		return in[i]
	}
	return nil
}

// axisOf turns an axis that may count from the end (-1 is the last) into 0..rank-1.
func axisOf(axis, rank int) (int, error) {
	if axis < -rank || axis >= rank {
		return 0, fmt.Errorf("axis %d of %d dims: want %d to %d", axis, rank, -rank, rank-1)
	}
	if axis < 0 {
		axis += rank
	}
	return axis, nil
}

// axisSet marks the given axes, each of which may count from the end.
func axisSet(axes []int, rank int) ([]bool, error) {
	set := make([]bool, rank)
	for _, a := range axes {
		i, err := axisOf(a, rank)
		if err != nil {
			return nil, err
		}
		if set[i] {
			return nil, fmt.Errorf("axes %v: axis %d is given twice", axes, i)
		}
		set[i] = true
	}
	return set, nil
}

// mayEqual reports whether two dimensions can have the same size: symbolic ones may.
func mayEqual(a, b int) bool { return a == b || ir.IsSymbol(a) || ir.IsSymbol(b) }

// unify is the size of two dimensions that must be equal: the number if one is known.
func unify(a, b int) int {
	if ir.IsSymbol(a) && !ir.IsSymbol(b) {
		return b
	}
	return a
}

// noSymbols refuses int64 tensors that hold handles of symbolic dimensions: arithmetic on them has no meaning.
func noSymbols(in ...*tensor.T) error {
	for i, t := range in {
		if t == nil {
			continue
		}
		for _, v := range t.I {
			if ir.IsSymbol(int(v)) {
				return fmt.Errorf("input %d: arithmetic on the symbolic dimension %s", i, ir.DimString(int(v)))
			}
		}
	}
	return nil
}

// wrap brings integers into the range of their element type, modulo 2^bits as C does.
func wrap(t *tensor.T) {
	b := t.Elem.Bits
	if !t.Elem.IsInt() || b >= 64 {
		return
	}
	for i, v := range t.I {
		if t.Elem.Kind == tensor.Int {
			t.I[i] = v << (64 - b) >> (64 - b)
		} else {
			t.I[i] = v & (1<<b - 1)
		}
	}
}

// block splits a shape at an axis: outer*shape[axis]*inner elements.
func block(shape []int, axis int) (outer, inner int) {
	return tensor.Numel(shape[:axis]), tensor.Numel(shape[axis+1:])
}

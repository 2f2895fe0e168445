package op

import (
	"fmt"

	"quern/ir"
	"quern/ir/tensor"
)

// DepthToSpace is ONNX DepthToSpace (1, 11, 13): channels become blocks of Blocksize x Blocksize pixels. The block is the outer part of the
// channel with the mode "DCR", the inner part with "CRD".
type DepthToSpace struct {
	Blocksize int    `attr:"blocksize"`
	Mode      string `attr:"mode"`
}

// SpaceToDepth is ONNX SpaceToDepth (1, 13): blocks of Blocksize x Blocksize pixels become channels; the block is the outer part.
type SpaceToDepth struct {
	Blocksize int `attr:"blocksize"`
}

func (*DepthToSpace) OpName() string { return "DepthToSpace" }
func (*SpaceToDepth) OpName() string { return "SpaceToDepth" }

// images checks for one input [batch, channels, height, width] and a block size.
func images(in []*ir.Type, b int) error {
	if err := inputs(in, 1, 1); err != nil {
		return err
	}
	if len(in[0].Shape) != 4 {
		return fmt.Errorf("input 0: want 4 dims, got %v", *in[0])
	}
	for _, d := range in[0].Shape[1:] {
		if ir.IsSymbol(d) {
			return fmt.Errorf("dimension %s must be known", ir.DimString(d))
		}
	}
	if b < 1 || b > 1<<15 {
		return fmt.Errorf("blocksize %d: want 1 or more", b)
	}
	return nil
}

func (o *DepthToSpace) Infer(in []*ir.Type) ([]ir.Type, error) {
	b := o.Blocksize
	if err := images(in, b); err != nil {
		return nil, err
	}
	if o.Mode != "DCR" && o.Mode != "CRD" {
		return nil, fmt.Errorf("mode %q: want DCR or CRD", o.Mode)
	}
	s := in[0].Shape
	if s[1]%(b*b) != 0 {
		return nil, fmt.Errorf("%d channels: want a multiple of %d, the square of the blocksize", s[1], b*b)
	}
	return []ir.Type{{Elem: in[0].Elem, Shape: []int{s[0], s[1] / (b * b), s[2] * b, s[3] * b}}}, nil
}

func (o *SpaceToDepth) Infer(in []*ir.Type) ([]ir.Type, error) {
	b := o.Blocksize
	if err := images(in, b); err != nil {
		return nil, err
	}
	s := in[0].Shape
	if s[2]%b != 0 || s[3]%b != 0 {
		return nil, fmt.Errorf("%v: want a height and width that are multiples of the blocksize, %d", *in[0], b)
	}
	return []ir.Type{{Elem: in[0].Elem, Shape: []int{s[0], s[1] * b * b, s[2] / b, s[3] / b}}}, nil
}

func (o *DepthToSpace) Eval(in []*tensor.T) ([]*tensor.T, error) {
	x, b := in[0], o.Blocksize
	n, c, h, w := x.Shape[0], x.Shape[1]/(b*b), x.Shape[2], x.Shape[3]
	var y *tensor.T
	if o.Mode == "CRD" {
		y = x.Reshape(n, c, b, b, h, w).Permute([]int{0, 1, 4, 2, 5, 3})
	} else {
		y = x.Reshape(n, b, b, c, h, w).Permute([]int{0, 3, 4, 1, 5, 2})
	}
	return []*tensor.T{y.Reshape(n, c, h*b, w*b)}, nil
}

func (o *SpaceToDepth) Eval(in []*tensor.T) ([]*tensor.T, error) {
	x, b := in[0], o.Blocksize
	n, c, h, w := x.Shape[0], x.Shape[1], x.Shape[2]/b, x.Shape[3]/b
	y := x.Reshape(n, c, h, b, w, b).Permute([]int{0, 3, 5, 1, 2, 4})
	return []*tensor.T{y.Reshape(n, c*b*b, h, w)}, nil
}

package hw

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"strings"
)

// String is the text form. Constants appear as digests of all their numbers, so two programs with the same text are the same program:
// this is what "byte for byte" is checked on.
func (p *Program) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "program %s\n", p.Name)
	for _, side := range []struct {
		word string
		bufs []*Buffer
	}{{"input", p.Inputs}, {"output", p.Outputs}} {
		for _, f := range side.bufs {
			fmt.Fprintf(&b, "%s %v  // %q %v perm %v scale %v zero %v clamp %d..%d %v\n", side.word, f, f.Port.Name, f.Port.Shape, f.Port.Perm,
				f.Port.Quant.Scale[0], f.Port.Quant.Zero[0], f.Port.Quant.Min, f.Port.Quant.Max, f.Port.Quant.Round)
		}
	}
	for _, k := range p.Kernels {
		b.WriteString(k.String())
	}
	return b.String()
}

func (b *Buffer) String() string {
	return fmt.Sprintf("%%%d %s %v%s in %d..%d", b.ID, b.Name, b.Range, dims(b.Shape), b.Range.Lo, b.Range.Hi)
}

func dims(s []int) string { return strings.ReplaceAll(fmt.Sprint(s), " ", ",") }

func (k *Kernel) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%v = %v", k.Out, k.Kind)
	for _, in := range k.In {
		fmt.Fprintf(&b, " %%%d", in.ID)
	}
	fmt.Fprintf(&b, "  // %s\n", k.Name)
	switch {
	case k.Dot != nil:
		d := k.Dot
		b.WriteString(d.Geometry.text())
		wr, all := d.WeightRange(), d.AccRange()
		w := make([]int64, len(d.Weights))
		for i, v := range d.Weights {
			w[i] = int64(v)
		}
		fmt.Fprintf(&b, "    groups %d  weights %v %d %s  bias %s  acc %v in %d..%d\n", d.Groups, wr, len(w), Digest(w), Digest(d.Bias), all, all.Lo, all.Hi)
	case k.Window != nil:
		b.WriteString(k.Window.Geometry.text())
		fmt.Fprintf(&b, "    %v  acc %v\n", k.Window.Reduce, k.Window.Acc)
	case k.Move != nil:
		for _, p := range k.Move.Pieces {
			fmt.Fprintf(&b, "    copy %s from %%%d at %d step %s to %d step %s\n", dims(p.Size), k.In[p.Src].ID, p.SrcOff, dims(p.SrcStride), p.DstOff, dims(p.DstStride))
		}
		if k.Move.Filled {
			fmt.Fprintf(&b, "    fill %d\n", k.Move.Fill)
		}
	}
	if k.Prog != nil {
		for _, line := range strings.SplitAfter(k.Prog.String(), "\n") {
			if line != "" {
				b.WriteString("    " + line)
			}
		}
	}
	return b.String()
}

func (g *Geometry) text() string {
	return fmt.Sprintf("    %dx%dx%d to %dx%dx%d  kernel %dx%d stride %dx%d dilation %dx%d pad %d,%d value %d\n", g.H, g.W, g.C, g.OH, g.OW, g.OC,
		g.KH, g.KW, g.SH, g.SW, g.DH, g.DW, g.PH, g.PW, g.PadValue)
}

// Digest names a list of numbers: the first 12 hex digits of its SHA-256.
func Digest(v []int64) string {
	h := sha256.New()
	var buf [8]byte
	for _, x := range v {
		binary.LittleEndian.PutUint64(buf[:], uint64(x))
		h.Write(buf[:])
	}
	return fmt.Sprintf("#%x", h.Sum(nil)[:6])
}

package stream

import "quern/ir/hw"

// A Slide stage turns the words of an [H,W,C] image into those of sliding windows. It keeps Lines rows of the image in a memory that is
// written round and round, and puts out, for each output pixel (oy, ox), each of Blocks blocks of channels and each kernel tap (ky, kx),
// the words of that block under the tap. Taps outside the image have the pad value and take no word from the memory.
//
// For a Dot kernel the blocks are its groups; for a Lane unit they are the words of a pixel, so that a lane sees all taps of its channel
// one after the other.
//
// Reading and writing go on at the same time. A row is taken in once the row that it overwrites has been left by the windows, and
// a word is put out once its pixel was complete Lag iterations before: a memory with registers at both ports then needs no forwarding.
type Slider struct {
	G             *hw.Geometry
	Lines         int // rows in memory
	Words         int // of a pixel
	Blocks, Block int // blocks of channels of a pixel, words of a block

	Out  Tap      // what comes out next
	In   Pixel    // what comes in next
	done [Lag]int // complete pixels, now and up to Lag-1 iterations before
}

// Tap is a word of a window: word J of block B under kernel tap (KY, KX) at output pixel (OY, OX).
type Tap struct{ OY, OX, B, KY, KX, J int }

// Pixel is a word of the image.
type Pixel struct{ Row, Col, Word int }

// Lag is the number of iterations from the last word of a pixel to its first use.
const Lag = 3

// NewSlider is the state of a Slide stage before the first iteration.
func NewSlider(k *hw.Kernel, f Fold) *Slider {
	g := Geometry(k)
	s := &Slider{G: g, Lines: min(g.H, (g.KH-1)*g.DH+1+g.SH)}
	if unit(k) == Lane {
		s.Words, s.Blocks, s.Block = g.C/f.PE, g.C/f.PE, 1
	} else {
		s.Words, s.Blocks = g.C/f.SIMD, k.Dot.Groups
		s.Block = s.Words / s.Blocks
	}
	return s
}

// Done reports whether all has been read and written.
func (s *Slider) Done() bool { return s.In.Row == s.G.H && s.Out.OY == s.G.OH }

// Next is one iteration.
func (s *Slider) Next() Step {
	g := s.G
	var st Step
	read := s.In.Row < g.H && (s.Lines == g.H || s.Out.OY == g.OH || s.In.Row < s.Out.OY*g.SH-g.PH+s.Lines)
	if s.Out.OY < g.OH {
		y, x, inside := g.Inside(s.Out.OY, s.Out.OX, s.Out.KY, s.Out.KX)
		if !inside || y*g.W+x < s.done[Lag-1] {
			st.Write = 1
			s.advance()
		}
	}
	copy(s.done[1:], s.done[:Lag-1])
	if read {
		st.Read = 1
		if s.In.Word++; s.In.Word == s.Words {
			s.In.Word = 0
			s.done[0]++
			if s.In.Col++; s.In.Col == g.W {
				s.In.Col = 0
				s.In.Row++
			}
		}
	}
	return st
}

// advance goes on to the next word to come out.
func (s *Slider) advance() {
	g := s.G
	for _, c := range []struct {
		i *int
		n int
	}{{&s.Out.J, s.Block}, {&s.Out.KX, g.KW}, {&s.Out.KY, g.KH}, {&s.Out.B, s.Blocks}, {&s.Out.OX, g.OW}} {
		if *c.i++; *c.i < c.n {
			return
		}
		*c.i = 0
	}
	s.Out.OY++
}

// count runs to the end.
func (s *Slider) count() int {
	n := 0
	for !s.Done() {
		s.Next()
		n++
	}
	return n
}

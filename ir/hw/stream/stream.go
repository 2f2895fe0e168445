// Package stream describes a hardware program as a dataflow network: stages that all run at the same time, joined by FIFO channels that
// carry words of several elements. The cycle model of the simulator and the streaming HLS emitter both read it, so what is simulated is
// what is emitted.
//
//	d, err := stream.Build(prog, folds)   // one Fold for each kernel
//
// A stage is one flattened loop with an initiation interval of 1: in each iteration it reads at most one word of each input channel and
// writes at most one word to each output channel, and which of them never depends on the data (Stage.Cursor). So the number of
// iterations is the number of clock cycles of one run as long as no FIFO is empty or full.
//
// The elements of a buffer pass through a channel in row-major order, channels last, Lanes of them in a word, the first in the lowest
// bits. Only the channel behind a Slide stage carries windows instead: see Slide.
//
// The kinds of stages follow FINN's hlslib (Umuroglu et al., FPGA 2017; Blott et al., TRETS 2018), which has units for square kernels
// without dilation.
package stream

import (
	"fmt"

	"quern/ir/hw"
)

// Design is a program as a dataflow network.
type Design struct {
	Prog     *hw.Program
	Stages   []*Stage   // in the order of the data
	Channels []*Channel // by ID
}

// Channel is a FIFO between two stages.
type Channel struct {
	ID       int
	Name     string // a C identifier, unique in the design
	Buffer   *hw.Buffer
	From, To *Stage
	Range    hw.Interval // of an element: that of the buffer, and of the padding behind a Slide
	Lanes    int         // elements in a word
	Words    int         // in one run
	Depth    int         // words that it holds, 2 or more
}

// Width is the size of a word in bits.
func (c *Channel) Width() int { return c.Lanes * c.Range.Bits() }

// Kind is the kind of a stage.
type Kind uint8

// The kinds of stages.
const (
	Load    Kind = iota // words of an input port
	Store               // words to an output port
	Fork                // each word to several readers
	Split               // one wide word becomes several narrow ones
	Join                // several narrow words become a wide one
	Slide               // sliding windows out of a line buffer
	MVU                 // matrix-vector unit: a Dot kernel on windows or pixels
	Lane                // PE channels side by side: a depthwise Dot or a Window kernel on windows
	Global              // a Window kernel over all of the image
	Map                 // an elementwise kernel
	Weave               // a Move kernel that takes its sources' words in their order
	Reorder             // any other Move kernel: stores its sources, then reads them in another order
)

var kindNames = [...]string{"load", "store", "fork", "split", "join", "slide", "mvu", "lane", "global", "map", "weave", "reorder"}

func (k Kind) String() string { return kindNames[k] }

// Fold says how much of a kernel is done in one clock cycle: PE output channels side by side and, in a matrix-vector unit, SIMD input
// elements for each of them. Kernels other than dense Dots have SIMD 1. LUT makes the products of a Dot kernel of LUTs instead of DSP
// slices. Thresholds has the kernel's results of few bits counted instead of computed by multiplication and shift.
type Fold struct {
	PE         int  `json:"pe"`
	SIMD       int  `json:"simd,omitempty"`
	LUT        bool `json:"lut,omitempty"`
	Thresholds bool `json:"thresholds,omitempty"`
}

func (f Fold) String() string {
	s := fmt.Sprintf("PE %d SIMD %d", f.PE, f.SIMD)
	if f.LUT {
		s += " LUT"
	}
	if f.Thresholds {
		s += " THR"
	}
	return s
}

// Stage is one process of the network.
type Stage struct {
	Name    string // a C identifier, unique in the design
	Kind    Kind
	Kernel  *hw.Kernel // of Slide to Reorder
	Port    *hw.Buffer // of Load and Store
	Fold    Fold       // of Slide to Reorder; a Slide has that of its kernel
	In, Out []*Channel
	// Args is the input channel of each input of a Map's program: a kernel that reads a buffer twice has one channel for it.
	Args []int
	Plan *Plan // of Weave and Reorder
	// Thresholds stand for the kernel's program in the unit of a Fold with Thresholds, else nil.
	Thresholds *hw.Thresholds

	iterations int
	weights    hw.Interval // range of those of a Dot kernel, of its unit
}

// Iterations is the number of loop iterations of one run.
func (s *Stage) Iterations() int { return s.iterations }

// MaxWidth is the widest word in bits that both tools take for ap_uint without a change of headers, MaxLanes the number of partitions of
// an array that Vivado HLS accepts, and MaxUnroll the number of products of a stage: synthesis of many more copies of a loop body takes
// hours.
const (
	MaxWidth  = 4096
	MaxLanes  = 1024
	MaxUnroll = 1024
)

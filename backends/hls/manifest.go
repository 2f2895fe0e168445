package hls

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"

	"quern/ir/hw"
	"quern/ir/hw/part"
	"quern/ir/hw/stream"
)

// generator marks manifests as ours.
const generator = "quern"

// manifest describes the project for programs: names, widths, kernels, and every other file with its hash.
type manifest struct {
	Generator string           `json:"generator"`
	Version   string           `json:"version"`
	Model     string           `json:"model"`
	ModelHash string           `json:"model_sha256,omitempty"`
	Top       string           `json:"top"`
	Style     string           `json:"style"`
	Part      string           `json:"part"`
	ClockNS   float64          `json:"clock_ns"`
	MACs      int              `json:"macs"`
	Vectors   int              `json:"vectors"`
	Program   string           `json:"program_sha256"` // of the program's text form
	Inputs    []manifestPort   `json:"inputs"`
	Outputs   []manifestPort   `json:"outputs"`
	Kernels   []manifestKernel `json:"kernels"`
	*manifestStream
	Files []manifestFile `json:"files"`
}

type manifestPort struct {
	Name  string  `json:"name"`  // of the parameter
	Model string  `json:"model"` // name in the model
	Shape []int   `json:"shape"` // of the array, channels last
	Type  string  `json:"type"`
	Bits  int     `json:"bits"`
	Lo    int64   `json:"lo"`
	Hi    int64   `json:"hi"`
	Scale float64 `json:"scale"`
	Zero  int64   `json:"zero_point"`
	// Of style stream.
	Lanes int `json:"lanes,omitempty"` // elements of a word
	Words int `json:"words,omitempty"` // of a sample
	TData int `json:"tdata_bits,omitempty"`
}

type manifestKernel struct {
	Name   string `json:"name,omitempty"` // of the C function; none for a kernel that only gives another shape in style stream
	Kernel string `json:"kernel"`         // in the program
	Node   string `json:"node"`
	Kind   string `json:"kind"`
	Shape  []int  `json:"shape"`
	Bits   int    `json:"bits"`               // of an output element
	Acc    int    `json:"acc_bits,omitempty"` // of the accumulator
	Weight int    `json:"weight_bits,omitempty"`
	MACs   int    `json:"macs,omitempty"`
}

type manifestFile struct {
	Name   string `json:"name"`
	SHA256 string `json:"sha256"`
}

// manifestStream is what only a stream design has. Folding can be given back to quern compile --folding.
type manifestStream struct {
	Folding  map[string]stream.Fold `json:"folding"`
	Timing   *Timing                `json:"cycles,omitempty"`   // by cycle simulation
	Estimate *part.Resources        `json:"estimate,omitempty"` // of all resources, if the part is known
	Stages   []manifestStage        `json:"stages"`
	Channels []manifestChannel      `json:"channels"`
}

type manifestStage struct {
	Name       string `json:"name"` // of the C function
	Kind       string `json:"kind"`
	Kernel     string `json:"kernel,omitempty"`
	Iterations int    `json:"iterations"`
	Thresholds int    `json:"thresholds,omitempty"` // for each result, where it is counted
}

type manifestChannel struct {
	Name  string `json:"name"`
	From  string `json:"from"`
	To    string `json:"to"`
	Lanes int    `json:"lanes"`
	Bits  int    `json:"bits"` // of a word
	Words int    `json:"words"`
	Depth int    `json:"depth"`
}

func (e *emitter) manifest(d *design, files []File) []byte {
	m := &manifest{Generator: generator, Version: e.version(), Model: e.model(), ModelHash: e.o.ModelHash, Top: e.o.Top, Style: e.o.Style, Part: e.o.Part, ClockNS: e.o.ClockNS,
		MACs: e.p.MACs(), Vectors: len(e.o.Vectors), Program: fmt.Sprintf("%x", sha256.Sum256([]byte(e.p.String())))}
	ports := func(bufs []*hw.Buffer, ids []string) (ps []manifestPort) {
		for i, b := range bufs {
			q := b.Port.Quant
			ps = append(ps, manifestPort{Name: ids[i], Model: b.Port.Name, Shape: b.Shape, Type: storage(b.Range).String(), Bits: b.Range.Bits(),
				Lo: b.Range.Lo, Hi: b.Range.Hi, Scale: q.Scale[0], Zero: q.Zero[0]})
		}
		return ps
	}
	m.Inputs, m.Outputs = ports(e.p.Inputs, e.in), ports(e.p.Outputs, e.out)
	for _, k := range e.p.Kernels {
		j := manifestKernel{Name: d.functions[k], Kernel: k.Name, Node: k.Pos.String(), Kind: k.Kind.String(), Shape: k.Out.Shape, Bits: k.Out.Range.Bits()}
		if k.Dot != nil {
			j.Acc, j.Weight, j.MACs = k.Dot.AccRange().Bits(), k.Dot.WeightRange().Bits(), k.Dot.MACs()
		}
		if k.Window != nil {
			j.Acc = k.Window.Acc.Bits()
		}
		m.Kernels = append(m.Kernels, j)
	}
	if d.describe != nil {
		d.describe(m)
	}
	for _, f := range files {
		m.Files = append(m.Files, manifestFile{f.Name, fmt.Sprintf("%x", sha256.Sum256(f.Data))})
	}
	b, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		panic(err) // strings and finite numbers only
	}
	return append(b, '\n')
}

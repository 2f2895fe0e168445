package main

import (
	"fmt"
	"io"
	"maps"
	"text/tabwriter"

	"github.com/urfave/cli/v2"

	"quern/backends/hls"
	"quern/backends/sim/dataflow"
	"quern/ir/hw"
	"quern/ir/hw/part"
	"quern/ir/hw/stream"
	"quern/passes/fold"
)

// streamFlags are those of compile that only style stream has.
var streamFlags = []cli.Flag{
	&cli.Float64Flag{Name: "fps", Usage: "samples per second to reach with the least resources (style stream)", DefaultText: "as many as fit the part"},
	&cli.StringFlag{Name: "config", Usage: "YAML or JSON `FILE` with foldings to keep, by layer; see README.md (style stream)"},
	&cli.StringFlag{Name: "folding", Usage: "JSON file with foldings to keep, {\"folding\": {LAYER: {\"pe\": N, \"simd\": N, \"lut\": true, \"thresholds\": true}}}, or a manifest.json (style stream)"},
}

// fixedFolds are the foldings of --config and --folding; those of --folding win.
func fixedFolds(c *cli.Context, p *hw.Program) (map[string]stream.Fold, error) {
	folds := map[string]stream.Fold{}
	file, err := openConfig(c)
	if err != nil {
		return nil, err
	}
	if file != nil {
		if len(file.folding) == 0 {
			return nil, fmt.Errorf("%s: it has no folding, which is what compile takes from it", file.path)
		}
		if folds, err = file.foldsOf(p); err != nil {
			return nil, err
		}
	}
	if c.IsSet("folding") {
		more, err := readFolding(c.String("folding"))
		if err != nil {
			return nil, err
		}
		for _, k := range p.Kernels {
			for _, name := range []string{k.Name, k.Pos.Name} {
				if _, ok := more[name]; ok {
					delete(folds, k.Name)
				}
			}
		}
		maps.Copy(folds, more)
	}
	return folds, nil
}

// design is a stream design with its timing, and the summary of both that compile prints.
type design struct {
	*stream.Design
	timing *dataflow.Timing
	part   *part.Part
	clock  float64
}

// tries is how often a search is repeated with what cycle simulation found about the last result.
const tries = 6

// designFor finds foldings as the flags say and sizes the FIFOs. The search sees neither the FIFOs nor the pauses between samples; where
// they make it miss its aim, it is repeated with room for them.
func designFor(c *cli.Context, p *hw.Program) (*design, error) {
	o := fold.Options{ClockNS: c.Float64("clock"), FPS: c.Float64("fps")}
	if !(o.ClockNS > 0) {
		return nil, usagef("--clock %v: want a positive number of ns", o.ClockNS)
	}
	if c.IsSet("fps") && !(o.FPS > 0) {
		return nil, usagef("--fps %v: want a positive number", o.FPS)
	}
	var err error
	if o.Part, err = part.Find(c.String("part")); err != nil {
		return nil, err
	}
	if o.Fixed, err = fixedFolds(c, p); err != nil {
		return nil, err
	}
	if err := fold.CheckWeights(p, o.Part); err != nil {
		return nil, err
	}
	aim := o.FPS
	var miss error // of the last try
	for range tries {
		folds, err := fold.Search(p, o)
		if err != nil {
			return nil, err
		}
		s, err := stream.Build(p, folds)
		if err != nil {
			return nil, err
		}
		d := &design{Design: s, part: o.Part, clock: o.ClockNS}
		budget := fold.Budget(o.Part)
		// Depths can only add to what the least depths take, and finding them takes longer than a search.
		if used, between := s.Resources(o.Part.Slice), s.Between(o.Part.Slice); !used.Fits(budget) && between != o.Reserve {
			o.Reserve = between
			miss = fmt.Errorf("%v are needed with the least FIFOs; %s offers %v", used, o.Part.Name, budget)
			continue
		}
		fits := func() bool { return s.Resources(o.Part.Slice).Fits(budget) }
		if d.timing, err = dataflow.Size(s, fits); err != nil {
			return nil, err
		}
		switch {
		case !fits():
			o.Reserve = s.Between(o.Part.Slice)
			miss = fmt.Errorf("%d clock cycles between samples need about %v with FIFOs of the depths that they need; %s offers %v",
				s.Slowest().Iterations(), s.Resources(o.Part.Slice), o.Part.Name, budget)
		case d.fps() < aim:
			o.FPS *= aim / d.fps() * 1.005
			miss = fmt.Errorf("by cycle simulation %.4g samples per second, want %.4g; the slowest stage, %s, takes %d of the %d clock cycles between samples",
				d.fps(), aim, s.Slowest().Name, s.Slowest().Iterations(), d.timing.Interval)
		default:
			return d, nil
		}
	}
	return nil, miss
}

// fps is the samples per second of the cycle simulation.
func (d *design) fps() float64 { return 1e9 / d.clock / float64(d.timing.Interval) }

// layerReport is a line of the table of layers.
type layerReport struct {
	Name  string `json:"name"`
	Stage string `json:"stage"` // of the unit: short, and the end of the name of its function
	Node  string `json:"node"`
	Kind  string `json:"kind"`
	stream.Fold
	Iterations int            `json:"iterations"`
	Estimate   part.Resources `json:"estimate"`
}

// streamReport is what compile says about a stream design.
type streamReport struct {
	Part      string         `json:"part"`
	ClockNS   float64        `json:"clock_ns"`
	Layers    []layerReport  `json:"layers"`
	Between   part.Resources `json:"between_estimate"` // ports, forks, converters, FIFOs
	Total     part.Resources `json:"total_estimate"`
	Available part.Resources `json:"available"`
	Slowest   string         `json:"slowest_stage"`
	Formula   int            `json:"cycles_formula"`  // iterations of the slowest stage
	Interval  int            `json:"cycles_interval"` // between samples, by cycle simulation
	Latency   int            `json:"cycles_latency"`
	First     int            `json:"cycles_first_word"`
	LatencyUS float64        `json:"latency_us"`
	FPS       float64        `json:"fps"`
	FIFOs     int            `json:"fifos"`
	FIFOBits  int            `json:"fifo_bits"`
	Deepest   string         `json:"deepest_fifo"`
	Depth     int            `json:"deepest_fifo_words"`
}

func (d *design) report() *streamReport {
	r := &streamReport{Part: d.part.Name, ClockNS: d.clock, Between: d.Between(d.part.Slice), Total: d.Resources(d.part.Slice), Available: d.part.Resources,
		Slowest: d.Slowest().Name, Formula: d.Slowest().Iterations(), Interval: d.timing.Interval, Latency: d.timing.Latency, First: d.timing.First,
		LatencyUS: float64(d.timing.Latency) * d.clock / 1e3, FPS: d.fps(), FIFOs: len(d.Channels)}
	for _, l := range d.Layers() {
		r.Layers = append(r.Layers, layerReport{l.Kernel.Name, l.Unit().Name, l.Kernel.Pos.String(), l.Unit().Kind.String(), l.Fold, l.Iterations(), l.Resources(d.part.Slice)})
	}
	for _, c := range d.Channels {
		r.FIFOBits += c.Depth * c.Width()
		if c.Depth > r.Depth {
			r.Deepest, r.Depth = c.Name, c.Depth
		}
	}
	return r
}

func (r *streamReport) text(w io.Writer) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "layer\tunit\tfolding\titerations\tLUT\tFF\tDSP\tBRAM18\tURAM\t")
	line := func(name, unit, folding, iterations string, e part.Resources) {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%d\t%d\t%d\t%d\t%d\t\n", name, unit, folding, iterations, e.LUT, e.FF, e.DSP, e.BRAM18, e.URAM)
	}
	for _, l := range r.Layers {
		line(l.Stage, l.Kind, l.Fold.String(), fmt.Sprint(l.Iterations), l.Estimate)
	}
	line("ports, FIFOs, converters", "", "", "", r.Between)
	line("total (estimate)", "", "", "", r.Total)
	line("of "+r.Part, "", "", "", r.Available)
	t.Flush()
	fmt.Fprintf(w, "  clock cycles: %d by formula (stage %s), %d between samples and %d latency by cycle simulation\n", r.Formula, r.Slowest, r.Interval, r.Latency)
	fmt.Fprintf(w, "  at %v ns: %.4g samples per second, latency %.4g us\n", r.ClockNS, r.FPS, r.LatencyUS)
	fmt.Fprintf(w, "  %d FIFOs, %d bits, the deepest %s with %d words\n", r.FIFOs, r.FIFOBits, r.Deepest, r.Depth)
}

// hlsTiming is what the emitted project says about its timing.
func (d *design) hlsTiming() *hls.Timing {
	return &hls.Timing{First: d.timing.First, Latency: d.timing.Latency, Interval: d.timing.Interval}
}

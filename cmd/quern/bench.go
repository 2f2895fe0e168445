package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"
	"text/tabwriter"

	"github.com/urfave/cli/v2"

	"quern/backends/kernels"
)

var benchCommand = &cli.Command{
	Name: "bench", Usage: "how fast a model runs here, layer by layer, and against onnxruntime", ArgsUsage: "MODEL",
	Flags: append([]cli.Flag{
		&cli.StringFlag{Name: "data", Usage: "samples, as eval's; with labels the accuracy is reported, too", DefaultText: "pseudo-random inputs"},
		&cli.IntFlag{Name: "limit", Value: 256, Usage: "only the first N samples; 0 takes all"},
		&cli.StringFlag{Name: "backend", Usage: "interp or sim", DefaultText: "sim for quantized models"},
		&cli.IntFlag{Name: "runs", Value: 7, Usage: "repetitions of each measurement, 3 or more: medians and quartiles are reported"},
		&cli.Float64Flag{Name: "seconds", Value: 0.3, Usage: "duration of one measurement"},
		&cli.StringFlag{Name: "rival", Usage: "onnxruntime: measure it in alternation"},
		&cli.StringFlag{Name: "rival-model", Usage: "the ONNX file that the rival runs", DefaultText: "a float model itself, of a quantized one our export"},
		&cli.StringFlag{Name: "ort", Usage: "folder with node_modules/onnxruntime-node", DefaultText: "QUERN_ORT, else what node finds itself (NODE_PATH)"},
		&cli.StringFlag{Name: "o", Usage: "write the report to this file as JSON"},
		readerFlag, dimFlag, jsonFlag,
	}, preprocessFlags...),
	Action: bench,
}

// spread is the distribution of a figure over the repetitions.
type spread struct {
	Median float64 `json:"median"`
	Q1     float64 `json:"q1"`
	Q3     float64 `json:"q3"`
}

// quantile is the p-quantile of sorted numbers, interpolated.
func quantile(sorted []float64, p float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	at := p * float64(len(sorted)-1)
	i := int(at)
	j := min(i+1, len(sorted)-1)
	return sorted[i] + (at-float64(i))*(sorted[j]-sorted[i])
}

func spreadOf(x []float64) spread {
	s := slices.Sorted(slices.Values(x))
	return spread{significant(quantile(s, 0.5)), significant(quantile(s, 0.25)), significant(quantile(s, 0.75))}
}

// significant is x to five digits: more are noise.
func significant(x float64) float64 {
	if x == 0 {
		return 0
	}
	return rounded(x, 4-int(math.Floor(math.Log10(math.Abs(x)))))
}

// String gives four digits, without an exponent.
func (s spread) String() string {
	return fmt.Sprintf("%s (%s to %s)", short(s.Median), short(s.Q1), short(s.Q3))
}

func short(x float64) string {
	if math.Abs(x) >= 1000 {
		return fmt.Sprintf("%.0f", x)
	}
	return fmt.Sprintf("%.4g", x)
}

// benchReport is what bench prints. Rates are images per second, times of layers ns, latencies us.
type benchReport struct {
	Model      string       `json:"model"`
	Backend    string       `json:"backend"`
	MACs       int          `json:"macs"`
	Machine    machine      `json:"machine"`
	Data       string       `json:"data"` // of --data; "" for pseudo-random inputs
	Images     int          `json:"images"`
	Runs       int          `json:"runs"`
	Seconds    float64      `json:"seconds"` // of one measurement
	Top1       *float64     `json:"top1,omitempty"`
	Throughput []throughput `json:"throughput"` // one core, then all
	Latency    latency      `json:"latency_us"` // batch 1, one core
	Memory     int64        `json:"peak_memory_bytes"`
	Peaks      []peak       `json:"peaks"`
	Layers     []layerTime  `json:"layers"`
	Rest       spread       `json:"rest_ns"` // of an image: conversion of inputs and outputs
	Rival      *rivalReport `json:"rival,omitempty"`
}

// throughput is how many images a number of threads gets done.
type throughput struct {
	Threads int    `json:"threads"`
	Rate    spread `json:"images_per_second"`
	PerCPU  spread `json:"images_per_cpu_second"` // by the process' own time, in which other programs do not count
}

// latency is over the images of a measurement.
type latency struct {
	Median spread `json:"median"`
	P90    spread `json:"p90"`
}

// layerTime is one layer on one core.
type layerTime struct {
	Name  string   `json:"name"`
	Kind  string   `json:"kind"`
	MACs  int      `json:"macs"`
	NS    spread   `json:"ns"`
	GOPS  float64  `json:"gops"`                      // two operations for each multiply-accumulate
	Peak  *float64 `json:"percent_of_peak,omitempty"` // of the kernel for its types; none for layers without such
	Share float64  `json:"percent_of_time"`
}

// rivalReport is the same of another program.
type rivalReport struct {
	Name    string      `json:"name"`
	Version string      `json:"version"`
	Node    string      `json:"node"`
	Model   string      `json:"model"` // the file, or the format of our export
	Top1    *float64    `json:"top1,omitempty"`
	Agree   float64     `json:"same_class_percent"` // of the images
	Cases   []rivalCase `json:"cases"`
	Latency latency     `json:"latency_us"`
	Memory  int64       `json:"peak_memory_bytes"`
	Best    spread      `json:"ratio_at_best_batch"` // one thread each
	BestCPU spread      `json:"cpu_ratio_at_best_batch"`
}

// rivalCase compares with our rate for the same number of threads, both measured in each repetition.
type rivalCase struct {
	Threads int    `json:"threads"`
	Batch   int    `json:"batch"`
	Rate    spread `json:"images_per_second"`
	Ratio   spread `json:"ratio"` // ours over the rival's
	PerCPU  spread `json:"images_per_cpu_second"`
	CPU     spread `json:"cpu_ratio"`
}

func bench(c *cli.Context) error {
	path, err := modelArg(c)
	if err != nil {
		return err
	}
	o := benchOptions{runs: c.Int("runs"), seconds: c.Float64("seconds"), rival: c.String("rival"), ort: c.String("ort"), rivalModel: c.String("rival-model")}
	switch {
	case o.runs < 3:
		return usagef("--runs %d: want 3 or more", o.runs)
	case !(o.seconds > 0) || math.IsInf(o.seconds, 0):
		return usagef("--seconds %v: want a positive number", o.seconds)
	case c.Int("limit") < 0:
		return usagef("--limit %d: want 0 (all) or more", c.Int("limit"))
	case o.rival != "" && o.rival != "onnxruntime":
		return usagef("--rival %q: want onnxruntime", o.rival)
	case o.rival == "" && (c.IsSet("ort") || c.IsSet("rival-model")):
		return usagef("--ort and --rival-model are for --rival")
	}
	level, err := kernels.Best()
	if err != nil {
		return err
	}
	g, err := readModelWith(c, path)
	if err != nil {
		return err
	}
	b := &benchmark{benchOptions: o, path: path, level: level}
	if err := b.open(c, g); err != nil {
		return err
	}
	r, err := b.measure(c.Context)
	if err != nil {
		return err
	}
	if f := c.String("o"); f != "" {
		src, err := json.MarshalIndent(r, "", "  ")
		if err != nil {
			return err
		}
		if err := writeFile(f, func(w io.Writer) error { _, err := w.Write(append(src, '\n')); return err }); err != nil {
			return err
		}
	}
	return report(c, r, r.text)
}

func (r *benchReport) text(w io.Writer) {
	m := &r.Machine
	on := "pseudo-random inputs"
	if r.Data != "" {
		on = r.Data
	}
	fmt.Fprintf(w, "%s: %s, %d MACs, on %d images (%s); median (quartiles) of %d runs of %v s\n", r.Model, r.Backend, r.MACs, r.Images, on, r.Runs, r.Seconds)
	fmt.Fprintf(w, "  %s, %d cores, %s/%s, kernels %s, %s, load %s before and %s after\n", m.CPU, m.Cores, m.OS, m.Arch, m.Kernels, m.Go, m.LoadBefore, m.LoadAfter)
	if r.Top1 != nil {
		fmt.Fprintf(w, "  top-1 %.2f %%\n", *r.Top1)
	}
	for _, t := range r.Throughput {
		fmt.Fprintf(w, "  %s: %v images/s; %v per second of CPU time\n", threads(t.Threads), t.Rate, t.PerCPU)
	}
	fmt.Fprintf(w, "  latency at batch 1: median %v us, 90 %% within %v us\n", r.Latency.Median, r.Latency.P90)
	fmt.Fprintf(w, "  peak memory %.1f MB\n", float64(r.Memory)/1e6)
	for _, p := range r.Peaks {
		fmt.Fprintf(w, "  peak of one core: %v GOP/s, %s\n", p.GOPS, p.Kernel)
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "layer\tkind\tMACs\tns\tquartiles\tof time\tGOP/s\tof peak\t")
	for _, l := range r.Layers {
		gops, of := "", ""
		if l.MACs > 0 {
			gops = short(l.GOPS)
		}
		if l.Peak != nil {
			of = fmt.Sprintf("%.1f %%", *l.Peak)
		}
		fmt.Fprintf(t, "%s\t%s\t%d\t%s\t%s to %s\t%.1f %%\t%s\t%s\t\n", tail(l.Name, 40), l.Kind, l.MACs, short(l.NS.Median), short(l.NS.Q1), short(l.NS.Q3), l.Share, gops, of)
	}
	fmt.Fprintf(t, "inputs and outputs\t\t\t%s\t%s to %s\t\t\t\t\n", short(r.Rest.Median), short(r.Rest.Q1), short(r.Rest.Q3))
	t.Flush()
	if v := r.Rival; v != nil {
		accuracy := ""
		if v.Top1 != nil {
			accuracy = fmt.Sprintf("top-1 %.2f %%, ", *v.Top1)
		}
		fmt.Fprintf(w, "  %s %s (node %s) on %s: %ssame class as ours for %.2f %%; peak memory of node %.1f MB\n", v.Name, v.Version, v.Node, v.Model, accuracy, v.Agree, float64(v.Memory)/1e6)
		fmt.Fprintf(w, "    latency at batch 1: median %v us, 90 %% within %v us\n", v.Latency.Median, v.Latency.P90)
		for _, k := range v.Cases {
			fmt.Fprintf(w, "    %s, batch %d: %v images/s; ours is %v times that, by CPU time %v\n", threads(k.Threads), k.Batch, k.Rate, k.Ratio, k.CPU)
		}
		fmt.Fprintf(w, "    one core each, at its best batch: ours is %v times that, by CPU time %v\n", v.Best, v.BestCPU)
	}
}

func threads(n int) string {
	if n == 1 {
		return "one core"
	}
	return fmt.Sprintf("%d cores", n)
}

// tail is the end of a long name: exporters put what tells layers apart there.
func tail(s string, n int) string {
	if r := []rune(s); len(r) > n {
		return "..." + string(r[len(r)-n+3:])
	}
	return s
}

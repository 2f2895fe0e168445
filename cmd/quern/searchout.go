package main

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"

	"gonum.org/v1/plot/plotter"

	"quern/passes/bits"
)

// searchLayer is the choice for one layer, or for an activation of a node without weights.
type searchLayer struct {
	Layer string `json:"layer"`
	W     int    `json:"w,omitempty"` // none: 0
	A     int    `json:"a,omitempty"` // 0: not searched, as outputs are
}

// searchPoint is a point of the front.
type searchPoint struct {
	Cost   float64       `json:"cost"`
	Loss   float64       `json:"loss"`                       // predicted: Kullback-Leibler divergence
	Top1   *float64      `json:"calibration_top1,omitempty"` // by the simulator, where the search looked
	Layers []searchLayer `json:"layers"`
}

// searchResult is what search reports, and NAME.front.json.
type searchResult struct {
	Model     string        `json:"model"`
	Objective string        `json:"objective"`
	Counts    string        `json:"objective_counts"`
	Recipe    string        `json:"recipe"`
	Cost      float64       `json:"cost"`
	Int8      float64       `json:"cost_int8"`
	Float     float64       `json:"float_top1"`
	Top1      float64       `json:"top1"`
	Images    int           `json:"images"`
	Chosen    []searchLayer `json:"layers"`
	Repairs   []string      `json:"repairs"`
	Report    []layerStat   `json:"report"`
	Hurting   []string      `json:"layers_that_hurt_most"`
	Front     []searchPoint `json:"front"`
}

// chosen lists a choice in the order of layers, then of the other activations.
func (s *search) chosen(p *bits.Point) []searchLayer {
	n := s.net
	m := n.layers(p)
	var r []searchLayer
	have := map[string]bool{}
	for i := range n.Layers {
		name := n.Layers[i].Name
		r = append(r, searchLayer{name, m[name].W, m[name].A})
		have[name] = true
	}
	for i := range n.Acts {
		for _, name := range n.Acts[i].Names {
			if !have[name] {
				r = append(r, searchLayer{name, 0, m[name].A})
			}
		}
	}
	return r
}

func (s *search) result() *searchResult {
	r := &searchResult{Model: s.net.base.float.Name, Objective: s.objective, Counts: bits.Doc(s.objective), Recipe: s.net.recipe.String(), Cost: s.best.Cost, Int8: s.int8,
		Float: s.float, Top1: s.top1, Images: s.held.Len(), Chosen: s.chosen(&s.best), Repairs: append([]string{}, s.repairs...), Report: s.layers, Hurting: hurting(s.layers, 3)}
	for i := range s.front {
		p := searchPoint{Cost: s.front[i].Cost, Loss: s.front[i].Loss, Layers: s.chosen(&s.front[i])}
		if t, ok := s.verified[i]; ok {
			p.Top1 = &t
		}
		r.Front = append(r.Front, p)
	}
	return r
}

func (s *search) print(w io.Writer) {
	fmt.Fprintf(w, "%s %.6g, %.1f %% of that with 8 bits everywhere (%s); top-1 %.2f %%, float %.2f %%, on %d held-out samples\n",
		s.objective, s.best.Cost, 100*s.best.Cost/s.int8, bits.Doc(s.objective), s.top1, s.float, s.held.Len())
	for _, r := range s.repairs {
		fmt.Fprintf(w, "  repaired: %s\n", r)
	}
	printLayers(w, s.layers)
}

// frontFiles are the names and texts of the files of the front.
func (s *search) frontFiles(stem string) ([][2]string, error) {
	r := s.result()
	js, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		return nil, err
	}
	var b strings.Builder
	w := csv.NewWriter(&b)
	head := []string{"cost", "loss", "calibration_top1"}
	for _, l := range r.Front[0].Layers {
		if l.W > 0 {
			head = append(head, "w "+l.Layer)
		}
		if l.A > 0 {
			head = append(head, "a "+l.Layer)
		}
	}
	lines := [][]string{head}
	front := chartLine{name: "front, predicted"}
	seen := chartLine{name: "simulated", color: 1, points: true}
	t := pageTable{Title: "Widths chosen", Head: []string{"layer", "weights", "result"}}
	for _, l := range r.Chosen {
		width := func(n int) string {
			if n == 0 {
				return "-"
			}
			return strconv.Itoa(n)
		}
		t.Rows = append(t.Rows, []string{l.Layer, width(l.W), width(l.A)})
	}
	for _, p := range r.Front {
		top1 := ""
		if p.Top1 != nil {
			top1 = fmt.Sprintf("%.3f", *p.Top1)
			seen.xy = append(seen.xy, plotter.XY{X: p.Cost, Y: *p.Top1})
		}
		line := []string{strconv.FormatFloat(p.Cost, 'f', -1, 64), fmt.Sprintf("%.6f", p.Loss), top1}
		for _, l := range p.Layers {
			if l.W > 0 {
				line = append(line, strconv.Itoa(l.W))
			}
			if l.A > 0 {
				line = append(line, strconv.Itoa(l.A))
			}
		}
		lines = append(lines, line)
		front.xy = append(front.xy, plotter.XY{X: p.Cost, Y: p.Loss})
	}
	if err := w.WriteAll(lines); err != nil {
		return nil, err
	}
	sec := pageSection{Title: r.Objective + ": " + r.Counts, Tables: []pageTable{t}}
	charts := []chart{{title: "Pareto front", x: r.Objective, y: "divergence from float", lines: []chartLine{front}}}
	if len(seen.xy) > 0 {
		charts = append(charts, chart{title: "Points that the search simulated", x: r.Objective, y: "top-1, % of calibration samples", lines: []chartLine{seen}})
	}
	for i := range charts {
		svg, err := charts[i].svg()
		if err != nil {
			return nil, err
		}
		sec.Charts = append(sec.Charts, svg)
	}
	page := page{Title: "quern search: " + r.Model, Intro: []string{
		fmt.Sprintf("%s is %.6g, %.1f %% of that with 8 bits everywhere; top-1 is %.2f %% on %d held-out samples, in float %.2f %%. %s.", r.Objective, r.Cost, 100*r.Cost/r.Int8, r.Top1, r.Images, r.Float, r.Recipe)},
		Sections: []pageSection{sec}}
	html, err := page.String()
	if err != nil {
		return nil, err
	}
	return [][2]string{{stem + ".front.json", string(js) + "\n"}, {stem + ".front.csv", b.String()}, {stem + ".front.html", html}}, nil
}

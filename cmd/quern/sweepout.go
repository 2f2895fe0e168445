package main

import (
	"cmp"
	"encoding/csv"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
)

// csv has one line for each row.
func (s *sweep) csv() (string, error) {
	var b strings.Builder
	w := csv.NewWriter(&b)
	lines := [][]string{{"network", "epoch", "model", "w", "a", "backend", "test_images", "test_top1", "test_top5", "test_loss", "train_images", "train_top1", "train_top5", "train_loss", "layers_that_hurt_most"}}
	for _, r := range s.Rows {
		l := []string{r.Network, strconv.Itoa(r.Epoch), r.Model, strconv.Itoa(r.W), strconv.Itoa(r.A), r.Backend}
		for _, m := range []*measure{r.Test, r.Train} {
			if m == nil {
				l = append(l, "", "", "", "")
				continue
			}
			l = append(l, strconv.Itoa(m.Images), fmt.Sprintf("%.3f", m.Top1), fmt.Sprintf("%.3f", m.Top5), fmt.Sprintf("%.5f", m.Loss))
		}
		lines = append(lines, append(l, strings.Join(r.Hurting, " ")))
	}
	if err := w.WriteAll(lines); err != nil { // WriteAll flushes
		return "", err
	}
	return b.String(), nil
}

// markdown has a table for each network: epochs down, widths across, once for the test data and once for the training data.
func (s *sweep) markdown() string {
	var b strings.Builder
	for _, network := range s.networks() {
		for _, training := range []bool{false, true} {
			if t := s.accuracyTable(network, training); len(t.Rows) > 0 {
				t.markdown(&b)
			}
		}
	}
	return b.String()
}

func (s *sweep) networks() []string {
	var r []string
	for i := range s.models {
		if s.models[i].last {
			r = append(r, s.models[i].network)
		}
	}
	return r
}

// of are the rows of a network, one slice for each epoch.
func (s *sweep) of(network string) [][]*sweepRow {
	var r [][]*sweepRow
	for i := range s.models {
		if s.models[i].network == network {
			r = append(r, s.Rows[i*len(s.widths):(i+1)*len(s.widths)])
		}
	}
	return r
}

// get is the measure on one of the two sets; nil where there is none.
func (r *sweepRow) get(training bool) *measure {
	if training {
		return r.Train
	}
	return r.Test
}

// accuracyTable has epochs down and widths across.
func (s *sweep) accuracyTable(network string, training bool) pageTable {
	set := map[bool]string{false: "test", true: "training"}[training]
	t := pageTable{Title: fmt.Sprintf("%s, top-1 in percent on %s data (%s)", network, set, s.recipe), Head: []string{"epoch", "images"}}
	for _, rows := range s.of(network) {
		if len(t.Rows) == 0 {
			t.Head = t.Head[:2]
			for _, r := range rows {
				t.Head = append(t.Head, r.widthName())
			}
		}
		if rows[0].get(training) == nil {
			continue
		}
		line := []string{epochText(rows[0].Epoch), strconv.Itoa(rows[0].get(training).Images)}
		for _, r := range rows {
			line = append(line, fmt.Sprintf("%.2f", r.get(training).Top1))
		}
		t.Rows = append(t.Rows, line)
	}
	return t
}

// markdown writes a table.
func (t *pageTable) markdown(b *strings.Builder) {
	fmt.Fprintf(b, "%s\n\n| %s |\n|%s\n", t.Title, strings.Join(t.Head, " | "), strings.Repeat("---|", len(t.Head)))
	for _, r := range t.Rows {
		fmt.Fprintf(b, "| %s |\n", strings.Join(r, " | "))
	}
	b.WriteString("\n")
}

func epochText(n int) string {
	if n < 0 {
		return "-"
	}
	return strconv.Itoa(n)
}

// html is one page: for each network the plots and the tables.
func (s *sweep) html() (string, error) {
	p := page{Title: "quern sweep", Intro: []string{
		fmt.Sprintf("Made by quern %s: %s. Float by the interpreter, integers by the bit-accurate simulator.", version, s.recipe)}}
	for _, network := range s.networks() {
		sec := pageSection{Title: network}
		for _, c := range s.charts(network) {
			svg, err := c.svg()
			if err != nil {
				return "", err
			}
			sec.Charts = append(sec.Charts, svg)
		}
		for _, training := range []bool{false, true} {
			if t := s.accuracyTable(network, training); len(t.Rows) > 0 {
				sec.Tables = append(sec.Tables, t)
			}
		}
		rows := s.of(network)
		for _, r := range rows[len(rows)-1] {
			if len(r.Layers) > 0 {
				sec.Tables = append(sec.Tables, layerTable(r))
			}
		}
		p.Sections = append(p.Sections, sec)
	}
	return p.String()
}

// charts are accuracy against epoch for each width, accuracy against width for each epoch, and SQNR by layer at the last epoch.
func (s *sweep) charts(network string) []chart {
	epochs := s.of(network)
	var r []chart
	for _, training := range []bool{false, true} {
		set := map[bool]string{false: "test", true: "training"}[training]
		byEpoch := chart{title: network + ": accuracy against epoch", x: "epoch", y: "top-1, % of " + set + " images", logX: true}
		byWidth := chart{title: network + ": accuracy against width", x: "bits of weights and activations", y: "top-1, % of " + set + " images"}
		for i := range s.widths {
			l := chartLine{name: epochs[0][i].widthName(), color: i, dashed: i == 0}
			for _, rows := range epochs {
				if m := rows[i].get(training); m != nil && rows[i].Epoch > 0 {
					l.xy = append(l.xy, plotter.XY{X: float64(rows[i].Epoch), Y: m.Top1})
					if i == 0 {
						byEpoch.ticks = append(byEpoch.ticks, float64(rows[i].Epoch))
					}
				}
			}
			if len(l.xy) > 0 {
				byEpoch.lines = append(byEpoch.lines, l)
			}
		}
		for k, rows := range epochs {
			l := chartLine{name: "epoch " + epochText(rows[0].Epoch), color: k}
			for _, row := range rows {
				if m := row.get(training); m != nil && row.W > 0 && row.W == row.A {
					l.xy = append(l.xy, plotter.XY{X: float64(row.W), Y: m.Top1})
				}
			}
			slices.SortFunc(l.xy, func(a, b plotter.XY) int { return cmp.Compare(a.X, b.X) })
			for _, xy := range l.xy {
				if !slices.Contains(byWidth.ticks, xy.X) {
					byWidth.ticks = append(byWidth.ticks, xy.X)
				}
			}
			if len(l.xy) > 0 {
				byWidth.lines = append(byWidth.lines, l)
			}
		}
		for _, c := range []chart{byEpoch, byWidth} {
			if len(c.lines) > 0 {
				r = append(r, c)
			}
		}
	}
	last := epochs[len(epochs)-1]
	bySQNR := chart{title: fmt.Sprintf("%s, epoch %s: signal to noise by layer", network, epochText(last[0].Epoch)), y: "SQNR of the result, dB", w: 17 * vg.Centimeter, h: 11 * vg.Centimeter}
	for i, row := range last {
		l := chartLine{name: row.widthName(), color: i}
		for k, y := range row.Layers {
			l.xy = append(l.xy, plotter.XY{X: float64(k), Y: y.SQNR})
			if k == len(bySQNR.names) {
				bySQNR.names = append(bySQNR.names, y.Layer)
			}
		}
		if len(l.xy) > 0 {
			bySQNR.lines = append(bySQNR.lines, l)
		}
	}
	if len(bySQNR.lines) > 0 {
		r = append(r, bySQNR)
	}
	return r
}

func layerTable(r *sweepRow) pageTable {
	t := pageTable{Title: fmt.Sprintf("%s, %s, by layer; most noise comes from: %s", r.Model, r.widthName(), strings.Join(r.Hurting, ", ")),
		Head: []string{"layer", "operator", "W", "A", "SQNR dB", "weights' SQNR dB", "noise added %", "saturated %", "dead channels", "of them in float"}}
	for _, l := range r.Layers {
		w, noise := "", ""
		if l.W > 0 {
			w, noise = strconv.Itoa(l.W), fmt.Sprintf("%.1f", l.Weights)
		}
		t.Rows = append(t.Rows, []string{l.Layer, l.Op, w, strconv.Itoa(l.A), fmt.Sprintf("%.1f", l.SQNR), noise, fmt.Sprintf("%.3f", 100*l.Noise),
			fmt.Sprintf("%.3f", l.Saturated), fmt.Sprintf("%d of %d", l.Dead, l.Channels), strconv.Itoa(l.DeadFloat)})
	}
	return t
}

package main

import (
	"bytes"
	"fmt"
	"html/template"
	"image/color"
	"math"
	"strconv"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/plotutil"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// chart is one plot of a page.
type chart struct {
	title, x, y string
	logX        bool
	ticks       []float64 // of the x axis; nil: gonum's choice
	names       []string  // of x = 0, 1, 2, ...: replaces ticks
	lines       []chartLine
	w, h        vg.Length // 0: 15 cm by 9 cm
}

// chartLine is one row of points, by ascending x.
type chartLine struct {
	name   string
	xy     plotter.XYs
	dashed bool
	points bool // no line between the points
	color  int  // of plotutil's palette
}

// draw puts a chart on a canvas.
func (c *chart) draw(dc draw.Canvas) error {
	p := plot.New()
	p.Title.Text, p.X.Label.Text, p.Y.Label.Text = c.title, c.x, c.y
	p.Legend.Top, p.Legend.Left, p.Legend.TextStyle.Font.Size = false, false, 8
	grid := plotter.NewGrid()
	grid.Horizontal.Color, grid.Vertical.Color = color.Gray{220}, color.Gray{235}
	p.Add(grid)
	for _, l := range c.lines {
		if len(l.xy) == 0 {
			continue
		}
		line, points, err := plotter.NewLinePoints(l.xy)
		if err != nil {
			return fmt.Errorf("plot %q: %w", c.title, err)
		}
		line.Color, points.Color = plotutil.Color(l.color), plotutil.Color(l.color)
		line.Width = 1.3
		points.Shape, points.Radius = plotutil.Shape(l.color), 2.5
		if l.dashed {
			line.Dashes = []vg.Length{4, 3}
		}
		if l.points {
			p.Add(points)
			p.Legend.Add(l.name, points)
			continue
		}
		p.Add(line, points)
		p.Legend.Add(l.name, line, points)
	}
	if c.logX {
		p.X.Scale, p.X.Tick.Marker = plot.LogScale{}, plot.LogTicks{}
		if p.X.Min == p.X.Max { // one point: gonum would widen the axis to 0
			p.X.Min, p.X.Max = p.X.Min/2, p.X.Max*2
		}
	}
	switch {
	case c.names != nil:
		p.NominalX(c.names...)
		p.X.Tick.Label.Rotation = math.Pi / 4
		p.X.Tick.Label.XAlign, p.X.Tick.Label.YAlign = draw.XRight, draw.YCenter
	case c.ticks != nil:
		var t plot.ConstantTicks
		for _, x := range c.ticks {
			t = append(t, plot.Tick{Value: x, Label: strconv.FormatFloat(x, 'g', -1, 64)})
		}
		p.X.Tick.Marker = t
	}
	// The legend stands right of the plot, not over the lines.
	legend := p.Legend
	p.Legend = plot.NewLegend()
	room := legend.Rectangle(dc).Size().X + 12
	p.Draw(draw.Crop(dc, 0, -room, 0, 0))
	legend.Top = true
	legend.Draw(draw.Crop(dc, 0, 0, 0, -20))
	return nil
}

// svg is a chart as an element of a page. The same chart gives the same text.
func (c *chart) svg() (template.HTML, error) {
	w, h := c.w, c.h
	if w == 0 {
		w, h = 15*vg.Centimeter, 9*vg.Centimeter
	}
	canvas := vgsvg.New(w, h)
	if err := c.draw(draw.New(canvas)); err != nil {
		return "", err
	}
	var b bytes.Buffer
	if _, err := canvas.WriteTo(&b); err != nil {
		return "", err
	}
	s := b.String()
	if i := strings.Index(s, "<svg"); i > 0 {
		s = s[i:] // without the head of an XML file
	}
	return template.HTML(s), nil // the plotting library escapes text
}

// page is a self-contained HTML page.
type page struct {
	Title    string
	Intro    []string
	Sections []pageSection
}

type pageSection struct {
	Title  string
	Charts []template.HTML
	Tables []pageTable
}

type pageTable struct {
	Title string
	Head  []string
	Rows  [][]string
}

var pageTemplate = template.Must(template.New("page").Parse(`<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>{{.Title}}</title>
<style>
body{font:15px/1.45 system-ui,sans-serif;margin:2em auto;max-width:80em;padding:0 1em;color:#222}
svg{max-width:100%;height:auto;margin:.5em}
svg text{font-family:"Liberation Sans",Arial,Helvetica,sans-serif!important}
table{border-collapse:collapse;margin:.5em 0 1.5em;font-variant-numeric:tabular-nums}
th,td{border-bottom:1px solid #ddd;padding:.2em .7em;text-align:right}
th:first-child,td:first-child{text-align:left}
caption{text-align:left;font-weight:600;padding:.3em 0}
.charts{display:flex;flex-wrap:wrap}
</style></head><body>
<h1>{{.Title}}</h1>
{{range .Intro}}<p>{{.}}</p>
{{end}}{{range .Sections}}<h2>{{.Title}}</h2>
<div class="charts">
{{range .Charts}}{{.}}
{{end}}</div>
{{range .Tables}}<table><caption>{{.Title}}</caption>
<tr>{{range .Head}}<th>{{.}}</th>{{end}}</tr>
{{range .Rows}}<tr>{{range .}}<td>{{.}}</td>{{end}}</tr>
{{end}}</table>
{{end}}{{end}}</body></html>
`))

func (p *page) String() (string, error) {
	var b strings.Builder
	err := pageTemplate.Execute(&b, p)
	return b.String(), err
}

package main

import (
	"bufio"
	"bytes"
	"context"
	_ "embed" // the rival's program
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"quern/frontend/onnx"
	"quern/frontend/onnx/onnxpb"
)

//go:embed rival/ort.js
var ortScript []byte

// rivalBatches are the numbers of images that the rival gets at a time.
var rivalBatches = []int{1, 64}

// rival is onnxruntime in a process of its own, which does as it is told and is idle else.
type rival struct {
	b       *benchmark
	cmd     *exec.Cmd
	in      io.WriteCloser
	out     *bufio.Scanner
	stderr  bytes.Buffer
	dir     string // temporary
	classes []int
	cases   []*rivalRates
	latency [2][]float64 // median and 90 % in us
}

// rivalRates are the measurements of a case.
type rivalRates struct {
	threads, batch int
	rate, ratio    []float64
	perCPU, cpu    []float64 // the same by CPU time
}

// newRival starts node.
func (b *benchmark) newRival(ctx context.Context) (v *rival, err error) {
	node, err := exec.LookPath("node")
	if err != nil {
		return nil, fmt.Errorf("--rival onnxruntime needs node (https://nodejs.org) and the npm package onnxruntime-node: %w", err)
	}
	ort := b.ort
	if ort == "" {
		ort = os.Getenv("QUERN_ORT")
	}
	v = &rival{b: b}
	if v.dir, err = os.MkdirTemp("", "quern-bench-"); err != nil {
		return nil, err
	}
	defer func(v *rival) {
		if err != nil {
			v.close()
		}
	}(v)
	type input struct {
		Name  string `json:"name"`
		Shape []int  `json:"shape"`
		File  string `json:"file"`
	}
	config := struct {
		ORT    string  `json:"ort"`
		Inputs []input `json:"inputs"`
		Images int     `json:"images"`
	}{ORT: ort, Images: len(b.inputs)}
	for k, g := range b.graph.Inputs {
		shape, err := batchShape(g)
		if err != nil {
			return nil, err
		}
		var raw []byte
		for _, in := range b.inputs {
			for _, x := range in[k] {
				raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(x))
			}
		}
		file := filepath.Join(v.dir, fmt.Sprintf("%d.in", k))
		if err := os.WriteFile(file, raw, 0o600); err != nil {
			return nil, err
		}
		config.Inputs = append(config.Inputs, input{g.Name, shape, file})
	}
	list, err := json.Marshal(config)
	if err != nil {
		return nil, err
	}
	script, file := filepath.Join(v.dir, "ort.js"), filepath.Join(v.dir, "config.json")
	if err = errors.Join(os.WriteFile(script, ortScript, 0o600), os.WriteFile(file, list, 0o600)); err != nil {
		return nil, err
	}
	v.cmd = exec.CommandContext(ctx, node, script, file)
	v.cmd.Stderr = &v.stderr
	if v.in, err = v.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := v.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	v.out = bufio.NewScanner(out)
	v.out.Buffer(nil, 64<<20)
	if err = v.cmd.Start(); err != nil {
		v.cmd = nil
		return nil, err
	}
	return v, nil
}

func (v *rival) close() {
	if v.cmd != nil {
		v.in.Close()
		_ = v.cmd.Wait() // all answers are read
		v.cmd = nil
	}
	os.RemoveAll(v.dir)
}

// request is what the script understands.
type request struct {
	Do      string  `json:"do"`
	ID      string  `json:"id,omitempty"`
	Model   string  `json:"model,omitempty"`
	Threads int     `json:"threads,omitempty"`
	Batch   int     `json:"batch,omitempty"`
	Seconds float64 `json:"seconds,omitempty"`
}

type rivalAnswer struct {
	Error   string  `json:"error"`
	Version string  `json:"version"`
	Node    string  `json:"node"`
	Classes []int   `json:"classes"`
	Rate    float64 `json:"rate"`
	PerCPU  float64 `json:"perCPU"`
	Median  float64 `json:"median"`
	P90     float64 `json:"p90"`
	Bytes   int64   `json:"bytes"`
}

func (v *rival) ask(r request) (*rivalAnswer, error) {
	line, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	_, werr := v.in.Write(append(line, '\n')) // where node has ended already, it may have said why
	if !v.out.Scan() {
		err := errors.Join(v.out.Err(), werr, v.cmd.Wait())
		text := strings.TrimSpace(v.stderr.String())
		v.cmd = nil
		return nil, fmt.Errorf("onnxruntime: node ended: %w\n%s", err, text)
	}
	a := &rivalAnswer{}
	if err := json.Unmarshal(v.out.Bytes(), a); err != nil {
		return nil, fmt.Errorf("onnxruntime: node wrote %q: %w", v.out.Text(), err)
	}
	if a.Error != "" {
		return nil, fmt.Errorf("onnxruntime: %s", a.Error)
	}
	return a, nil
}

// check loads the model for each number of threads and compares the classes of all images at each batch with ours.
func (v *rival) check(classes []int) (*rivalReport, error) {
	a, err := v.ask(request{Do: "version"})
	if err != nil {
		return nil, fmt.Errorf("%w; see --ort: it takes the folder in which `npm install onnxruntime-node` was run", err)
	}
	r := &rivalReport{Name: "onnxruntime", Version: a.Version, Node: a.Node}
	if err := v.load(r); err != nil {
		return nil, err
	}
	r.Agree = rounded(percentSame(v.classes, classes), 3)
	return r, nil
}

// load opens the sessions. Of our exports it takes the first that onnxruntime runs.
func (v *rival) load(r *rivalReport) error {
	b := v.b
	var errs []error
	try := func(name string, m *onnxpb.ModelProto, err error) bool {
		if err == nil {
			openBatch(m)
			err = v.sessions(m)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", name, err))
			return false
		}
		r.Model = name
		return true
	}
	switch {
	case b.rivalModel != "":
		m, err := onnxpb.ReadFile(b.rivalModel)
		try(filepath.Base(b.rivalModel), m, err)
	case !isQuantized(b.graph) && filepath.Ext(b.path) != ".ir":
		m, err := onnxpb.ReadFile(b.path)
		try(filepath.Base(b.path), m, err)
	default:
		for _, f := range []onnx.Format{onnx.QDQ, onnx.QONNX} {
			m, err := onnx.ToProto(b.graph, f)
			if try(strings.ToUpper(string(f))+" export", m, err) {
				break
			}
		}
	}
	if r.Model == "" {
		return errors.Join(errs...)
	}
	return nil
}

func (v *rival) sessions(m *onnxpb.ModelProto) error {
	file := filepath.Join(v.dir, "model.onnx")
	if err := onnxpb.WriteFile(file, m); err != nil {
		return err
	}
	v.cases = nil
	for _, n := range v.threads() {
		if _, err := v.ask(request{Do: "load", ID: fmt.Sprint(n), Model: file, Threads: n}); err != nil {
			return err
		}
		for _, batch := range rivalBatches {
			a, err := v.ask(request{Do: "classes", ID: fmt.Sprint(n), Batch: batch})
			if err != nil {
				return fmt.Errorf("batch %d: %w", batch, err)
			}
			if len(a.Classes) != len(v.b.inputs) {
				return fmt.Errorf("onnxruntime: batch %d: classes of %d images, want %d", batch, len(a.Classes), len(v.b.inputs))
			}
			if v.classes = a.Classes; len(v.b.graph.Inputs) == 0 {
				return errors.New("the model has no inputs")
			}
			v.cases = append(v.cases, &rivalRates{threads: n, batch: batch})
		}
	}
	return nil
}

func (v *rival) threads() []int {
	if n := len(v.b.runners); n > 1 {
		return []int{1, n}
	}
	return []int{1}
}

// round measures all batches with so many threads, after ours with as many reached a rate, and one by CPU time.
func (v *rival) round(threads int, ours, oursCPU float64, keep bool) error {
	for _, c := range v.cases {
		if c.threads != threads {
			continue
		}
		a, err := v.ask(request{Do: "run", ID: fmt.Sprint(threads), Batch: c.batch, Seconds: v.b.seconds})
		if err != nil {
			return err
		}
		if !keep {
			continue
		}
		c.rate, c.ratio = append(c.rate, a.Rate), append(c.ratio, ours/a.Rate)
		c.perCPU, c.cpu = append(c.perCPU, a.PerCPU), append(c.cpu, oursCPU/a.PerCPU)
		if threads == 1 && c.batch == 1 {
			v.latency[0], v.latency[1] = append(v.latency[0], a.Median), append(v.latency[1], a.P90)
		}
	}
	return nil
}

func (v *rival) finish(r *rivalReport) error {
	best := -1.0 // by CPU time, which other programs disturb less
	for _, c := range v.cases {
		k := rivalCase{c.threads, c.batch, spreadOf(c.rate), spreadOf(c.ratio), spreadOf(c.perCPU), spreadOf(c.cpu)}
		if r.Cases = append(r.Cases, k); c.threads == 1 && k.PerCPU.Median > best {
			best, r.Best, r.BestCPU = k.PerCPU.Median, k.Ratio, k.CPU
		}
	}
	r.Latency = latency{spreadOf(v.latency[0]), spreadOf(v.latency[1])}
	a, err := v.ask(request{Do: "memory"})
	if err == nil {
		r.Memory = a.Bytes
	}
	return err
}

// openBatch makes a batch of 1 that is written into a model an open one: the first axis of inputs and outputs, and the 1 that a Reshape
// puts first, which 0 ("as it is") replaces. Shapes of values in between are left out, which onnxruntime infers, and so are names of nodes.
func openBatch(m *onnxpb.ModelProto) {
	g := m.Graph
	constants := map[string]*onnxpb.TensorProto{}
	for _, t := range g.Initializer {
		constants[t.GetName()] = t
	}
	for _, n := range g.Node {
		if n.GetOpType() != "Constant" || len(n.Output) != 1 {
			continue
		}
		for _, a := range n.Attribute {
			if a.GetName() == "value" && a.T != nil {
				constants[n.Output[0]] = a.T
			}
		}
	}
	for _, v := range append(append([]*onnxpb.ValueInfoProto(nil), g.Input...), g.Output...) {
		d := v.GetType().GetTensorType().GetShape().GetDim()
		if constants[v.GetName()] == nil && len(d) > 0 && d[0].GetDimValue() == 1 {
			d[0].Value = &onnxpb.TensorShapeProto_Dimension_DimParam{DimParam: "N"}
		}
	}
	g.ValueInfo = nil
	for _, n := range g.Node {
		n.Name = nil // onnxruntime refuses a name that two nodes have
		if n.GetOpType() != "Reshape" || len(n.Input) != 2 || constants[n.Input[1]] == nil {
			continue
		}
		t := constants[n.Input[1]]
		d, err := onnxpb.Decode(t, "")
		if err != nil || len(d.I64) < 2 || d.I64[0] != 1 {
			continue
		}
		d.I64[0] = 0
		e, err := onnxpb.Encode(t.GetName(), d)
		if err == nil {
			t.RawData, t.Int64Data = e.RawData, e.Int64Data
		}
	}
}

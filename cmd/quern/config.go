package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
	"github.com/xrash/smetrics"
	"gopkg.in/yaml.v3"

	"quern/ir"
	"quern/ir/op"
	"quern/passes/calib"
	"quern/passes/quant"
)

// configSchema is what --config of quantize, search and compile takes; README.md has it, too.
const configSchema = `# YAML, or the same as JSON. Every key may be left out. Flags of the command line win over defaults, layers win over both.
defaults:
  weights: 4            # bits, 2 to 16
  activations: 8        # bits, 2 to 16
  input: 8              # bits of the model's input
  output: 8             # bits of the model's output
  observer: mse         # minmax, percentile, percentile:99.99, mse, entropy
  scale: channel        # of weights: channel, tensor; channel-pow2 and tensor-pow2 make all scales powers of two
  symmetric: false      # zero point 0 for signed activations
layers:                 # by the name of the node in the model; quern quantize prints the names
  /0/Conv:
    weights: 8
    activations: 8      # of the layer's result, behind its Relu or Clip
    observer: minmax
    scale: tensor
search:                 # quern search only: the widths that it may choose. What layers says is not searched.
  weights: [2, 3, 4, 6, 8]
  activations: [3, 4, 6, 8]
folding:                # quern compile --style stream only: layers whose folding is not searched
  /0/Conv:
    pe: 2               # output channels side by side
    simd: 1             # input elements for each of them
    lut: true           # multipliers of LUTs instead of DSP slices
    thresholds: true    # results of 4 bits and fewer by comparison instead of multiplication and shift
`

var configFlag = &cli.StringFlag{Name: "config", Usage: "YAML or JSON `FILE` with defaults and settings of single layers; see README.md"}

// layerConfig are the settings of a layer, or the defaults. What is not given is 0, "" or nil.
type layerConfig struct {
	weights, activations int
	observer             *calib.Method
	scale                *quant.Scaling

	name string
	at   map[string]*yaml.Node // where each key is; "" for the layer
}

// configFile is a --config file.
type configFile struct {
	path          string
	defaults      layerConfig
	input, output int
	symmetric     bool
	layers        []layerConfig // in the order of the file
	searchW       []int
	searchA       []int
	folding       []layerFold // in the order of the file
}

// configReader gathers all that is wrong with a file.
type configReader struct {
	path string
	errs []error
}

func (r *configReader) errorf(n *yaml.Node, format string, args ...any) {
	r.errs = append(r.errs, fmt.Errorf("%s:%d: %s", r.path, n.Line, fmt.Sprintf(format, args...)))
}

// configKey is a key of a mapping with what reads its value.
type configKey struct {
	name string
	read func(key, value *yaml.Node)
}

// mapping reads a mapping with known keys.
func (r *configReader) mapping(n *yaml.Node, what string, keys ...configKey) {
	var names []string
	for _, k := range keys {
		names = append(names, k.name)
	}
	r.each(n, what, func(key, value *yaml.Node) {
		i := slices.Index(names, key.Value)
		if i < 0 {
			r.errorf(key, "%s: unknown key %q, want one of %s", what, key.Value, strings.Join(names, ", "))
			return
		}
		keys[i].read(key, value)
	})
}

// each goes through a mapping; an empty one is nothing.
func (r *configReader) each(n *yaml.Node, what string, f func(key, value *yaml.Node)) {
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if n.Tag == "!!null" {
		return
	}
	if n.Kind != yaml.MappingNode {
		r.errorf(n, "%s: want keys with values, got %s", what, nodeText(n))
		return
	}
	seen := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if at, twice := seen[key.Value]; twice {
			r.errorf(key, "%s: key %q is there already in line %d", what, key.Value, at)
			continue
		}
		seen[key.Value] = key.Line
		f(key, value)
	}
}

func nodeText(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "keys with values"
	case yaml.SequenceNode:
		return "a list"
	}
	return fmt.Sprintf("%q", n.Value)
}

// bits reads a width.
func (r *configReader) bits(to *int) func(key, value *yaml.Node) {
	return func(key, value *yaml.Node) {
		n := 0
		if err := value.Decode(&n); err != nil || value.Tag != "!!int" || n < quant.MinBits || n > quant.MaxBits {
			r.errorf(value, "%s: want %d to %d bits, got %s", key.Value, quant.MinBits, quant.MaxBits, nodeText(value))
			return
		}
		*to = n
	}
}

// widths reads a list of widths.
func (r *configReader) widths(to *[]int) func(key, value *yaml.Node) {
	return func(key, value *yaml.Node) {
		if value.Kind != yaml.SequenceNode || len(value.Content) == 0 {
			r.errorf(value, "%s: want a list of widths as [4, 8], got %s", key.Value, nodeText(value))
			return
		}
		for _, v := range value.Content {
			n := 0
			if r.bits(&n)(key, v); n != 0 && !slices.Contains(*to, n) {
				*to = append(*to, n)
			}
		}
		slices.Sort(*to)
	}
}

// scalings are the values of scale.
var scalings = []struct {
	name string
	s    quant.Scaling
}{{"channel", quant.Scaling{}}, {"tensor", quant.Scaling{PerTensor: true}}, {"channel-pow2", quant.Scaling{Pow2: true}}, {"tensor-pow2", quant.Scaling{PerTensor: true, Pow2: true}}}

// layer reads the keys that defaults and layers share, and others.
func (r *configReader) layer(n *yaml.Node, what string, l *layerConfig, more ...configKey) {
	l.at = map[string]*yaml.Node{}
	keys := append([]configKey{
		{"weights", r.bits(&l.weights)},
		{"activations", r.bits(&l.activations)},
		{"observer", func(_, value *yaml.Node) {
			m, err := calib.ParseMethod(value.Value)
			if err != nil {
				r.errorf(value, "observer %s: want minmax, percentile, percentile:P with P above 50, mse or entropy", nodeText(value))
				return
			}
			l.observer = &m
		}},
		{"scale", func(_, value *yaml.Node) {
			var names []string
			for _, s := range scalings {
				if names = append(names, s.name); s.name == value.Value {
					l.scale = &s.s
					return
				}
			}
			r.errorf(value, "scale %s: want one of %s", nodeText(value), strings.Join(names, ", "))
		}},
	}, more...)
	for i, k := range keys {
		keys[i].read = func(key, value *yaml.Node) {
			l.at[key.Value] = key
			k.read(key, value)
		}
	}
	r.mapping(n, what, keys...)
}

// parseConfig reads a file's text; the error lists all that is wrong, each with its line.
func parseConfig(path string, text []byte) (*configFile, error) {
	var root yaml.Node
	if err := yaml.Unmarshal(text, &root); err != nil {
		return nil, fmt.Errorf("%s: %s", path, strings.TrimPrefix(err.Error(), "yaml: "))
	}
	f, r := &configFile{path: path}, &configReader{path: path}
	if root.Kind == 0 {
		return nil, fmt.Errorf("%s: it is empty; want defaults, layers, search or folding", path)
	}
	r.mapping(root.Content[0], "config",
		configKey{"defaults", func(_, value *yaml.Node) {
			r.layer(value, "defaults", &f.defaults,
				configKey{"input", r.bits(&f.input)},
				configKey{"output", r.bits(&f.output)},
				configKey{"symmetric", r.truth(&f.symmetric)})
		}},
		configKey{"layers", func(_, value *yaml.Node) {
			r.each(value, "layers", func(key, value *yaml.Node) {
				l := layerConfig{name: key.Value}
				r.layer(value, fmt.Sprintf("layer %q", key.Value), &l)
				l.at[""] = key
				f.layers = append(f.layers, l)
			})
		}},
		configKey{"search", func(_, value *yaml.Node) {
			r.mapping(value, "search", configKey{"weights", r.widths(&f.searchW)}, configKey{"activations", r.widths(&f.searchA)})
		}},
		configKey{"folding", func(_, value *yaml.Node) { f.folding = r.foldings(value) }})
	if len(r.errs) > 0 {
		return nil, errors.Join(r.errs...)
	}
	return f, nil
}

// openConfig reads --config; nil without one.
func openConfig(c *cli.Context) (*configFile, error) {
	if !c.IsSet("config") {
		return nil, nil
	}
	b, err := os.ReadFile(c.String("config"))
	if err != nil {
		return nil, err
	}
	return parseConfig(c.String("config"), b)
}

// apply puts the file's settings into a Config and an observer, for a prepared model. Flags that are given win over defaults.
func (f *configFile) apply(given func(flag string) bool, g *ir.Graph, c *quant.Config, observer **calib.Method) error {
	if f == nil {
		return nil
	}
	for _, d := range []struct {
		flag string
		to   *int
		n    int
	}{{"w", &c.W, f.defaults.weights}, {"a", &c.A, f.defaults.activations}, {"input-bits", &c.InputBits, f.input}, {"output-bits", &c.OutputBits, f.output}} {
		if d.n != 0 && !given(d.flag) {
			*d.to = d.n
		}
	}
	if f.defaults.observer != nil && !given("observer") {
		*observer = f.defaults.observer
	}
	if s := f.defaults.scale; s != nil {
		c.PerTensor, c.Pow2 = c.PerTensor || s.PerTensor && !given("per-tensor"), c.Pow2 || s.Pow2 && !given("pow2")
	}
	c.Symmetric = c.Symmetric || f.symmetric && !given("symmetric")
	c.Layers, c.Scalings, c.Observers = map[string]quant.Bits{}, map[string]quant.Scaling{}, map[string]calib.Method{}
	r := &configReader{path: f.path}
	for i := range f.layers {
		l := &f.layers[i]
		n := r.find(g, l)
		if n == nil {
			continue
		}
		if at := l.at["weights"]; at != nil && op.Of(n.Op).Class != op.MAC {
			r.errorf(at, "layer %q: %s has no weights", l.name, n.Op.OpName())
		}
		for _, key := range []string{"activations", "observer"} {
			if at := l.at[key]; at != nil && quant.Moves(n) {
				r.errorf(at, "layer %q: %s only moves or selects data, its result has the type of its input: set %s of the layer before it", l.name, n.Op.OpName(), key)
			}
		}
		c.Layers[l.name] = quant.Bits{W: l.weights, A: l.activations}
		if l.observer != nil {
			c.Observers[l.name] = *l.observer
		}
		if l.scale != nil {
			c.Scalings[l.name] = *l.scale
		}
	}
	return errors.Join(r.errs...)
}

// find is the node that a layer of the file means; where there is none it says which name is nearest.
func (r *configReader) find(g *ir.Graph, l *layerConfig) *ir.Node {
	tail := quant.Tail(g)
	nearest, least := "", -1
	for _, n := range g.Nodes {
		name := quant.LayerName(n)
		if tail[n] {
			if name == l.name {
				r.errorf(l.at[""], "layer %q: %s is left for the host and stays float", l.name, n.Op.OpName())
				return nil
			}
			continue
		}
		if name == l.name {
			return n
		}
		if d := smetrics.WagnerFischer(name, l.name, 1, 1, 1); least < 0 || d < least {
			nearest, least = name, d
		}
	}
	r.errorf(l.at[""], "no layer %q in %s; the nearest name is %q", l.name, g.Name, nearest)
	return nil
}

package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"quern/frontend/data"
	"quern/passes/quant"
)

var sweepCommand = &cli.Command{
	Name: "sweep", Usage: "accuracy of models over widths and epochs: a table, CSV, JSON and a page with plots", ArgsUsage: "MODEL...",
	Flags: append(append([]cli.Flag{
		&cli.StringFlag{Name: "data", Required: true, Usage: "test data: as eval's --data"},
		&cli.StringFlag{Name: "train", Usage: "training data, for accuracy on it as well"},
		&cli.StringFlag{Name: "bits", Value: "4,8,16", Usage: "widths: N for weights and activations, or W/A"},
		&cli.IntFlag{Name: "limit", Usage: "only the first N samples of the test data"},
		&cli.IntFlag{Name: "train-limit", Usage: "only the first N samples of the training data"},
		&cli.BoolFlag{Name: "train-last", Usage: "accuracy on training data only at each network's last epoch"},
		&cli.IntSliceFlag{Name: "epoch", Usage: "the epoch of each MODEL, in their order", DefaultText: "from the file's name, NAME_eN.onnx"},
		&cli.StringFlag{Name: "o", Required: true, Usage: "folder for sweep.json, sweep.csv, sweep.md and sweep.html; results that it has are not measured again"},
	}, recipeFlags...), preprocessFlags...),
	Action: func(c *cli.Context) error {
		s, err := newSweep(c)
		if err != nil {
			return err
		}
		if err := s.run(c); err != nil {
			return err
		}
		return report(c, s.result(), func(w io.Writer) { fmt.Fprint(w, s.markdown()) })
	},
}

// measure is the accuracy on one set of data. Top1 and Top5 are in percent.
type measure struct {
	Data   string  `json:"data"`
	Images int     `json:"images"`
	Top1   float64 `json:"top1"`
	Top5   float64 `json:"top5"`
	Loss   float64 `json:"loss"`

	Key string `json:"key"` // digest of the data
}

// sweepRow is one model at one pair of widths; W and A are 0 for float.
type sweepRow struct {
	Network string      `json:"network"`
	Epoch   int         `json:"epoch"` // -1: not known
	Model   string      `json:"model"`
	W       int         `json:"w"`
	A       int         `json:"a"`
	Backend string      `json:"backend"`
	Test    *measure    `json:"test,omitempty"`
	Train   *measure    `json:"train,omitempty"`
	Layers  []layerStat `json:"layers,omitempty"`
	Hurting []string    `json:"layers_that_hurt_most,omitempty"`

	Key string `json:"key"` // digest of what the row depends on but for the data of the measures: version, model, calibration, options
}

// widthName is float, int-8, or W4A8.
func (r *sweepRow) widthName() string { return widthName(quant.Bits{W: r.W, A: r.A}) }

func widthName(b quant.Bits) string {
	switch {
	case b.W == 0:
		return "float"
	case b.W == b.A:
		return fmt.Sprintf("int-%d", b.W)
	}
	return fmt.Sprintf("W%dA%d", b.W, b.A)
}

// sweepModel is one MODEL of the command line.
type sweepModel struct {
	path, network, digest string
	epoch                 int
	last                  bool // of its network
}

type sweep struct {
	dir    string
	models []sweepModel
	widths []quant.Bits // float first
	recipe *recipe
	test   string
	train  string
	limit  [2]int // of test and training data; 0: all
	last   bool   // training data only for the last epoch

	Rows []*sweepRow
	old  map[string]*sweepRow // by key: what the folder had
}

// sweepFile is sweep.json.
type sweepFile struct {
	Version  string      `json:"version"`
	Complete bool        `json:"complete"`
	Recipe   string      `json:"recipe"`
	Rows     []*sweepRow `json:"rows"`
}

var epochName = regexp.MustCompile(`^(.*)_e(\d+)$`)

func newSweep(c *cli.Context) (*sweep, error) {
	s := &sweep{dir: c.String("o"), test: c.String("data"), train: c.String("train"), limit: [2]int{c.Int("limit"), c.Int("train-limit")}, last: c.Bool("train-last")}
	var err error
	if s.recipe, err = newRecipe(c, quant.Bits{W: 8, A: 8}); err != nil {
		return nil, err
	}
	if c.NArg() == 0 {
		return nil, usagef("sweep: want one MODEL or more")
	}
	if min(s.limit[0], s.limit[1]) < 0 {
		return nil, usagef("--limit and --train-limit: want 0 (all) or more")
	}
	if s.widths, err = parseWidths(c.String("bits")); err != nil {
		return nil, err
	}
	s.widths = append([]quant.Bits{{}}, s.widths...)
	epochs := c.IntSlice("epoch")
	if len(epochs) > 0 && len(epochs) != c.NArg() {
		return nil, usagef("--epoch: want one for each of the %d models, got %d", c.NArg(), len(epochs))
	}
	for i, path := range c.Args().Slice() {
		b, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		m := sweepModel{path: path, digest: digest(b), epoch: -1, network: strings.TrimSuffix(filepath.Base(path), filepath.Ext(path))}
		if p := epochName.FindStringSubmatch(m.network); p != nil {
			m.network = p[1]
			if m.epoch, err = strconv.Atoi(p[2]); err != nil {
				return nil, fmt.Errorf("%s: epoch: %w", path, err)
			}
		}
		if len(epochs) > 0 {
			m.epoch = epochs[i]
		}
		for _, o := range s.models {
			if o.network == m.network && o.epoch == m.epoch {
				return nil, usagef("%s and %s are both epoch %d of %s: see --epoch", o.path, m.path, m.epoch, m.network)
			}
		}
		s.models = append(s.models, m)
	}
	slices.SortStableFunc(s.models, func(a, b sweepModel) int {
		if a.network != b.network {
			return strings.Compare(a.network, b.network)
		}
		return a.epoch - b.epoch
	})
	for i := range s.models {
		s.models[i].last = i == len(s.models)-1 || s.models[i+1].network != s.models[i].network
	}
	return s, s.load()
}

// parseWidths reads 4,8,4/8.
func parseWidths(list string) ([]quant.Bits, error) {
	var r []quant.Bits
	for _, f := range strings.Split(list, ",") {
		ws, as, pair := strings.Cut(strings.TrimSpace(f), "/")
		w, err1 := strconv.Atoi(ws)
		a, err2 := w, error(nil)
		if pair {
			a, err2 = strconv.Atoi(as)
		}
		b := quant.Bits{W: w, A: a}
		if err := (&quant.Config{Bits: b}).Check(); err1 != nil || err2 != nil || err != nil {
			return nil, usagef("widths %q: want numbers of %d to %d, or pairs as 4/8: weights, activations", f, quant.MinBits, quant.MaxBits)
		}
		if slices.Contains(r, b) {
			return nil, usagef("widths %q: %s is there twice", list, widthName(b))
		}
		r = append(r, b)
	}
	return r, nil
}

func digest(parts ...[]byte) string {
	h := sha256.New()
	for _, p := range parts {
		fmt.Fprintf(h, "%d:", len(p))
		h.Write(p)
	}
	return hex.EncodeToString(h.Sum(nil))[:16]
}

// dataDigest names the samples, their labels and the preprocessing.
func dataDigest(d *data.Dataset, p data.Preprocess) string {
	h := sha256.New()
	fmt.Fprintln(h, d.Shape, d.Labels, p.Meta(), d.F32)
	h.Write(d.U8)
	return hex.EncodeToString(h.Sum(nil))[:16]
}

// load reads what an earlier run left.
func (s *sweep) load() error {
	s.old = map[string]*sweepRow{}
	path := filepath.Join(s.dir, "sweep.json")
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	var f sweepFile
	if err == nil {
		err = json.Unmarshal(b, &f)
	}
	if err != nil {
		return fmt.Errorf("%s: %w: want the results of a sweep; delete it to begin anew", path, err)
	}
	for _, r := range f.Rows {
		s.old[r.Key] = r
	}
	return nil
}

// save writes sweep.json; rows of other models and options that were there stay until the sweep is complete.
func (s *sweep) save(complete bool) error {
	f := s.result()
	f.Complete = complete
	if !complete {
		have := map[string]bool{}
		for _, r := range f.Rows {
			have[r.Key] = true
		}
		var keys []string
		for k := range s.old {
			if !have[k] {
				keys = append(keys, k)
			}
		}
		slices.Sort(keys)
		for _, k := range keys {
			f.Rows = append(f.Rows, s.old[k])
		}
	}
	b, err := json.MarshalIndent(f, "", " ")
	if err != nil {
		return err
	}
	return writeFile(filepath.Join(s.dir, "sweep.json"), func(w io.Writer) error {
		_, err := w.Write(append(b, '\n'))
		return err
	})
}

func (s *sweep) result() *sweepFile {
	f := &sweepFile{Version: version, Complete: true, Recipe: s.recipe.String()}
	for _, r := range s.Rows {
		if r.Test != nil {
			f.Rows = append(f.Rows, r)
		}
	}
	return f
}

// run measures all that is missing, test data of all models first, and writes the files.
func (s *sweep) run(c *cli.Context) error {
	if err := os.MkdirAll(s.dir, 0o777); err != nil {
		return err
	}
	for i := range s.models {
		for _, b := range s.widths {
			s.Rows = append(s.Rows, &sweepRow{Network: s.models[i].network, Epoch: s.models[i].epoch, Model: filepath.Base(s.models[i].path), W: b.W, A: b.A})
		}
	}
	for _, training := range []bool{false, true} {
		if training && s.train == "" {
			break
		}
		for i := range s.models {
			if training && s.last && !s.models[i].last {
				continue
			}
			if err := s.model(c, &s.models[i], s.Rows[i*len(s.widths):(i+1)*len(s.widths)], training); err != nil {
				return fmt.Errorf("%s: %w", s.models[i].path, err)
			}
		}
	}
	for _, o := range []struct {
		name string
		text func() (string, error)
	}{
		{"sweep.csv", s.csv},
		{"sweep.md", func() (string, error) { return s.markdown(), nil }},
		{"sweep.html", s.html},
	} {
		text, err := o.text()
		if err != nil {
			return err
		}
		if err := writeFile(filepath.Join(s.dir, o.name), func(w io.Writer) error { _, err := io.WriteString(w, text); return err }); err != nil {
			return err
		}
	}
	return s.save(true)
}

// model measures one model at all widths on one set of data.
func (s *sweep) model(c *cli.Context, m *sweepModel, rows []*sweepRow, training bool) error {
	g, err := preparedWith(c, m.path)
	if err != nil {
		return err
	}
	if isQuantized(g) {
		return errors.New("it is quantized already: a sweep takes float models")
	}
	path, limit := s.test, s.limit[0]
	if training {
		path, limit = s.train, s.limit[1]
	}
	d, p, err := openData(c, path, g)
	if err != nil {
		return err
	}
	d = d.Head(limit)
	base, err := s.recipe.open(c, g)
	if err != nil {
		return err
	}
	key, prefix := dataDigest(d, p), digest([]byte(version), []byte(m.digest), []byte(s.recipe.String()), []byte(dataDigest(base.samples, p)))
	for i, b := range s.widths {
		r := rows[i]
		r.Key = fmt.Sprintf("%s-%d-%d", prefix, b.W, b.A)
		if b.W == 0 {
			r.Key = digest([]byte(version), []byte(m.digest)) + "-float"
		}
		if o := s.old[r.Key]; o != nil {
			r.Backend, r.Layers, r.Hurting = o.Backend, o.Layers, o.Hurting
			if !training && o.Test != nil && o.Test.Key == key {
				r.Test = o.Test
			}
			if training && o.Train != nil && o.Train.Key == key {
				r.Train = o.Train
			}
		}
		if training && r.Train != nil || !training && r.Test != nil {
			continue
		}
		what := fmt.Sprintf("%s e%d %s", m.network, m.epoch, r.widthName())
		got, err := s.measure(c.Context, base, r, b, d, bar(c.App.ErrWriter, what))
		if err != nil {
			return fmt.Errorf("%s: %w", r.widthName(), err)
		}
		k := &measure{Data: path, Images: got.Images, Top1: got.Top1, Top5: got.Top5, Loss: got.Loss, Key: key}
		if r.Backend = got.Backend; training {
			r.Train = k
		} else {
			r.Test = k
		}
		if err := s.save(false); err != nil {
			return err
		}
	}
	return nil
}

// measure quantizes the model, unless the width is that of float, and runs it over the data.
func (s *sweep) measure(ctx context.Context, base *calibrated, r *sweepRow, b quant.Bits, d *data.Dataset, progress func(more, of int)) (*accuracy, error) {
	g := base.float
	if b.W > 0 {
		q, err := s.recipe.quantize(ctx, base, b, nil, true)
		if err != nil {
			return nil, err
		}
		if r.Layers == nil {
			if r.Layers, err = layerStats(ctx, base.equal, q, base.samples.Head(layerSamples), base.p); err != nil {
				return nil, err
			}
			r.Hurting = hurting(r.Layers, 3)
		}
		g = q
	}
	be, err := openBackend(g, "")
	if err != nil {
		return nil, err
	}
	return evaluate(ctx, be, d, base.p, progress)
}

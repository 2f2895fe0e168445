package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/xrash/smetrics"
	"gopkg.in/yaml.v3"

	"quern/ir/hw"
	"quern/ir/hw/stream"
)

// readFolding reads the file of --folding. The manifest of a project is one, too.
func readFolding(path string) (map[string]stream.Fold, error) {
	src, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var f struct {
		Generator string                     `json:"generator"`
		Folding   map[string]json.RawMessage `json:"folding"`
	}
	if err := json.Unmarshal(src, &f); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if len(f.Folding) == 0 {
		return nil, fmt.Errorf("%s: want an object with foldings by layer, {\"folding\": {\"conv1\": {\"pe\": 2, \"simd\": 3}}}", path)
	}
	if f.Generator == "" { // ours to be strict with: a misspelled key would be left out silently
		if err := strict(src, &struct {
			Folding map[string]json.RawMessage `json:"folding"`
		}{}); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
	}
	folds := map[string]stream.Fold{}
	for layer, raw := range f.Folding {
		v := stream.Fold{PE: 1, SIMD: 1}
		if err := strict(raw, &v); err != nil {
			return nil, fmt.Errorf("%s: folding of layer %q: %w", path, layer, err)
		}
		folds[layer] = v
	}
	return folds, nil
}

// strict decodes JSON without unknown keys.
func strict(src []byte, to any) error {
	d := json.NewDecoder(bytes.NewReader(src))
	d.DisallowUnknownFields()
	return d.Decode(to)
}

// layerFold is the folding of a layer in a --config file.
type layerFold struct {
	name string
	fold stream.Fold
	at   *yaml.Node
}

// foldings reads the mapping of folding.
func (r *configReader) foldings(n *yaml.Node) (folds []layerFold) {
	r.each(n, "folding", func(key, value *yaml.Node) {
		l := layerFold{key.Value, stream.Fold{PE: 1, SIMD: 1}, key}
		r.mapping(value, fmt.Sprintf("folding of layer %q", key.Value),
			configKey{"pe", r.count(&l.fold.PE)},
			configKey{"simd", r.count(&l.fold.SIMD)},
			configKey{"lut", r.truth(&l.fold.LUT)},
			configKey{"thresholds", r.truth(&l.fold.Thresholds)})
		folds = append(folds, l)
	})
	return folds
}

// count reads a number of lanes.
func (r *configReader) count(to *int) func(key, value *yaml.Node) {
	return func(key, value *yaml.Node) {
		n := 0
		if err := value.Decode(&n); err != nil || value.Tag != "!!int" || n < 1 {
			r.errorf(value, "%s: want a number of 1 or more, got %s", key.Value, nodeText(value))
			return
		}
		*to = n
	}
}

// truth reads true or false.
func (r *configReader) truth(to *bool) func(key, value *yaml.Node) {
	return func(key, value *yaml.Node) {
		if value.Decode(to) != nil {
			r.errorf(value, "%s: want true or false, got %s", key.Value, nodeText(value))
		}
	}
}

// foldsOf are the file's foldings by the names of a program's kernels, each of which the kernel can have. The file names them so or by
// their nodes in the model.
func (f *configFile) foldsOf(p *hw.Program) (map[string]stream.Fold, error) {
	r := &configReader{path: f.path}
	folds := map[string]stream.Fold{}
	by := map[*hw.Kernel]*layerFold{}
	for i := range f.folding {
		l := &f.folding[i]
		found, nearest, least := false, "", -1
		for _, k := range p.Kernels {
			for _, name := range []string{k.Pos.Name, k.Name} {
				if d := smetrics.WagnerFischer(name, l.name, 1, 1, 1); name != "" && (least < 0 || d < least) {
					nearest, least = name, d
				}
			}
			if l.name != k.Name && l.name != k.Pos.Name {
				continue
			}
			found = true
			if was := by[k]; was != nil {
				r.errorf(l.at, "folding of layer %q: it is there already as %q in line %d", l.name, was.name, was.at.Line)
				continue
			}
			by[k], folds[k.Name] = l, l.fold
			if err := l.fold.Check(k); err != nil {
				r.errorf(l.at, "%v", err)
			}
		}
		if !found {
			r.errorf(l.at, "folding of layer %q: there is no such layer; the nearest name is %q", l.name, nearest)
		}
	}
	return folds, errors.Join(r.errs...)
}

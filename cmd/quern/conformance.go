package main

import (
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"

	"github.com/urfave/cli/v2"
)

var conformanceCommand = &cli.Command{
	Name: "conformance", Usage: "run ONNX's conformance cases through the interpreter", ArgsUsage: "DIR",
	Flags: []cli.Flag{
		&cli.StringFlag{Name: "known", Usage: "file that lists the cases that do not pass", DefaultText: "all have to"},
		&cli.StringFlag{Name: "filter", Usage: "regular expression: only cases whose path below DIR matches"},
		&cli.BoolFlag{Name: "verbose", Usage: "print each case"},
		jsonFlag,
	},
	Action: func(c *cli.Context) error {
		if c.NArg() != 1 {
			return usagef("conformance: want one DIR, got %d arguments", c.NArg())
		}
		filter, err := regexp.Compile(c.String("filter"))
		if err != nil {
			return usagef("--filter: %w", err)
		}
		cases, err := findCases(c.Args().First(), filter)
		if err != nil {
			return err
		}
		var list []*known
		if file := c.String("known"); file != "" {
			if list, err = readKnown(file); err != nil {
				return err
			}
		}
		runCases(cases)
		r := summarize(cases)
		r.Surprises = surprises(cases, list, c.String("filter") == "")
		err = report(c, r, func(w io.Writer) {
			for _, k := range cases {
				if c.Bool("verbose") {
					fmt.Fprintln(w, strings.TrimSpace(fmt.Sprintf("%-7s %s  %s", k.outcome, k.name, k.reason)))
				}
			}
			r.print(w)
		})
		if err == nil && len(r.Surprises) > 0 {
			err = fmt.Errorf("conformance: %d of %d cases are not as expected", len(r.Surprises), len(cases))
		}
		return err
	},
}

// findCases finds the folders with a model.onnx, in the order of their paths.
func findCases(root string, filter *regexp.Regexp) ([]*confCase, error) {
	var cases []*confCase
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.Name() != "model.onnx" || d.IsDir() {
			return err
		}
		dir := filepath.Dir(path)
		rel, err := filepath.Rel(root, dir)
		if name := filepath.ToSlash(rel); filter.MatchString(name) {
			cases = append(cases, &confCase{name: name, dir: dir})
		}
		return err
	})
	if err == nil && len(cases) == 0 {
		err = fmt.Errorf("%s: no folder with model.onnx whose path matches %q", root, filter)
	}
	return cases, err
}

// runCases runs all cases over the cores.
func runCases(cases []*confCase) {
	next := make(chan *confCase)
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for c := range next {
				c.run()
			}
		}()
	}
	for _, c := range cases {
		next <- c
	}
	close(next)
	wg.Wait()
}

// confReport is what `quern conformance --json` prints.
type confReport struct {
	Folders   []*confCounts `json:"folders"`
	Total     confCounts    `json:"total"`
	Surprises []string      `json:"surprises"`
}

// confCounts are the numbers of cases of a folder, by outcome.
type confCounts struct {
	Folder  string `json:"folder"`
	Cases   int    `json:"cases"`
	Pass    int    `json:"pass"`
	Refused int    `json:"refused"`
	Fail    int    `json:"fail"`
}

func (n *confCounts) add(o outcome) {
	n.Cases++
	switch o {
	case pass:
		n.Pass++
	case refused:
		n.Refused++
	default:
		n.Fail++
	}
}

// summarize counts by the first folder below the root. Cases come sorted.
func summarize(cases []*confCase) *confReport {
	r := &confReport{Total: confCounts{Folder: "total"}}
	for _, c := range cases {
		folder, _, _ := strings.Cut(c.name, "/")
		if k := len(r.Folders); k == 0 || r.Folders[k-1].Folder != folder {
			r.Folders = append(r.Folders, &confCounts{Folder: folder})
		}
		r.Folders[len(r.Folders)-1].add(c.outcome)
		r.Total.add(c.outcome)
	}
	return r
}

func (r *confReport) print(w io.Writer) {
	for _, s := range r.Surprises {
		fmt.Fprintln(w, s)
	}
	fmt.Fprintf(w, "%-20s %6s %6s %8s %6s\n", "", "cases", "pass", "refused", "fail")
	for _, n := range append(r.Folders, &r.Total) {
		fmt.Fprintf(w, "%-20s %6d %6d %8d %6d\n", n.Folder, n.Cases, n.Pass, n.Refused, n.Fail)
	}
}

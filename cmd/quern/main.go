// Command quern takes neural networks in ONNX to FPGAs in small integers. See README.md for a tour.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v2"
)

// version is what `quern version` prints and what emitted files are marked with.
const version = "0.1.0"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	os.Exit(run(ctx, os.Args, os.Stdin, os.Stdout, os.Stderr))
}

// usageError is a mistake in the command line: exit code 2.
type usageError struct{ error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// run is the program: exit code 0 good, 1 the work failed, 2 wrong usage.
func run(ctx context.Context, args []string, in io.Reader, out, errw io.Writer) int {
	app := &cli.App{
		Name: "quern", Usage: "neural networks in ONNX to FPGAs in small integers", HideVersion: true,
		Reader: in, Writer: out, ErrWriter: errw,
		Commands:        []*cli.Command{infoCommand, runCommand, quantizeCommand, sweepCommand, searchCommand, evalCommand, compileCommand, optCommand, dumpCommand, demoCommand, benchCommand, conformanceCommand, versionCommand},
		ExitErrHandler:  func(*cli.Context, error) {},
		CommandNotFound: func(c *cli.Context, name string) {},
		Action: func(c *cli.Context) error {
			if c.Args().Present() {
				return usagef("no command %q; see quern help", c.Args().First())
			}
			return cli.ShowAppHelp(c)
		},
		OnUsageError: func(c *cli.Context, err error, _ bool) error { return usageError{err} },
	}
	for _, c := range app.Commands {
		c.OnUsageError = app.OnUsageError
	}
	err := app.RunContext(ctx, flagsFirst(app, args))
	if err == nil {
		return 0
	}
	fmt.Fprintln(errw, "quern:", err)
	var u usageError
	if errors.As(err, &u) || strings.HasPrefix(err.Error(), "Required flag") {
		return 2
	}
	return 1
}

// flagsFirst moves flags before the arguments of a command, so that `quern eval MODEL --data D` works: the flag package stops at the first
// argument.
func flagsFirst(app *cli.App, args []string) []string {
	if len(args) < 2 {
		return args
	}
	cmd := app.Command(args[1])
	if cmd == nil {
		return args
	}
	takes := map[string]bool{}
	for _, f := range cmd.Flags {
		_, isBool := f.(*cli.BoolFlag)
		for _, n := range f.Names() {
			takes[n] = !isBool
		}
	}
	var flags, rest []string
	for i := 2; i < len(args); i++ {
		a := args[i]
		if a == "--" {
			rest = append(rest, args[i+1:]...)
			break
		}
		if len(a) < 2 || a[0] != '-' {
			rest = append(rest, a)
			continue
		}
		flags = append(flags, a)
		if name := strings.TrimLeft(a, "-"); takes[name] && i+1 < len(args) {
			i++
			flags = append(flags, args[i])
		}
	}
	r := append([]string{args[0], args[1]}, flags...)
	return append(append(r, "--"), rest...)
}

// modelArg is the one argument of a command.
func modelArg(c *cli.Context) (string, error) {
	if c.NArg() != 1 {
		return "", usagef("%s: want one MODEL, got %d arguments", c.Command.Name, c.NArg())
	}
	return c.Args().First(), nil
}

var jsonFlag = &cli.BoolFlag{Name: "json", Usage: "print one JSON object"}

// report prints v as one JSON object with --json, else calls text.
func report(c *cli.Context, v any, text func(w io.Writer)) error {
	if !c.Bool("json") {
		text(c.App.Writer)
		return nil
	}
	b, err := json.Marshal(v)
	if err == nil {
		_, err = fmt.Fprintln(c.App.Writer, string(b))
	}
	return err
}

// writeFile makes a file appear whole or not at all.
func writeFile(path string, write func(w io.Writer) error) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*.part")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // of no effect once renamed
	err = write(f)
	if e := f.Chmod(0o644); err == nil {
		err = e
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	return err
}

var versionCommand = &cli.Command{
	Name: "version", Usage: "print the version",
	Action: func(c *cli.Context) error {
		_, err := fmt.Fprintln(c.App.Writer, "quern", version)
		return err
	},
}

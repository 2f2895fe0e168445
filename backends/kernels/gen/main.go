// Command gen writes the assembly of backends/kernels. go generate runs it there; its test holds the committed file to it.
package main

import (
	"bytes"
	"fmt"
	"os"

	"github.com/mmcloughlin/avo/attr"
	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/pass"
	"github.com/mmcloughlin/avo/printer"
	"github.com/mmcloughlin/avo/reg"
)

// output is the file, seen from backends/kernels.
const output = "kernels_amd64.s"

func main() {
	b, err := generate()
	if err == nil {
		err = os.WriteFile(output, b, 0o644)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}

// asm collects the functions of the file. All take one pointer to a struct of 64-bit fields, declared beside the kernels.
type asm struct{ *build.Context }

func generate() ([]byte, error) {
	a := asm{build.NewContext()}
	for _, s := range dots {
		for _, t := range s.tiles {
			a.dot(s, t[0], t[1])
		}
	}
	a.requant512("requantU8AVX512", 1)
	a.requant512("requantI16AVX512", 2)
	a.requant256("requantI16AVX2")
	f, err := a.Result()
	if err != nil {
		return nil, err
	}
	if err := pass.Compile.Execute(f); err != nil {
		return nil, err
	}
	b, err := printer.NewGoAsm(printer.Config{Argv: []string{"go", "generate"}, Pkg: "kernels"}).Print(f)
	if err != nil {
		return nil, err
	}
	return append(bytes.TrimRight(b, "\n"), '\n'), nil
}

// begin opens a function and loads its argument into AX.
func (a asm) begin(name, doc string) {
	a.Function(name)
	a.Attributes(attr.NOSPLIT)
	a.SignatureExpr("func(a *byte)")
	a.Doc(doc)
	a.Load(a.Param("a"), reg.RAX)
}

func (a asm) end() {
	a.VZEROUPPER()
	a.RET()
}

// field is a 64-bit field of the argument, by its number.
func field(i int) operand.Mem { return operand.Mem{Base: reg.RAX, Disp: 8 * i} }

// at is the memory at a register.
func at(base reg.Register, disp int) operand.Mem { return operand.Mem{Base: base, Disp: disp} }

func vec(zmm bool, i int) reg.VecPhysical {
	if zmm {
		return [...]reg.VecPhysical{reg.Z0, reg.Z1, reg.Z2, reg.Z3, reg.Z4, reg.Z5, reg.Z6, reg.Z7, reg.Z8, reg.Z9, reg.Z10, reg.Z11, reg.Z12, reg.Z13, reg.Z14,
			reg.Z15, reg.Z16, reg.Z17, reg.Z18, reg.Z19, reg.Z20, reg.Z21, reg.Z22, reg.Z23, reg.Z24, reg.Z25, reg.Z26, reg.Z27, reg.Z28, reg.Z29, reg.Z30, reg.Z31}[i]
	}
	return [...]reg.VecPhysical{reg.Y0, reg.Y1, reg.Y2, reg.Y3, reg.Y4, reg.Y5, reg.Y6, reg.Y7, reg.Y8, reg.Y9, reg.Y10, reg.Y11, reg.Y12, reg.Y13, reg.Y14, reg.Y15}[i]
}

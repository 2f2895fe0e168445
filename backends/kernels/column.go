package kernels

import "unsafe"

// Columns are slices of 64-bit integers that native code works on in whole registers: their capacity must reach to the next multiple
// of Column elements, and what lies there is overwritten.

// Column is the number of elements that the length of a column is rounded up to.
const Column = 8

// MakeColumn allocates a column.
func MakeColumn(n int) []int64 { return make([]int64, n, (n+Column-1)/Column*Column) }

// ColumnOp is an operation on two columns.
type ColumnOp uint8

// The operations. They count modulo 2^64.
const (
	ColumnAdd ColumnOp = iota
	ColumnSub
	ColumnMul
	ColumnMax
	ColumnMin
	numColumnOps
)

// colArgs is what the kernels of gen/column.go take.
type colArgs struct {
	dst, a, b   unsafe.Pointer
	span        int
	count       int
	add, lo, hi int64
}

// columnKernels are the native functions of a level, whose registers have so many numbers of 64 bits.
type columnKernels struct {
	lanes                                       int
	ops                                         [numColumnOps]kernel
	scale                                       kernel
	from8, from16                               kernel
	from32                                      kernel
	to8, to16                                   kernel
	float8, float2, float4x2                    kernel              // 8 pixels by a block of channels, wide() by 2, 4 by 2
	floatDeep                                   kernel              // 8 pixels by a block of channels, kept apart
	float1                                      [panelBlocks]kernel // a pixel by blocks, less 1
	winogradIn, winogradOut                     kernel              // of fields
	maxFloats, maxPlanes                        kernel
	meanFloats, averageFloats                   kernel
	planes                                      [2]floatPart // by 4 and 6 channels: the kernel and its registers of pixels
	widen, grid, line, relu, addFloats          kernel
	clip, leaky, hardSwish, mulFloats           kernel             // of floats
	sigmoid, swish, tanh, exp, elu, hardSigmoid kernel             // likewise
	blend                                       [2][2][2][2]kernel // by bytes of the operands and of the result, less 1; with signs
	bytes, words                                poolKernels        // of elements of 8 and 16 bits
	rescale8, rescale16                         kernel
	nearest                                     [2]nearestKernels // by bytes of an element, less 1
	splitBlend                                  kernel
	multiply                                    [2][2]kernel // by bytes of the operands, less 1
	finish16                                    kernel
	rows, quantize, reals                       [2]kernel // by bytes of an element, less 1
	weave, quantizeWeave                        kernel
	winograd                                    winogradKernels
}

// poolKernels are those over windows of one type of elements.
type poolKernels struct{ max, deep, requant kernel } // requant: deep, with its requantization

// nearestKernels are those of gen/nearest.go for one type of elements.
type nearestKernels struct{ row, pool kernel }

// winogradKernels are those of gen/winograd.go.
type winogradKernels struct {
	tiles    [2][2]kernel      // by stride and bytes of an element, less 1
	half     [2][2]kernel      // those of registers half as wide
	along    bool              // with a stride of 1, both are alongTiles
	untiles  [3]kernel         // by way
	requant  [3][2]kernel      // by way, and bytes of a result, less 1
	pool     [3][2]kernel      // likewise
	split    [2]kernel         // tiles and untiles of words as bytes
	products [2][]productsForm // the second ones for weights far away
	halves   productsForm      // see Winograd.halves
	// evenHalves is for halves of even numbers of blocks of output channels, too. They spend a load on each multiplication, and the other forms
	// half a load, which is in the way where CPUs multiply two registers in a cycle.
	evenHalves bool
	pace       winogradPace
}

func (k *columnKernels) pool(bytes int) *poolKernels {
	if bytes == 1 {
		return &k.bytes
	}
	return &k.words
}

// registers is the number of registers that hold n elements; it checks the columns' room.
func (k *columnKernels) registers(n int, columns ...[]int64) int {
	for _, c := range columns {
		_ = c[:(n+Column-1)/Column*Column]
	}
	return (n + k.lanes - 1) / k.lanes
}

// Columns computes dst = a op b; all have the length of dst.
func Columns(level Level, op ColumnOp, dst, a, b []int64) {
	if len(dst) == 0 {
		return
	}
	k := columnsOf(level)
	if k == nil {
		a, b = a[:len(dst)], b[:len(dst)]
		for i := range dst {
			dst[i] = op.eval(a[i], b[i])
		}
		return
	}
	n := k.registers(len(dst), dst, a, b)
	args := colArgs{dst: unsafe.Pointer(&dst[0]), a: unsafe.Pointer(&a[0]), b: unsafe.Pointer(&b[0]), span: n * k.lanes * 8, count: n}
	k.ops[op].call(unsafe.Pointer(&args))
}

func (op ColumnOp) eval(a, b int64) int64 {
	switch op {
	case ColumnAdd:
		return a + b
	case ColumnSub:
		return a - b
	case ColumnMul:
		return a * b
	case ColumnMax:
		return max(a, b)
	}
	return min(a, b)
}

// Immediate is an operation with numbers that repeat along a column: one, or one for each channel. It is immutable.
type Immediate struct {
	k  *columnKernels
	op ColumnOp
	v  []int64 // repeated to whole registers for native code
}

// NewImmediate prepares an operation with the numbers v.
func NewImmediate(level Level, op ColumnOp, v []int64) *Immediate {
	m := &Immediate{k: columnsOf(level), op: op, v: v}
	if m.k != nil {
		m.v = repeated(v, m.k.lanes)
	}
	return m
}

// repeated is v as often as makes whole registers.
func repeated(v []int64, lanes int) []int64 {
	var r []int64
	for len(r) == 0 || len(r)%lanes != 0 {
		r = append(r, v...)
	}
	return r
}

// Run computes dst = a op v for as many elements as dst has, from the first channel on.
func (m *Immediate) Run(dst, a []int64) {
	if len(dst) == 0 {
		return
	}
	if m.k == nil {
		a = a[:len(dst)]
		for i, c := 0, 0; i < len(dst); i++ {
			dst[i] = m.op.eval(a[i], m.v[c])
			if c++; c == len(m.v) {
				c = 0
			}
		}
		return
	}
	n := m.k.registers(len(dst), dst, a)
	args := colArgs{dst: unsafe.Pointer(&dst[0]), a: unsafe.Pointer(&a[0]), b: unsafe.Pointer(&m.v[0]), span: 8 * len(m.v), count: n}
	m.k.ops[m.op].call(unsafe.Pointer(&args))
}

// RequantColumn is a Requant for columns. It is immutable.
type RequantColumn struct {
	q *Requant
	k *columnKernels
	v []int64 // packed scales, repeated to whole registers
}

// Column prepares q for columns.
func (q *Requant) Column(level Level) *RequantColumn {
	r := &RequantColumn{q: q, k: columnsOf(level)}
	if r.k != nil {
		n := len(q.scale)
		for n%r.k.lanes != 0 {
			n += len(q.scale)
		}
		r.v = packScales(q.scale, n, r.k.lanes)
	}
	return r
}

// packScales lays n scales, which repeat, out in blocks: mul, half, tie, shift and sign of one register.
func packScales(s []scale, n, lanes int) []int64 {
	v := make([]int64, 5*n)
	for i := range n {
		b, l := v[i/lanes*5*lanes:], i%lanes
		s := &s[i%len(s)]
		b[l], b[lanes+l], b[2*lanes+l], b[3*lanes+l], b[4*lanes+l] = s.mul, s.half, s.tie, int64(s.shift), int64(s.sign)
	}
	return v
}

// Run applies q to whole pixels: dst may be a.
func (r *RequantColumn) Run(dst, a []int64) {
	if len(dst) == 0 {
		return
	}
	if r.k == nil {
		copy(dst, a[:len(dst)])
		r.q.Row(dst)
		return
	}
	n := r.k.registers(len(dst), dst, a)
	args := colArgs{dst: unsafe.Pointer(&dst[0]), a: unsafe.Pointer(&a[0]), b: unsafe.Pointer(&r.v[0]), span: 8 * len(r.v), count: n,
		add: r.q.add, lo: r.q.lo, hi: r.q.hi}
	r.k.scale.call(unsafe.Pointer(&args))
}

// ReadColumn is dst = src + zero, for as many elements as dst has.
func ReadColumn[X uint8 | int16 | int32](level Level, dst []int64, src []X, zero int64) {
	src = src[:len(dst)]
	done := 0
	if k := columnsOf(level); k != nil && len(dst) >= k.lanes {
		n := len(dst) / k.lanes
		done = n * k.lanes
		f := k.from32
		switch unsafe.Sizeof(src[0]) {
		case 1:
			f = k.from8
		case 2:
			f = k.from16
		}
		args := colArgs{dst: unsafe.Pointer(&dst[0]), a: unsafe.Pointer(&src[0]), count: n, add: zero}
		f.call(unsafe.Pointer(&args))
	}
	for i := done; i < len(dst); i++ {
		dst[i] = int64(src[i]) + zero
	}
}

// WriteColumn is dst = src - zero, for as many elements as src has. The results must fit.
func WriteColumn[X uint8 | int16](level Level, dst []X, src []int64, zero int64) {
	dst = dst[:len(src)]
	done := 0
	if k := columnsOf(level); k != nil && len(src) >= k.lanes {
		n := len(src) / k.lanes
		f := k.to16
		if unsafe.Sizeof(dst[0]) == 1 {
			f = k.to8
		}
		if f != 0 {
			done = n * k.lanes
			args := colArgs{dst: unsafe.Pointer(&dst[0]), a: unsafe.Pointer(&src[0]), count: n, add: -zero}
			f.call(unsafe.Pointer(&args))
		}
	}
	for i := done; i < len(src); i++ {
		dst[i] = X(src[i] - zero)
	}
}

package lower

import (
	"slices"

	"quern/ir"
)

// Rule lowers one node, whose inputs have buffers or are constants.
type Rule func(l *lowerer, n *ir.Node) error

// Rules is the table of lowering rules, by operator name.
var Rules = map[string]Rule{
	"Conv":              convRule,
	"ConvTranspose":     convTransposeRule,
	"Gemm":              gemmRule,
	"MatMul":            matmulRule,
	"MaxPool":           maxPoolRule,
	"AveragePool":       averagePoolRule,
	"GlobalAveragePool": globalAverageRule,
	"GlobalMaxPool":     globalMaxRule,
	"Add":               addRule,
	"Sub":               addRule,
	"Sum":               addRule,
	"Mul":               mulRule,
	"Div":               divRule,
	"Resize":            resizeRule,
	"ReduceL1":          reduceRule,
	"ReduceMax":         reduceRule,
	"ReduceMean":        reduceRule,
	"ReduceMin":         reduceRule,
	"ReduceSum":         reduceRule,
	"ReduceSumSquare":   reduceRule,
	"Softmax":           softmaxRule,
	"LogSoftmax":        softmaxRule,
	"Max":               extremeRule,
	"Min":               extremeRule,
	"PRelu":             preluRule,
	"Quantize":          quantizeRule,
	"Relu":              requantRule,
	"Clip":              requantRule,
	"Identity":          moveRule,
	"Dropout":           moveRule,
	"Flatten":           moveRule,
	"Reshape":           moveRule,
	"Transpose":         moveRule,
	"Squeeze":           moveRule,
	"Unsqueeze":         moveRule,
	"Concat":            moveRule,
	"Pad":               moveRule,
	"Slice":             moveRule,
	"Split":             moveRule,
	"Gather":            moveRule,
	"GatherElements":    moveRule,
	"GatherND":          moveRule,
	"ReverseSequence":   moveRule,
	"Trilu":             moveRule,
	"Expand":            moveRule,
	"Tile":              moveRule,
	"LeakyRelu":         tableRule,
	"Sigmoid":           tableRule,
	"Tanh":              tableRule,
	"Exp":               tableRule,
	"Log":               tableRule,
	"Sqrt":              tableRule,
	"ArgMax":            argMaxRule,
	"ArgMin":            argMaxRule,
	"TopK":              topKRule,
	"Abs":               tableRule,
	"Neg":               tableRule,
	"Reciprocal":        tableRule,
	"Erf":               tableRule,
	"Floor":             tableRule,
	"Ceil":              tableRule,
	"Round":             tableRule,
	"Elu":               tableRule,
	"Selu":              tableRule,
	"HardSigmoid":       tableRule,
	"HardSwish":         tableRule,
	"Softplus":          tableRule,
	"Softsign":          tableRule,
	"DepthToSpace":      moveRule,
	"SpaceToDepth":      moveRule,
	"Acos":              tableRule,
	"Acosh":             tableRule,
	"Asin":              tableRule,
	"Asinh":             tableRule,
	"Atan":              tableRule,
	"Atanh":             tableRule,
	"Celu":              tableRule,
	"Cos":               tableRule,
	"Cosh":              tableRule,
	"Shrink":            tableRule,
	"Sign":              tableRule,
	"Sin":               tableRule,
	"Sinh":              tableRule,
	"Swish":             tableRule,
	"Tan":               tableRule,
	"ThresholdedRelu":   tableRule,
	"Mish":              tableRule,
	"Gelu":              tableRule,
	"Pow":               tableRule,
	"MultiThreshold":    multiThresholdRule,

	"BatchNormalization": batchNormRule,
}

// RuleNames are the operators with a rule, sorted.
func RuleNames() []string {
	var s []string
	for name := range Rules {
		s = append(s, name)
	}
	slices.Sort(s)
	return s
}

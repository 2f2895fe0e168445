package op

// Table lists all operators, in alphabetical order.
var Table = []Def{
	{"Conv", "", []int{1, 11, 22}, 2, 3, "convolution, grouped, dilated, strided, padded", MAC, func() Op { return &Conv{Group: 1} }},
	{"Dequantize", "quern", nil, 1, 1, "the reals that a quantized value stands for", Boundary, func() Op { return &Dequantize{} }},
	{"Quantize", "quern", nil, 1, 1, "reals to integers, as the result's Quant says", Boundary, func() Op { return &Quantize{} }},
	{"Relu", "", []int{6, 13, 14}, 1, 1, "max(x, 0)", SameScale, func() Op { return &Relu{} }},
}

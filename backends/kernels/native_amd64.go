package kernels

import "golang.org/x/sys/cpu"

//go:generate go run ./gen

func has(l Level) bool {
	x := &cpu.X86
	switch l {
	case AVX2:
		return x.HasAVX2 && x.HasFMA
	case AVX512:
		return x.HasAVX2 && x.HasFMA && x.HasAVX512F && x.HasAVX512BW && x.HasAVX512DQ && x.HasAVX512VL && x.HasAVX512VNNI
	}
	return true
}

// dotKernel is the function for a tile of 1 or many pixels by one of dotBlocks. ints are of 1 byte or of 2, narrow weights of 1 in any case.
func dotKernel(l Level, bytes int, many, narrow bool, blocks int) kernel {
	switch {
	case l == AVX2 && many:
		return dots256[blocks-1]
	case narrow:
		return dots256Narrow[blocks-1]
	case l == AVX2:
		return dots256Single[blocks-1]
	}
	i := map[int]int{1: 0, 2: 1, 4: 2, 8: 3}[blocks]
	if many {
		i += 4
	}
	return dots512[bytes-1][i]
}

// dotRequantKernel is the function for a tile of many pixels by 1 or 2 blocks that ends in elements of the same type, or 0.
func dotRequantKernel(l Level, bytes, blocks int) kernel {
	switch {
	case l == AVX512 && bytes == 1:
		return [...]kernel{kDotRequant8x1U8AVX512, kDotRequant8x2U8AVX512}[blocks-1]
	case l == AVX2 && bytes == 2:
		return [...]kernel{kDotRequant4x1I16AVX2, kDotRequant4x2I16AVX2}[blocks-1]
	}
	return 0
}

var dots512 = [2][6]kernel{
	{kDot1x1U8AVX512, kDot1x2U8AVX512, kDot1x4U8AVX512, kDot1x8U8AVX512, kDot8x1U8AVX512, kDot8x2U8AVX512},
	{kDot1x1I16AVX512, kDot1x2I16AVX512, kDot1x4I16AVX512, kDot1x8I16AVX512, kDot8x1I16AVX512, kDot8x2I16AVX512},
}

var (
	dots256       = [2]kernel{kDot4x1I16AVX2, kDot4x2I16AVX2}
	dots256Single = [8]kernel{kDot1x1I16AVX2, kDot1x2I16AVX2, kDot1x3I16AVX2, kDot1x4I16AVX2, kDot1x5I16AVX2, kDot1x6I16AVX2, kDot1x7I16AVX2, kDot1x8I16AVX2}
	dots256Narrow = [8]kernel{kDot1x1NarrowAVX2, kDot1x2NarrowAVX2, kDot1x3NarrowAVX2, kDot1x4NarrowAVX2, kDot1x5NarrowAVX2, kDot1x6NarrowAVX2, kDot1x7NarrowAVX2, kDot1x8NarrowAVX2}
)

// wideDotKernel is the function for a tile of 1 pixel by 1, 2 or 4 blocks, or of many by 1 or 2.
func wideDotKernel(l Level, many bool, blocks int) kernel {
	i := map[int]int{1: 0, 2: 1, 4: 2}[blocks]
	if many {
		i += 3
	}
	if l == AVX2 {
		return wideDots256[i]
	}
	return wideDots512[i]
}

var (
	wideDots512 = [5]kernel{kWideDot1x1AVX512, kWideDot1x2AVX512, kWideDot1x4AVX512, kWideDot4x1AVX512, kWideDot4x2AVX512}
	wideDots256 = [5]kernel{kWideDot1x1AVX2, kWideDot1x2AVX2, kWideDot1x4AVX2, kWideDot2x1AVX2, kWideDot2x2AVX2}
)

// requantKernels are the functions for results of the given bytes, and with ties to even or without: for single pixels, and for
// pooling windows.
func requantKernels(l Level, bytes int, ties bool) (one, pool kernel) {
	r := &requants[0]
	switch {
	case l == AVX2:
		r = &requants[2]
	case bytes == 2:
		r = &requants[1]
	}
	if ties {
		return r[1], r[3]
	}
	return r[0], r[2]
}

var requants = [3][4]kernel{
	{kRequantU8AVX512, kRequantEvenU8AVX512, kRequantPoolU8AVX512, kRequantEvenPoolU8AVX512},
	{kRequantI16AVX512, kRequantEvenI16AVX512, kRequantPoolI16AVX512, kRequantEvenPoolI16AVX512},
	{kRequantI16AVX2, kRequantEvenI16AVX2, kRequantPoolI16AVX2, kRequantEvenPoolI16AVX2},
}

// pixelsOf are those of a level, or nil.
func pixelsOf(l Level) *pixelKernels {
	switch l {
	case AVX512:
		return &pixels512
	case AVX2:
		return &pixels256
	}
	return nil
}

var (
	pixels512 = pixelKernels{level: AVX512, lanes: 16, size: 1, rows: 2, most: 8, planes: kPlanesAVX512,
		sums: [3]kernel{kPixels2AVX512, kPixels4AVX512, kPixels6AVX512}, requant: kPixelRequantAVX512}
	pixels256 = pixelKernels{level: AVX2, lanes: 8, size: 2, rows: 1, most: 12, planes: kPlanesAVX2,
		sums: [3]kernel{kPixels2AVX2, kPixels4AVX2, kPixels6AVX2}, requant: kPixelRequantAVX2,
		points: &pointKernels{pairs: kPointPlanesAVX2, next: kNextPointPlanesAVX2, sums: [3]kernel{kPixelPoints2AVX2, kPixelPoints4AVX2, kPixelPoints6AVX2},
			tiles: kPointTilesAVX2, products: [2]productsForm{{kProducts4x2AVX2, 4, 2}, {kProducts5x2AVX2, 5, 2}}, pool: kPointPoolAVX2}}
)

// tableKernels look bytes up, and pairs of bytes. VBMI is no part of a level: without it other code is as exact.
func tableKernels(l Level) (one, pair kernel) {
	if l == AVX512 && cpu.X86.HasAVX512VBMI {
		return kTableVBMI, kPairTableVBMI
	}
	return 0, 0
}

// restKernel is for AVX-512.
const restKernel = kRestAVX512

// turnKernel transposes, for every level that has columns.
const turnKernel = kTurnAVX2

func columnsOf(l Level) *columnKernels {
	switch l {
	case AVX512:
		return &columns512
	case AVX2:
		return &columns256
	}
	return nil
}

var columns512 = columnKernels{
	lanes: 8,
	ops:   [numColumnOps]kernel{kAddColumnAVX512, kSubColumnAVX512, kMulColumnAVX512, kMaxColumnAVX512, kMinColumnAVX512},
	scale: kScaleColumnAVX512, from8: kFrom8ColumnAVX512, from16: kFrom16ColumnAVX512, from32: kFrom32ColumnAVX512,
	to8: kTo8ColumnAVX512, to16: kTo16ColumnAVX512, widen: kWidenAVX512, finish16: kFinish16AVX512, splitBlend: kSplitBlendAVX512, rescale8: kScale8AVX512, rescale16: kScale16AVX512, grid: kGridAVX512,
	nearest: [2]nearestKernels{{kNearest8AVX512, kNearestPool8AVX512}, {kNearest16AVX512, kNearestPool16AVX512}},
	blend: [2][2][2][2]kernel{
		{
			{{kBlend8x8to8AVX512, kSignBlend8x8to8AVX512}, {kBlend8x8to16AVX512, kSignBlend8x8to16AVX512}},
			{{kBlend8x16to8AVX512, kSignBlend8x16to8AVX512}, {kBlend8x16to16AVX512, kSignBlend8x16to16AVX512}},
		},
		{
			{{kBlend16x8to8AVX512, kSignBlend16x8to8AVX512}, {kBlend16x8to16AVX512, kSignBlend16x8to16AVX512}},
			{{kBlend16x16to8AVX512, kSignBlend16x16to8AVX512}, {kBlend16x16to16AVX512, kSignBlend16x16to16AVX512}},
		},
	},
	multiply: [2][2]kernel{{kMultiply8x8AVX512, kMultiply8x16AVX512}, {kMultiply16x8AVX512, kMultiply16x16AVX512}},
	line:     kLineAVX512, relu: kReluFloatsAVX512, clip: kClipFloatsAVX512, leaky: kLeakyFloatsAVX512, hardSwish: kHardSwishFloatsAVX512, hardSigmoid: kHardSigmoidFloatsAVX512, sigmoid: kSigmoidFloatsAVX512, swish: kSwishFloatsAVX512, tanh: kTanhFloatsAVX512, exp: kExpFloatsAVX512, elu: kEluFloatsAVX512,
	floatDeep: kFloatDeep8x1AVX512, addFloats: kAddFloatsAVX512, mulFloats: kMulFloatsAVX512,
	float8: kFloat8x1AVX512, float2: kFloat8x2AVX512, float4x2: kFloat4x2AVX512,
	float1:     [panelBlocks]kernel{kFloat1x1AVX512, kFloat1x2AVX512, kFloat1x3AVX512, kFloat1x4AVX512, kFloat1x5AVX512, kFloat1x6AVX512, kFloat1x7AVX512, kFloat1x8AVX512},
	winogradIn: kWinogradInputAVX512, winogradOut: kWinogradOutputAVX512, maxFloats: kMaxFloatsAVX512, meanFloats: kMeanFloatsAVX512, averageFloats: kAverageFloatsAVX512, maxPlanes: kMaxPlanesAVX512,
	planes: [2]floatPart{{kernel: kFloatPlanes4x6AVX512, tile: 6}, {kernel: kFloatPlanes6x4AVX512, tile: 4}},
	rows:   [2]kernel{kRows8AVX512, kRows16AVX512},
	winograd: winogradKernels{[2][2]kernel{{kAlongTiles8AVX512, kAlongTiles16AVX512}, {kTilesStride8AVX512, kTilesStride16AVX512}},
		[2][2]kernel{{kAlongTilesHalf8AVX512, kAlongTilesHalf16AVX512}, {kTilesStride8AVX2, kTilesStride16AVX2}}, true, [3]kernel{kUntilesAVX512, kUntilesStrideAVX512, kUntilesHalfAVX512},
		[3][2]kernel{{kRequantTiles8AVX512, kRequantTiles16AVX512}, {kRequantTilesStride8AVX512, kRequantTilesStride16AVX512}, {kRequantTilesHalf8AVX512, kRequantTilesHalf16AVX512}},
		[3][2]kernel{{kPoolTiles8AVX512, kPoolTiles16AVX512}, {kPoolTilesStride8AVX512, kPoolTilesStride16AVX512}, {kPoolTilesHalf8AVX512, kPoolTilesHalf16AVX512}}, [2]kernel{kSplitTilesAVX512, kSplitUntilesAVX512},
		[2][]productsForm{
			{{kProducts8x1AVX512, 8, 1}, {kProducts4x4AVX512, 4, 4}, {kProducts8x2AVX512, 8, 2}},
			{{kFarProducts8x1AVX512, 8, 1}, {kFarProducts4x4AVX512, 4, 4}, {kFarProducts8x2AVX512, 8, 2}},
		}, productsForm{kHalfProducts, 4, 1}, zen4, winogradPace{multiplications: 1, elements: [2]int{140, 450}, products: [3]int{120, 150, 90}, far: 16}},
	quantizeWeave: kQuantizeWeaveAVX512,
	quantize:      [2]kernel{kQuantize8AVX512, kQuantize16AVX512}, weave: kWeaveAVX2, reals: [2]kernel{kReals8AVX512, kReals16AVX512},
	bytes: poolKernels{kMax8AVX512, kDeep8AVX512, kDeepRequant8AVX512}, words: poolKernels{kMax16AVX512, kDeep16AVX512, kDeepRequant16AVX512},
}

// zen4 tells AMD's Zen 4, which multiplies one register of 512 bits in a cycle, from CPUs that multiply two: those that came with the 16-bit
// floats of AVX-512 have VNNI for AVX, too, but for Intel's rare Cooper Lake.
var zen4 = cpu.X86.HasAVX512BF16 && !cpu.X86.HasAVXVNNI

var columns256 = columnKernels{
	lanes: 4,
	ops:   [numColumnOps]kernel{kAddColumnAVX2, kSubColumnAVX2, kMulColumnAVX2, kMaxColumnAVX2, kMinColumnAVX2},
	scale: kScaleColumnAVX2, from8: kFrom8ColumnAVX2, from16: kFrom16ColumnAVX2, from32: kFrom32ColumnAVX2,
	to16: kTo16ColumnAVX2, widen: kWidenAVX2, finish16: kFinish16AVX2, rescale16: kScale16AVX2, grid: kGridAVX2, blend: [2][2][2][2]kernel{{}, {{}, {{}, {kBlend16x16to16AVX2, kSignBlend16x16to16AVX2}}}}, line: kLineAVX2, relu: kReluFloatsAVX2, clip: kClipFloatsAVX2, leaky: kLeakyFloatsAVX2, hardSwish: kHardSwishFloatsAVX2, hardSigmoid: kHardSigmoidFloatsAVX2, sigmoid: kSigmoidFloatsAVX2, swish: kSwishFloatsAVX2, tanh: kTanhFloatsAVX2, exp: kExpFloatsAVX2, elu: kEluFloatsAVX2,
	floatDeep: kFloatDeep8x1AVX2, addFloats: kAddFloatsAVX2, mulFloats: kMulFloatsAVX2,
	nearest:    [2]nearestKernels{{}, {kNearest16AVX2, kNearestPool16AVX2}},
	splitBlend: kSplitBlendAVX2, multiply: [2][2]kernel{{}, {0, kMultiply16x16AVX2}},
	float8: kFloat8x1AVX2, float2: kFloat6x2AVX2, float4x2: kFloat4x2AVX2,
	float1:     [panelBlocks]kernel{kFloat1x1AVX2, kFloat1x2AVX2, kFloat1x3AVX2, kFloat1x4AVX2, kFloat1x5AVX2, kFloat1x6AVX2, kFloat1x7AVX2, kFloat1x8AVX2},
	winogradIn: kWinogradInputAVX2, winogradOut: kWinogradOutputAVX2, maxFloats: kMaxFloatsAVX2, meanFloats: kMeanFloatsAVX2, averageFloats: kAverageFloatsAVX2, maxPlanes: kMaxPlanesAVX2,
	planes: [2]floatPart{{kernel: kFloatPlanes4x2AVX2, tile: 2}, {kernel: kFloatPlanes6x2AVX2, tile: 2}},
	words:  poolKernels{kMax16AVX2, kDeep16AVX2, kDeepRequant16AVX2},
	winograd: winogradKernels{[2][2]kernel{{0, kTiles16AVX2}, {0, kTilesStride16AVX2}}, [2][2]kernel{}, false, [3]kernel{kUntilesAVX2, kUntilesStrideAVX2},
		[3][2]kernel{{0, kRequantTiles16AVX2}, {0, kRequantTilesStride16AVX2}},
		[3][2]kernel{{0, kPoolTiles16AVX2}, {0, kPoolTilesStride16AVX2}}, [2]kernel{kSplitTilesAVX2, kSplitUntilesAVX2}, [2][]productsForm{{{kProducts4x2AVX2, 4, 2}}, {{kFarProducts4x2AVX2, 4, 2}}}, productsForm{}, false,
		winogradPace{multiplications: 2, elements: [2]int{100, 200}, products: [3]int{70, 50}, far: 6}},
	quantize: [2]kernel{kQuantize8AVX2, kQuantize16AVX2}, weave: kWeaveAVX2, reals: [2]kernel{0, kReals16AVX2},
}

package kernels

// Int is a storage type of a tensor of integers.
type Int interface {
	int8 | uint8 | int16 | uint16 | int32 | int64
}

// Acc is a type of accumulators.
type Acc interface{ int32 | int64 }

// Package onnxpb holds the Go bindings of the public onnx.proto, and small
// helpers that read and write model files and the data of tensors. It imports
// nothing else of quern.
//
// onnx.pb.go is generated from onnx.proto, which is that of ONNX 1.20.0 (its
// header says how it was had). To regenerate it after a change of onnx.proto,
// or with newer tools:
//
//	apt-get install protobuf-compiler
//	go install google.golang.org/protobuf/cmd/protoc-gen-go@latest
//	go generate ./frontend/onnx/onnxpb
//
// To move to a newer ONNX, put its onnx/onnx.proto (the proto2 file) in place
// of ours, keep its licence header, set
//
//	package quern.onnx;
//	option go_package = "quern/frontend/onnx/onnxpb";
//
// and regenerate. The numbers of fields and enum values never change upstream,
// so nothing else has to follow; a new data type has to be added to the table in
// tensor.go before [Decode] takes it.
//
// The package is quern.onnx, not onnx, because a Go program can register a
// protobuf name only once, and panics at its start if two packages want the same.
// github.com/owulveryck/onnx-go, which quern works with, has the onnx names (and
// so may the program that imports quern). For the same reason onnx.proto is
// compiled under its path from the root of the module. Model files hold field
// numbers and no names, so they do not change.
package onnxpb

//go:generate protoc -I../../.. --go_out=../../.. --go_opt=paths=source_relative frontend/onnx/onnxpb/onnx.proto

package data

import (
	"bufio"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strings"
)

// An IDX file is a big-endian magic number, a big-endian uint32 per dimension,
// then the values. The magic is 0, 0, the element type (8 is unsigned byte) and
// the number of dimensions.
const (
	idxLabels = 0x00000801 // [N]
	idxImages = 0x00000803 // [N, rows, cols]
)

// readIDXDataset reads an IDX file of images and, if there is one, the file of
// labels beside it.
func readIDXDataset(path string) (*Dataset, error) {
	dims, pixels, err := readIDXFile(path, idxImages)
	if err != nil {
		return nil, err
	}
	d := &Dataset{Shape: []int{1, dims[1], dims[2]}, U8: pixels}
	for _, beside := range labelFiles(path) {
		ldims, labels, err := readIDXFile(beside, idxLabels)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if ldims[0] != dims[0] {
			return nil, fmt.Errorf("%s: %d labels, but %s has %d images", beside, ldims[0], path, dims[0])
		}
		d.Labels = make([]int, len(labels))
		for i, l := range labels {
			d.Labels[i] = int(l)
		}
		break
	}
	return d, nil
}

// labelFiles lists where the labels of an images file may be, best first: the
// same name with other words, then the same with or without .gz, as one of the
// two is often unpacked alone. Nil if the name does not say "images".
func labelFiles(path string) []string {
	dir, name := filepath.Split(path)
	if !strings.Contains(name, "images") {
		return nil
	}
	name = strings.ReplaceAll(name, "images", "labels")
	beside := dir + strings.ReplaceAll(name, "idx3", "idx1")
	if plain, ok := strings.CutSuffix(beside, ".gz"); ok {
		return []string{beside, plain}
	}
	return []string{beside, beside + ".gz"}
}

// readIDXFile reads one IDX file, through gzip if its first bytes say so.
func readIDXFile(path string, magic uint32) (dims []int, values []byte, err error) {
	f, _, err := openRegular(path)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	br := bufio.NewReader(f)
	var r io.Reader = br
	if head, _ := br.Peek(2); string(head) == "\x1f\x8b" {
		zr, err := gzip.NewReader(br)
		if err != nil {
			return nil, nil, fmt.Errorf("%s: gzip header: %w", path, err)
		}
		defer zr.Close()
		r = zr
	}
	dims, values, err = readIDX(r, magic)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", path, err)
	}
	return dims, values, nil
}

// readIDX reads IDX data of bytes with the magic number wanted. No dimension of
// the result is zero, and values has their product.
func readIDX(r io.Reader, magic uint32) (dims []int, values []byte, err error) {
	var word [4]byte
	if n, err := io.ReadFull(r, word[:]); err != nil {
		return nil, nil, fmt.Errorf("IDX magic number: want 4 bytes, got %d: %w", n, err)
	}
	if got := binary.BigEndian.Uint32(word[:]); got != magic {
		return nil, nil, fmt.Errorf("IDX magic number 0x%08x, want 0x%08x (%s)%s", got, magic, idxName(magic), idxHint(got))
	}
	dims = make([]int, magic&0xff)
	for i := range dims {
		if _, err := io.ReadFull(r, word[:]); err != nil {
			return nil, nil, fmt.Errorf("IDX header is truncated at dimension %d of %d (offset %d): %w", i, len(dims), 4+4*i, err)
		}
		dims[i] = int(binary.BigEndian.Uint32(word[:]))
		if dims[i] == 0 {
			return nil, nil, fmt.Errorf("IDX dimension %d is zero (offset %d), want %s, at least one", i, 4+4*i, idxName(magic))
		}
	}
	want, err := elements(dims, 1)
	if err != nil {
		return nil, nil, fmt.Errorf("IDX header: %w", err)
	}
	values, err = readGrow(r, want)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, nil, fmt.Errorf("IDX data is truncated: dimensions %v need %d bytes at offset %d, there are %d: %w", dims, want, 4+4*len(dims), len(values), err)
	}
	if err == nil {
		err = expectEOF(r)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("IDX data, dimensions %v: %w", dims, err)
	}
	return dims, values, nil
}

func idxName(magic uint32) string {
	if magic == idxLabels {
		return "labels: bytes in 1 dimension"
	}
	return "images: bytes in 3 dimensions"
}

// idxHint explains the likely mistake: the file of the other kind.
func idxHint(got uint32) string {
	switch got {
	case idxLabels:
		return ": this is a file of labels, give the file of images"
	case idxImages:
		return ": this is a file of images"
	}
	return ""
}

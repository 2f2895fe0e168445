package data

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// A record of a CIFAR-10 binary batch is one label byte, 0 to 9, and the 32x32
// planes of red, green and blue, row by row: already CHW.
const (
	recordPixels = 3 * 32 * 32
	recordSize   = 1 + recordPixels
	cifarClasses = 10
)

// batches are the CIFAR-10 batch files of a folder.
type batches struct {
	dir   string
	test  string   // path, or ""
	train []string // paths in numeric order
}

func findBatches(dir string, entries []os.DirEntry) batches {
	b := batches{dir: dir}
	type numbered struct {
		n    int
		path string
	}
	var train []numbered
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		if e.Name() == "test_batch.bin" {
			b.test = path
		}
		num, ok := strings.CutPrefix(e.Name(), "data_batch_")
		num, ok2 := strings.CutSuffix(num, ".bin")
		if n, err := strconv.Atoi(num); ok && ok2 && err == nil {
			train = append(train, numbered{n, path})
		}
	}
	// Numeric, so that data_batch_10 does not come before data_batch_2.
	slices.SortStableFunc(train, func(a, b numbered) int { return cmp.Compare(a.n, b.n) })
	for _, t := range train {
		b.train = append(b.train, t.path)
	}
	return b
}

// isBatchName reports whether a file calls itself a CIFAR-10 batch: then a wrong
// size is worth a message about batches. The name is in lower case.
func isBatchName(name string) bool {
	ext := filepath.Ext(name)
	return (ext == "" || ext == ".bin") &&
		(strings.HasPrefix(name, "test_batch") || strings.HasPrefix(name, "data_batch"))
}

func (b batches) any() bool { return b.test != "" || len(b.train) > 0 }

// read reads the split: "test" or "" the test batch, "train" all the others.
func (b batches) read(split string) (*Dataset, error) {
	switch {
	case split == "train" && len(b.train) == 0:
		return nil, fmt.Errorf("%s: no data_batch_*.bin in the folder, which the train split is read from", b.dir)
	case split == "train":
		return readBatches(b.train)
	case b.test == "":
		return nil, fmt.Errorf("%s: no test_batch.bin in the folder; for data_batch_*.bin say %s:train", b.dir, b.dir)
	}
	return readBatches([]string{b.test})
}

// readBatches reads the files one after the other into one dataset. All sizes
// are checked before the first byte is read.
func readBatches(paths []string) (*Dataset, error) {
	total := 0
	for _, path := range paths {
		st, err := os.Stat(path)
		if err != nil {
			return nil, fileError(path, err)
		}
		n, err := countRecords(st.Size())
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		total += n
	}
	d := &Dataset{
		Shape:  []int{3, 32, 32},
		Labels: make([]int, 0, total),
		U8:     make([]uint8, 0, total*recordPixels),
	}
	for _, path := range paths {
		if err := appendFile(d, path); err != nil {
			return nil, err
		}
	}
	return d, nil
}

func appendFile(d *Dataset, path string) error {
	f, size, err := openRegular(path)
	if err != nil {
		return err
	}
	defer f.Close()
	n, err := countRecords(size)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	const part = 64 // records: they stay in the cache until their pixels are copied
	buf := make([]byte, min(n, part)*recordSize)
	for first := 0; first < n; first += part {
		buf := buf[:min(n-first, part)*recordSize]
		if _, err := io.ReadFull(f, buf); err != nil {
			return fileError(path, err)
		}
		if err := appendRecords(d, buf, first); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	return nil
}

// countRecords turns the size of a batch in bytes into its number of records.
func countRecords(size int64) (int, error) {
	if size == 0 {
		return 0, errors.New("the file is empty, want CIFAR-10 records of 3073 bytes")
	}
	if size > maxBytes {
		return 0, fmt.Errorf("size %d bytes is more than a CIFAR-10 batch can be (%d)", size, maxBytes)
	}
	n, over := size/recordSize, size%recordSize
	if over != 0 {
		return 0, fmt.Errorf("size %d is not a multiple of 3073 (a label byte and 3072 pixels): %d whole records and %d bytes over; truncated, or not the binary version of CIFAR-10", size, n, over)
	}
	return int(n), nil
}

// appendRecords appends whole records of a batch to d, first being the number of
// the first.
func appendRecords(d *Dataset, raw []byte, first int) error {
	for i := range len(raw) / recordSize {
		rec := raw[i*recordSize : (i+1)*recordSize]
		if rec[0] >= cifarClasses {
			return fmt.Errorf("record %d (offset %d): label %d, want 0 to 9", first+i, (first+i)*recordSize, rec[0])
		}
		d.Labels = append(d.Labels, int(rec[0]))
		d.U8 = append(d.U8, rec[1:]...)
	}
	return nil
}

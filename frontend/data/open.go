package data

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Options say how image folders are read; the other kinds ignore them.
type Options struct {
	Size [2]int // height, width to resize image folders to; zero: no resize
	Gray bool   // read images as one channel (Rec. 601 luma via color.GrayModel)
}

// maxSide is the largest height or width to resize to, in pixels.
const maxSide = 1 << 14

func (o Options) check() error {
	h, w := o.Size[0], o.Size[1]
	if h == 0 && w == 0 {
		return nil
	}
	if h <= 0 || w <= 0 || h > maxSide || w > maxSide {
		return fmt.Errorf("image size %dx%d: height and width must be from 1 to %d", h, w, maxSide)
	}
	return nil
}

// Open reads DATA as on the command line. The kind is detected from what is
// there, not only from the name:
//
//	DIR, DIR:test, DIR:train   CIFAR-10 binary batches; plain DIR is the test batch,
//	                           train is data_batch_*.bin in numeric order
//	test_batch.bin             one such batch; any .bin of whole CIFAR-10 records
//	FILE                       IDX images of bytes, gzip or not; labels from the file
//	                           beside it with "images" -> "labels", "idx3" -> "idx1"
//	FILE.npz                   arrays x and y, or x_test and y_test
//	FILE.npy                   one array, no labels
//	DIR                        folder of class folders of PNG and JPEG images
//
// The first axis of an array is N. Bytes stay bytes (U8); all other number types
// become float32. Labels are nil where the source has none: an IDX file without
// a labels file, an .npz without y, an .npy. Shapes are [3,32,32] for CIFAR-10,
// [1,rows,cols] for IDX, [3,H,W] ([1,H,W] with Options.Gray) for images.
//
// A path that exists is taken whole, even with a colon in it. There is one error
// for bad input; it names the file and what was expected, and wraps
// fs.ErrNotExist for a missing file.
func Open(path string, o Options) (*Dataset, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	base, split, err := cutSplit(path)
	if err != nil {
		return nil, err
	}
	st, err := os.Stat(base)
	if err != nil {
		return nil, fileError(base, err)
	}
	var d *Dataset
	if st.IsDir() {
		d, err = openDir(base, split, o)
	} else {
		d, err = openFile(base)
	}
	if err != nil {
		return nil, err
	}
	d.Name = path
	return d, nil
}

// cutSplit cuts ":test" or ":train" from the path of a folder.
func cutSplit(path string) (base, split string, err error) {
	_, err = os.Stat(path)
	if err == nil || !errors.Is(err, fs.ErrNotExist) {
		return path, "", nil
	}
	i := strings.LastIndexByte(path, ':')
	if i <= 0 {
		return "", "", fileError(path, err)
	}
	base, split = path[:i], path[i+1:]
	known := split == "test" || split == "train"
	st, err := os.Stat(base)
	switch {
	case err != nil && known:
		return "", "", fileError(base, err)
	case err != nil: // the colon may be part of a name
		return "", "", fileError(path, err)
	case !known:
		return "", "", fmt.Errorf("%s: unknown split %q, want test or train", base, split)
	case !st.IsDir():
		return "", "", fmt.Errorf("%s: a file has no split %q, only a folder of CIFAR-10 batches has", base, split)
	}
	return base, split, nil
}

func openDir(dir, split string, o Options) (*Dataset, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fileError(dir, err)
	}
	if len(entries) == 0 {
		return nil, fmt.Errorf("%s: the folder is empty, want %s or %s", dir, wantCIFAR, wantImages)
	}
	if b := findBatches(dir, entries); b.any() {
		return b.read(split)
	}
	if split != "" {
		return nil, fmt.Errorf("%s: split %q is for a folder of CIFAR-10 batches, but it has no test_batch.bin or data_batch_*.bin", dir, split)
	}
	classes, err := findClasses(dir, entries)
	if err != nil {
		return nil, err
	}
	if classes == nil {
		return nil, fmt.Errorf("%s: looked for %s and for %s, found neither%s", dir, wantCIFAR, wantImages, dirHint(dir, entries))
	}
	return readImages(classes, o)
}

const (
	wantCIFAR  = "CIFAR-10 binary batches (test_batch.bin, data_batch_*.bin)"
	wantImages = "class folders with PNG or JPEG images"
)

// dirHint guesses what a folder of neither kind is: the mistakes that look right
// to whoever makes them.
func dirHint(dir string, entries []os.DirEntry) string {
	for _, e := range entries {
		switch {
		case isImageName(e.Name()):
			return fmt.Sprintf(" (%s lies directly in it: images belong in a folder per class)", e.Name())
		case e.Name() == "test_batch" || strings.HasPrefix(e.Name(), "data_batch_"):
			return fmt.Sprintf(" (%s is the Python version of CIFAR-10: the binary version is wanted)", e.Name())
		case strings.Contains(e.Name(), "images") && strings.Contains(e.Name(), "idx3"):
			return fmt.Sprintf(" (it has IDX images: give the file, %s)", filepath.Join(dir, e.Name()))
		}
	}
	return ""
}

// openFile tells the kinds of file apart. Names of CIFAR batches go first, as
// their bytes may look like anything; then the extensions that say what they
// are; then the first bytes.
func openFile(path string) (*Dataset, error) {
	f, size, err := openRegular(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if size == 0 {
		return nil, fmt.Errorf("%s: the file is empty", path)
	}
	head := make([]byte, 6)
	n, err := f.ReadAt(head, 0)
	if err != nil && err != io.EOF {
		return nil, fileError(path, err)
	}
	head = head[:n]

	name := strings.ToLower(filepath.Base(path))
	has := func(magic string) bool { return bytes.HasPrefix(head, []byte(magic)) }
	switch {
	case isBatchName(name):
		return readBatches([]string{path})
	case strings.HasSuffix(name, ".npz"):
		return readNPZ(path, f, size)
	case strings.HasSuffix(name, ".npy") || has("\x93NUMPY"):
		return readNPYDataset(path, f)
	case has("\x1f\x8b") || strings.HasSuffix(name, ".gz"):
		return readIDXDataset(path)
	case has("\x00\x00\x08\x03") || has("\x00\x00\x08\x01"):
		return readIDXDataset(path)
	case has("PK\x03\x04"):
		return readNPZ(path, f, size)
	case strings.HasSuffix(name, ".bin") && size%recordSize == 0:
		return readBatches([]string{path})
	case has("\x00\x00\x08") || strings.Contains(name, "idx") || strings.HasSuffix(name, "ubyte"):
		return readIDXDataset(path) // for its message about the magic number
	}
	return nil, fmt.Errorf("%s: not a kind of data that is known: want a CIFAR-10 batch (.bin), IDX images, .npz, .npy, or a folder", path)
}

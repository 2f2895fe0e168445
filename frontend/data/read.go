package data

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
)

// maxBytes bounds what one array or dataset may take: 64 GiB, or what an int can
// count. It is far above any calibration set and keeps products of claimed
// dimensions away from overflow.
const maxBytes = math.MaxInt & (1<<36 - 1)

// firstRead is what readGrow takes before it has seen any data, in bytes.
const firstRead = 1 << 20

// readGrow reads exactly want bytes. Memory grows with what has arrived, so a
// header that claims more than the source holds costs at most twice what it
// holds. When the source ends early it returns what there was and
// io.ErrUnexpectedEOF.
func readGrow(r io.Reader, want int) ([]byte, error) {
	buf := make([]byte, min(want, firstRead))
	for got := 0; ; {
		n, err := io.ReadFull(r, buf[got:])
		got += n
		if err == io.EOF { // nothing at all of this part
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return buf[:got], err
		}
		if got == want {
			return buf, nil
		}
		grown := make([]byte, min(want, 2*got))
		copy(grown, buf)
		buf = grown
	}
}

// expectEOF reports bytes after the data. Reading to the end also makes gzip and
// zip verify their checksums.
func expectEOF(r io.Reader) error {
	var b [1]byte
	switch _, err := io.ReadFull(r, b[:]); err {
	case nil:
		return errors.New("more bytes follow the data than its header says")
	case io.EOF:
		return nil
	default:
		return err
	}
}

// elements returns the product of dims, refusing negative dimensions and
// products of more than maxBytes bytes at size bytes an element. A zero
// dimension does not excuse the others.
func elements(dims []int, size int) (int, error) {
	n, limit, zero := 1, maxBytes/size, false
	for _, d := range dims {
		switch {
		case d < 0:
			return 0, fmt.Errorf("shape %v has a negative dimension", dims)
		case d == 0:
			zero = true
		case d > limit/n:
			return 0, fmt.Errorf("shape %v is more than %d bytes", dims, maxBytes)
		default:
			n *= d
		}
	}
	if zero {
		return 0, nil
	}
	return n, nil
}

// fileError rewrites an error of package os so that the path comes first, as in
// all messages of this package; errors.Is still sees the cause.
func fileError(path string, err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		err = pe.Err
	}
	return fmt.Errorf("%s: %w", path, err)
}

// openRegular opens a file whose size means something: no pipe, no device.
func openRegular(path string) (*os.File, int64, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, 0, fileError(path, err)
	}
	st, err := f.Stat()
	if err == nil && !st.Mode().IsRegular() {
		err = errors.New("not a regular file")
	}
	if err != nil {
		f.Close()
		return nil, 0, fileError(path, err)
	}
	return f, st.Size(), nil
}

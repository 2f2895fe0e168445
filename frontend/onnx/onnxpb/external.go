package onnxpb

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// readExternal reads need bytes of a tensor that is kept in a file beside the model. Only files inside dir are opened: an
// [os.Root] stops paths and symbolic links that lead out, also when a link is changed meanwhile. A checksum entry is not
// checked: it is of the whole file, which may hold all tensors of a model.
func readExternal(entries []*StringStringEntryProto, dir string, need int) ([]byte, error) {
	ext, err := parseExternal(entries)
	if err != nil {
		return nil, err
	}
	if dir == "" {
		return nil, fmt.Errorf("its data is in the file %q, but no folder to read it from is given", ext.location)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("folder of the external data: %w", err)
	}
	defer root.Close()
	data, err := ext.read(root, need)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("external data: no such file as %q in the model's folder (%s)", ext.location, dir)
	}
	if err != nil && strings.HasSuffix(err.Error(), "path escapes from parent") { // os has no value for it
		return nil, fmt.Errorf("external data: %q escapes from the model's folder (%s) by a symbolic link; files outside are not read", ext.location, dir)
	}
	if err != nil {
		return nil, fmt.Errorf("external data %q in %s: %w", ext.location, dir, err)
	}
	return data, nil
}

// external says where the bytes of a tensor are: a path below the model's folder, and a range of the file. length is -1
// where it is not given: then the range goes to the end of the file.
type external struct {
	location       string
	offset, length int64
}

func parseExternal(entries []*StringStringEntryProto) (external, error) {
	e := external{length: -1}
	seen := map[string]bool{}
	for _, kv := range entries {
		key, val := kv.GetKey(), kv.GetValue()
		if seen[key] {
			return e, fmt.Errorf("external data: %q is given twice", key)
		}
		seen[key] = true
		var err error
		switch key {
		case "location":
			e.location = val
		case "offset":
			e.offset, err = parseSize(val)
		case "length":
			e.length, err = parseSize(val)
		}
		if err != nil {
			return e, fmt.Errorf("external data: %s %q is not a number of bytes", key, val)
		}
	}
	if e.location == "" {
		return e, errors.New("external data: no location is given")
	}
	if strings.HasPrefix(e.location, "/") || slices.Contains(strings.Split(e.location, "/"), "..") ||
		!filepath.IsLocal(filepath.FromSlash(e.location)) {
		return e, fmt.Errorf("external data: location %q is not a path below the model's own folder", e.location)
	}
	return e, nil
}

func parseSize(s string) (int64, error) {
	n, err := strconv.ParseUint(s, 10, 63)
	return int64(n), err
}

func (e external) read(root *os.Root, need int) ([]byte, error) {
	name := filepath.FromSlash(e.location)
	st, err := root.Stat(name) // before Open, which would wait on a named pipe
	if err != nil {
		return nil, err
	}
	if !st.Mode().IsRegular() {
		return nil, errors.New("not a regular file")
	}
	f, err := root.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if st, err = f.Stat(); err != nil {
		return nil, err
	}
	if e.offset > st.Size() {
		return nil, fmt.Errorf("offset %d is past the end of the file (%d bytes)", e.offset, st.Size())
	}
	length := e.length
	if rest := st.Size() - e.offset; length < 0 {
		length = rest
	} else if length > rest {
		return nil, fmt.Errorf("%d bytes at offset %d reach past the end of the file (%d bytes)", length, e.offset, st.Size())
	}
	if length != int64(need) {
		return nil, fmt.Errorf("%d bytes at offset %d, but type and dims take %d", length, e.offset, need)
	}
	b := make([]byte, need)
	if _, err := f.ReadAt(b, e.offset); err != nil {
		return nil, err
	}
	return b, nil
}

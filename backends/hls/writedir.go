package hls

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// WriteDir writes a project into a folder, which appears whole or not at all: the files are written beside it and renamed into place. A
// project of quern's that is there (it has a manifest) is replaced with all that is in it; any other folder that is not empty is an
// error, and is left alone.
func WriteDir(dir string, files []File) error {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	if real, err := filepath.EvalSymlinks(dir); err == nil {
		dir = real // replace the folder, not a link to it
	}
	exists, err := replaceable(dir)
	if err != nil {
		return err
	}
	parent := filepath.Dir(dir)
	if err := os.MkdirAll(parent, 0o777); err != nil {
		return err
	}
	tmp, err := os.MkdirTemp(parent, "."+filepath.Base(dir)+".*.part")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp) // of no effect once renamed
	for _, f := range files {
		if !filepath.IsLocal(f.Name) || f.Name == "." {
			return fmt.Errorf("file %q: want a name inside the project", f.Name)
		}
		if err := os.MkdirAll(filepath.Dir(filepath.Join(tmp, f.Name)), 0o777); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(tmp, f.Name), f.Data, 0o666); err != nil {
			return err
		}
	}
	if err := os.Chmod(tmp, 0o755); err != nil { // MkdirTemp's are private
		return err
	}
	if !exists {
		return os.Rename(tmp, dir)
	}
	old := tmp + ".old"
	if err := os.Rename(dir, old); err != nil {
		return err
	}
	if err := os.Rename(tmp, dir); err != nil {
		return errors.Join(err, os.Rename(old, dir))
	}
	return os.RemoveAll(old)
}

// replaceable reports whether a folder is there, and fails unless it is empty or quern's.
func replaceable(dir string) (exists bool, err error) {
	entries, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case err != nil:
		return false, err
	case len(entries) == 0:
		return true, nil
	}
	var m struct {
		Generator string `json:"generator"`
	}
	if data, err := os.ReadFile(filepath.Join(dir, "manifest.json")); err == nil && json.Unmarshal(data, &m) == nil && m.Generator == generator {
		return true, nil
	}
	return false, fmt.Errorf("%s is not empty and was not made by quern (no manifest.json of ours): choose another folder", dir)
}

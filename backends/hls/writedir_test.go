package hls

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// names lists a folder.
func list(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var s []string
	for _, e := range entries {
		s = append(s, e.Name())
	}
	return strings.Join(s, " ")
}

func TestWriteDir(t *testing.T) {
	ours := File{"manifest.json", []byte(`{"generator": "quern"}`)}
	root := t.TempDir()
	dir := filepath.Join(root, "a", "out")
	if err := WriteDir(dir+"/", []File{{"one.c", []byte("1")}, ours}); err != nil {
		t.Fatal(err)
	}
	if got := list(t, dir); got != "manifest.json one.c" {
		t.Errorf("new folder: %s", got)
	}
	if err := WriteDir(dir, []File{{"two.c", []byte("2")}, ours}); err != nil {
		t.Fatal(err)
	}
	if got := list(t, dir); got != "manifest.json two.c" {
		t.Errorf("replaced folder: %s", got)
	}
	// What fails leaves the old project.
	if err := WriteDir(dir, []File{ours, {"../three.c", nil}}); err == nil {
		t.Error("a file outside the folder was accepted")
	}
	if got := list(t, dir); got != "manifest.json two.c" {
		t.Errorf("after a failure: %s", got)
	}
	if err := WriteDir(dir, []File{{"two.c", []byte("2")}, {"sub/three.h", nil}, ours}); err != nil || list(t, filepath.Join(dir, "sub")) != "three.h" {
		t.Errorf("a file in a folder: %v", err)
	}
	if err := WriteDir(dir, []File{{"two.c", []byte("2")}, ours}); err != nil || list(t, dir) != "manifest.json two.c" {
		t.Errorf("the folder in it stays: %v", err)
	}
	empty := filepath.Join(root, "empty")
	if err := os.Mkdir(empty, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := WriteDir(empty, []File{ours}); err != nil || list(t, empty) != "manifest.json" {
		t.Errorf("empty folder: %v", err)
	}
	link := filepath.Join(root, "link")
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	if err := WriteDir(link, []File{{"four.c", nil}, ours}); err != nil || list(t, dir) != "four.c manifest.json" {
		t.Errorf("through a link: %v, %s", err, list(t, dir))
	}
	if st, err := os.Stat(dir); err != nil || st.Mode().Perm()&0o055 != 0o055 {
		t.Errorf("mode %v: want readable by all", st.Mode())
	}
	for name, manifest := range map[string]string{"foreign": `{"generator": "hls4ml"}`, "broken": `"generator": "quern"`} {
		d := filepath.Join(root, name)
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(d, "manifest.json"), []byte(manifest), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := WriteDir(d, []File{ours}); err == nil || !strings.Contains(err.Error(), "not made by quern") {
			t.Errorf("%s: %v", name, err)
		}
		if got, _ := os.ReadFile(filepath.Join(d, "manifest.json")); string(got) != manifest {
			t.Errorf("%s: was changed", name)
		}
	}
	file := filepath.Join(root, "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := WriteDir(file, []File{ours}); err == nil {
		t.Error("a file was replaced by a folder")
	}
	for _, d := range []string{root, filepath.Join(root, "a")} {
		if got := list(t, d); strings.Contains(got, ".part") {
			t.Errorf("left behind: %s", got)
		}
	}
}

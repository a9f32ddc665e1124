//go:build linux

package main

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestImageName wants the image that is made to be the one that the manifest runs.
func TestImageName(t *testing.T) {
	manifest, err := os.ReadFile("../../deploy/plumb.yaml")
	if err != nil || !strings.Contains(string(manifest), `image: "`+defaultImage+`"`) {
		t.Errorf("deploy/plumb.yaml does not run %s (%v)", defaultImage, err)
	}
}

func TestImageRefuses(t *testing.T) {
	out := filepath.Join(t.TempDir(), "image.tar")
	for _, args := range [][]string{nil, {"-o", out, "more"}} {
		if err := makeImage(args); !errors.Is(err, flag.ErrHelp) {
			t.Errorf("%q: %v", args, err)
		}
	}
	if err := makeImage([]string{"-o", out, "--plumbd", "/does/not/exist"}); err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Error(err)
	}
	t.Setenv("SOURCE_DATE_EPOCH", "yesterday")
	if err := makeImage([]string{"-o", out}); err == nil || !strings.Contains(err.Error(), "SOURCE_DATE_EPOCH") {
		t.Error(err)
	}
	if _, err := os.Stat(out); err == nil {
		t.Error("an image was written")
	}
}

package main

import (
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
)

// version is set at build time: -ldflags "-X main.version=v0.1.0".
var version = ""

func versionVerb(args []string, stdout, stderr io.Writer) int {
	fs := newFlags("version", "", stderr)
	if _, status, ok := parse(fs, args, 0, stderr); !ok {
		return status
	}
	v := version
	if info, ok := debug.ReadBuildInfo(); ok && v == "" {
		v = info.Main.Version
	}
	fmt.Fprintf(stdout, "plumb %s (%s %s/%s)\n", v, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return statusFine
}

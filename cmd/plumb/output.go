package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/plumbnet/plumb/check"
	"github.com/plumbnet/plumb/diagnose"
	"github.com/plumbnet/plumb/report"
	"github.com/plumbnet/plumb/snapshot"
	"github.com/spf13/pflag"
)

// An output says in which form and where to write a report.
type output struct {
	form       string // json, yaml, wide or text; "" is text
	json       bool   // the same as form "json"
	html, http string
	lang       string
	verbose    bool
}

// flags declares the flags that all reports share.
func (o *output) flags(fs *pflag.FlagSet) {
	fs.StringVarP(&o.form, "output", "o", "", "the `form` of the report: text; wide, with every step; json or yaml (schema: report/schema.md)")
	fs.BoolVar(&o.json, "json", false, "the same as -o json")
	fs.StringVar(&o.html, "html", "", "write one self-contained page to this `file`, beside the text")
	fs.StringVar(&o.lang, "lang", "en", "en or zh")
	fs.BoolVarP(&o.verbose, "verbose", "v", false, "the same as -o wide: show every step and all that could not be judged")
}

// forms are what -o takes.
var forms = []string{"text", "wide", "json", "yaml"}

// check refuses flags that contradict each other, and settles the form.
func (o *output) check() error {
	flag := "-o " + o.form
	switch {
	case o.form != "" && !slices.Contains(forms, o.form):
		return fmt.Errorf("-o %q: want %s", o.form, strings.Join(forms, ", "))
	case o.json && o.form != "" && o.form != "json":
		return fmt.Errorf("--json and -o %s: choose one", o.form)
	case o.json:
		o.form, flag = "json", "--json"
	case o.form == "wide":
		o.verbose = true
	}
	if o.machine() && o.http != "" {
		return fmt.Errorf("%s and --http: choose one", flag)
	}
	return checkLang(o.lang)
}

// machine reports whether the form is one for programs.
func (o *output) machine() bool { return o.form == "json" || o.form == "yaml" }

// encode writes what write writes as JSON, in the form that was asked for.
func (o *output) encode(w io.Writer, write func(io.Writer) error) error {
	if o.form == "json" {
		return write(w)
	}
	var b bytes.Buffer
	if err := write(&b); err != nil {
		return err
	}
	return writeYAML(w, b.Bytes())
}

func checkLang(lang string) error {
	if lang != "en" && lang != "zh" {
		return fmt.Errorf("--lang %q: want en or zh", lang)
	}
	return nil
}

// write writes a diagnosis in the forms that were asked for.
func (o *output) write(stdout, stderr io.Writer, r *diagnose.Report) error {
	opts := options(stdout, o.lang)
	opts.Verbose = o.verbose
	if err := o.page(stderr, func(w io.Writer) error { return report.HTML(w, r, opts) }); err != nil {
		return err
	}
	if o.machine() {
		return o.encode(stdout, func(w io.Writer) error { return report.JSON(w, r, opts) })
	}
	if err := report.Text(stdout, r, opts); err != nil {
		return err
	}
	if o.http == "" {
		return nil
	}
	var page bytes.Buffer
	if err := report.HTML(&page, r, opts); err != nil {
		return err
	}
	return serve(o.http, page.Bytes(), stderr)
}

// writeCheck writes what the checks found.
func (o *output) writeCheck(stdout, stderr io.Writer, r check.Result, gaps []snapshot.Gap) error {
	opts := options(stdout, o.lang)
	opts.Verbose = o.verbose
	if err := o.page(stderr, func(w io.Writer) error { return report.CheckHTML(w, r, gaps, opts) }); err != nil {
		return err
	}
	if o.machine() {
		return o.encode(stdout, func(w io.Writer) error { return report.CheckJSON(w, r, gaps, opts) })
	}
	return report.CheckText(stdout, r, gaps, opts)
}

// page writes the page to the file that --html names, if it does.
func (o *output) page(stderr io.Writer, write func(io.Writer) error) error {
	if o.html == "" {
		return nil
	}
	var b bytes.Buffer
	if err := write(&b); err != nil {
		return err
	}
	// The report tells addresses and names of the cluster: only its owner reads it.
	if err := os.WriteFile(o.html, b.Bytes(), 0o600); err != nil {
		return fmt.Errorf("--html: %w", err)
	}
	fmt.Fprintf(stderr, "plumb: wrote %s\n", o.html)
	return nil
}

// serve shows page to whoever knows the address that it prints, until interrupted.
// The address holds a secret, since the page tells the cluster's names and addresses.
func serve(addr string, page []byte, stderr io.Writer) error {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return fmt.Errorf("--http: %w", err)
	}
	path := "/" + rand.Text()
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+path, func(w http.ResponseWriter, _ *http.Request) {
		h := w.Header()
		h.Set("Content-Type", "text/html; charset=utf-8")
		h.Set("Cache-Control", "no-store")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("X-Content-Type-Options", "nosniff")
		w.Write(page)
	})
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	s := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	context.AfterFunc(ctx, func() { s.Close() })
	fmt.Fprintf(stderr, "plumb: the report is at http://%s%s until you press ^C\n", l.Addr(), path)
	if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("--http: %w", err)
	}
	return nil
}

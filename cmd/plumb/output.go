package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/plumbnet/plumb/check"
	"github.com/plumbnet/plumb/diagnose"
	"github.com/plumbnet/plumb/report"
	"github.com/plumbnet/plumb/snapshot"
)

// An output says in which form and where to write a report.
type output struct {
	json       bool
	html, http string
	lang       string
	verbose    bool
}

// flags declares the flags that all reports share.
func (o *output) flags(fs *flag.FlagSet) {
	fs.BoolVar(&o.json, "json", false, "write JSON (schema: report/schema.md)")
	fs.StringVar(&o.html, "html", "", "write one self-contained page to this `file`, beside the text")
	fs.StringVar(&o.lang, "lang", "en", "en or zh")
	fs.BoolVar(&o.verbose, "v", false, "show every step and all that could not be judged")
}

// check refuses flags that contradict each other.
func (o *output) check() error {
	if o.json && o.http != "" {
		return errors.New("--json and --http: choose one")
	}
	return checkLang(o.lang)
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
	if o.json {
		return report.JSON(stdout, r, opts)
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
	if o.json {
		return report.CheckJSON(stdout, r, gaps, opts)
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

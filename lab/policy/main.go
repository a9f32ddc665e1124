//go:build linux

package policy

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Verb is that by which plumb-lab runs an enforcer on a machine, and Args what follows it.
const Verb = "policyd"

// Args returns the arguments of [Main] for a node's enforcer: the API server, and the
// files of its authority and of the enforcer's own certificate and key.
func Args(e Enforcer, server, ca, cert, key string) []string {
	args := []string{"--node", e.Node, "--server", server, "--ca", ca, "--cert", cert, "--key", key}
	if e.Own != nil {
		args = append(args, "--own", strings.Join(e.Own, ","))
	}
	return args
}

// Main runs an enforcer in this process's network namespace until it is told to end.
func Main(args []string) error {
	a, err := parse(args)
	if err != nil {
		return err
	}
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, unix.SIGTERM)
	defer cancel()
	a.Log = os.Stderr
	a.NFT = nft
	return a.Run(ctx)
}

// parse returns the agent that arguments ask for.
func parse(args []string) (*Agent, error) {
	a := new(Agent)
	var ca, cert, key string
	f := flag.NewFlagSet(Verb, flag.ContinueOnError)
	f.SetOutput(io.Discard)
	f.StringVar(&a.Node, "node", "", "")
	f.StringVar(&a.Server, "server", "", "")
	f.StringVar(&ca, "ca", "", "")
	f.StringVar(&cert, "cert", "", "")
	f.StringVar(&key, "key", "", "")
	f.Func("own", "", func(s string) error {
		a.Own = strings.Split(s, ",")
		return nil
	})
	if err := f.Parse(args); err != nil {
		return nil, fmt.Errorf("%s: %w", Verb, err)
	}
	if a.Node == "" || a.Server == "" || f.NArg() > 0 {
		return nil, fmt.Errorf("%s: want --node and --server, and nothing that is no flag", Verb)
	}
	var err error
	a.Client, err = client(ca, cert, key)
	return a, err
}

// client returns one that trusts an authority and shows a certificate. It has no timeout: it watches.
func client(ca, cert, key string) (*http.Client, error) {
	pem, err := os.ReadFile(ca)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, errors.New(ca + ": no certificate")
	}
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		return nil, err
	}
	return &http.Client{Transport: &http.Transport{
		TLSClientConfig:       &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{pair}},
		TLSHandshakeTimeout:   10 * time.Second,
		ResponseHeaderTimeout: 10 * time.Second,
		IdleConnTimeout:       time.Minute,
	}}, nil
}

// nft runs nft in this network namespace.
func nft(stdin string, args ...string) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "nft", args...)
	cmd.Stdin = strings.NewReader(stdin)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("nft %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return nil
}

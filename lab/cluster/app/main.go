// Command app is what runs in the Pods of the lab's cluster: a web server that
// says which address it saw, a client for it, an Ingress controller, and the process that holds a Pod's namespaces.
package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const usage = `usage: app serve ADDR... | ingress ADDR CLASS | get URL [HOST] | lookup NAME | pause
`

// patience is how long a client waits.
const patience = 4 * time.Second

func main() {
	verbs := map[string]func(args []string) error{"serve": serve, "ingress": ingress, "get": get, "lookup": lookup, "pause": pause}
	if len(os.Args) < 2 || verbs[os.Args[1]] == nil {
		fmt.Fprint(os.Stderr, usage)
		os.Exit(2)
	}
	if err := verbs[os.Args[1]](os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, "app:", err)
		os.Exit(1)
	}
}

// serve answers on each address. "/" says who saw whom; "/bytes?n=N" sends N bytes.
func serve(addrs []string) error {
	host, err := os.Hostname()
	if err != nil {
		return err
	}
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		at, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
		fmt.Fprintf(w, "%s at %v saw %s\n", host, at, r.RemoteAddr)
	})
	http.HandleFunc("/bytes", func(w http.ResponseWriter, r *http.Request) {
		n, err := strconv.Atoi(r.FormValue("n"))
		if err != nil || n < 0 {
			http.Error(w, "want /bytes?n=NUMBER", http.StatusBadRequest)
			return
		}
		io.CopyN(w, zeros{}, int64(n))
	})
	failed := make(chan error, len(addrs))
	for _, a := range addrs {
		go func() { failed <- http.ListenAndServe(a, nil) }()
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, os.Interrupt)
	select {
	case err := <-failed:
		return err
	case <-stop:
		return nil
	}
}

// zeros is an endless file of the digit 0.
type zeros struct{}

func (zeros) Read(b []byte) (int, error) {
	return copy(b, strings.Repeat("0", len(b))), nil
}

// get asks once, by the name of a host where one is given, and prints the answer, or of a long one its length.
func get(args []string) error {
	if len(args) < 1 || len(args) > 2 {
		return fmt.Errorf("get: want a URL")
	}
	q, err := http.NewRequest(http.MethodGet, args[0], nil)
	if err != nil {
		return err
	}
	if len(args) == 2 {
		q.Host = args[1]
	}
	c := http.Client{Timeout: patience}
	r, err := c.Do(q)
	if err != nil {
		return err
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		return fmt.Errorf("after %d bytes: %w", len(b), err)
	}
	if r.StatusCode >= http.StatusBadRequest {
		return fmt.Errorf("%s: %s", r.Status, strings.TrimSpace(string(b[:min(1000, len(b))])))
	}
	if len(b) > 1000 {
		b = fmt.Appendf(nil, "%d bytes\n", len(b))
	}
	fmt.Printf("%d %s", r.StatusCode, b)
	return nil
}

// lookup asks the cluster's DNS for the addresses of a name.
func lookup(args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("lookup: want a name")
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	addrs, err := net.DefaultResolver.LookupHost(ctx, args[0])
	if err != nil {
		return err
	}
	fmt.Println(strings.Join(addrs, " "))
	return nil
}

// pause holds the namespaces of a Pod until it is told to end. As process 1 it reaps.
func pause([]string) error {
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, os.Interrupt)
	child := make(chan os.Signal, 1)
	signal.Notify(child, syscall.SIGCHLD)
	for {
		select {
		case <-stop:
			return nil
		case <-child:
			for {
				if pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil); pid <= 0 || err != nil {
					break
				}
			}
		}
	}
}

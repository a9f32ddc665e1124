// Command netpol asks netpol-analyzer, of np-guard, which pairs of the Pods of a file of objects
// may talk, and says what that took. It is a module of its own: netpol-analyzer is written for a
// version of the network policy API's types that plumb's module cannot have beside its own.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"os"
	"strconv"
	"time"

	"github.com/np-guard/netpol-analyzer/pkg/logger"
	"github.com/np-guard/netpol-analyzer/pkg/netpol/eval"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// An Answer is what is printed, as JSON.
type Answer struct {
	Load, Ask time.Duration // to take the decoded objects, and for all pairs that were asked about
	Allowed   []byte        // of each of these, 1 where it is
}

// netpol FILE PROTO PORT STEP asks about every STEP-th pair: the k-th of n Pods is from Pod k/n to
// Pod k%n, in the file's order. The file has a document of JSON a line, between lines of "---".
func main() {
	log.SetFlags(0)
	if len(os.Args) != 5 {
		log.Fatal("usage: netpol FILE PROTO PORT STEP")
	}
	step, err := strconv.Atoi(os.Args[4])
	if err != nil || step < 1 {
		log.Fatalf("STEP %q: want a number from 1", os.Args[4])
	}
	objects, pods, err := read(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	a, err := ask(objects, pods, os.Args[2], os.Args[3], step)
	if err != nil {
		log.Fatal(err)
	}
	if err := json.NewEncoder(os.Stdout).Encode(a); err != nil {
		log.Fatal(err)
	}
}

// read reads the objects of a file, and the names of its Pods.
func read(file string) (out []runtime.Object, pods []string, err error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, nil, err
	}
	for r := bufio.NewReader(bytes.NewReader(data)); ; {
		line, err := r.ReadBytes('\n')
		if err == io.EOF {
			return out, pods, nil
		}
		if line[0] == '-' {
			continue
		}
		var head struct{ Kind string }
		if err := json.Unmarshal(line, &head); err != nil {
			return nil, nil, fmt.Errorf("%s: %w", file, err)
		}
		var o runtime.Object
		switch head.Kind {
		case "Pod":
			o = &corev1.Pod{}
		case "Namespace":
			o = &corev1.Namespace{}
		case "NetworkPolicy":
			o = &networkingv1.NetworkPolicy{}
		default:
			continue
		}
		if err := json.Unmarshal(line, o); err != nil {
			return nil, nil, fmt.Errorf("%s: %w", file, err)
		}
		if p, ok := o.(*corev1.Pod); ok {
			pods = append(pods, p.Namespace+"/"+p.Name)
		}
		out = append(out, o)
	}
}

func ask(objects []runtime.Object, pods []string, proto, port string, step int) (a Answer, err error) {
	start := time.Now()
	engine, err := eval.NewPolicyEngineWithOptionsList(eval.WithLogger(logger.NewDefaultLoggerWithVerbosity(logger.LowVerbosity)))
	if err != nil {
		return a, err
	}
	for _, o := range objects {
		if err := engine.InsertObject(o); err != nil {
			return a, err
		}
	}
	a.Load = time.Since(start)
	n := len(pods)
	a.Allowed = make([]byte, 0, n*n/step+1)
	start = time.Now()
	for k := 0; k < n*n; k += step {
		ok, err := engine.CheckIfAllowed(pods[k/n], pods[k%n], proto, port)
		if err != nil {
			return a, fmt.Errorf("%s > %s: %w", pods[k/n], pods[k%n], err)
		}
		var b byte
		if ok {
			b = 1
		}
		a.Allowed = append(a.Allowed, b)
	}
	a.Ask = time.Since(start)
	return a, nil
}

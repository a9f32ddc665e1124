package main

import (
	"bufio"
	"io"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestHTTP serves a report, and wants it shown to those only who know its address.
func TestHTTP(t *testing.T) {
	cmd := exec.Command("plumb", "diagnose", "-s", "shop/web-0", "-d", "shop/web-1:8080", "--http", "127.0.0.1:0", "--snapshot", "../../check/mtu/testdata/mtu-mismatch.txtar")
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Process.Kill()
	said, err := bufio.NewReader(stderr).ReadString('\n')
	m := regexp.MustCompile(`http://(127\.0\.0\.1:\d+)/([A-Z0-9]{20,}) until`).FindStringSubmatch(said)
	if m == nil {
		t.Fatalf("plumb says %q, %v", said, err)
	}
	client := &http.Client{Timeout: 10 * time.Second}
	for _, tt := range []struct {
		name, method, path string
		status             int
	}{
		{"the report", "GET", "/" + m[2], 200},
		{"without the secret", "GET", "/", 404},
		{"with a part of it", "GET", "/" + m[2][:19], 404},
		{"below it", "GET", "/" + m[2] + "/x", 404},
		{"to write", "POST", "/" + m[2], 405},
	} {
		t.Run(tt.name, func(t *testing.T) {
			req, err := http.NewRequest(tt.method, "http://"+m[1]+tt.path, nil)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := client.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			body, err := io.ReadAll(resp.Body)
			if err != nil || resp.StatusCode != tt.status {
				t.Errorf("status %d, %v; want %d", resp.StatusCode, err, tt.status)
			}
			if shown := strings.Contains(string(body), "mtu-mismatch"); shown != (tt.status == 200) {
				t.Errorf("the report is shown: %v\n%.200s", shown, body)
			}
			if tt.status == 200 && (resp.Header.Get("Cache-Control") != "no-store" || resp.Header.Get("Referrer-Policy") != "no-referrer") {
				t.Errorf("headers: %v", resp.Header)
			}
		})
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	select {
	case <-done:
		if got := cmd.ProcessState.Sys().(syscall.WaitStatus).ExitStatus(); got != statusWrong {
			t.Errorf("ended with status %d, want that of the verdict", got)
		}
	case <-time.After(10 * time.Second):
		t.Error("plumb goes on after ^C")
	}
}

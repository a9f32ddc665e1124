package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// ingress is as much of an Ingress controller as the lab needs: for each request it asks the API server for the
// Ingresses of its class and the endpoints of the Service that one's host names, and connects to the
// first. It answers as controllers do: 404 without a rule, 503 without an endpoint, 502 where that
// refuses, 504 where it is silent. Paths, TLS and named ports are not looked at.
func ingress(args []string) error {
	if len(args) != 2 {
		return errors.New("ingress: want ADDR CLASS")
	}
	api, err := inCluster()
	if err != nil {
		return err
	}
	return http.ListenAndServe(args[0], http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		to, status := api.backend(args[1], r.Host)
		if status != http.StatusOK {
			http.Error(w, to, status)
			return
		}
		proxy := httputil.ReverseProxy{
			Rewrite:   func(p *httputil.ProxyRequest) { p.Out.URL.Scheme, p.Out.URL.Host = "http", to },
			Transport: &http.Transport{DialContext: (&net.Dialer{Timeout: patience / 2}).DialContext, DisableKeepAlives: true},
			ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
				status := http.StatusGatewayTimeout
				if errors.Is(err, syscall.ECONNREFUSED) {
					status = http.StatusBadGateway
				}
				http.Error(w, err.Error(), status)
			},
		}
		proxy.ServeHTTP(w, r)
	}))
}

// The parts of objects that it reads.
type (
	ingressList struct {
		Items []struct {
			Metadata struct{ Namespace string }
			Spec     struct {
				IngressClassName string
				Rules            []struct {
					Host string
					HTTP struct {
						Paths []struct {
							Backend struct {
								Service struct {
									Name string
									Port struct{ Number int }
								}
							}
						}
					}
				}
			}
		}
	}
	serviceObject struct {
		Spec struct {
			Ports []struct {
				Name string
				Port int
			}
		}
	}
	sliceList struct {
		Items []struct {
			Ports []struct {
				Name string
				Port int
			}
			Endpoints []struct {
				Addresses  []string
				Conditions struct{ Ready bool }
			}
		}
	}
)

// apiServer is where the objects are, and who asks.
type apiServer struct {
	base, token string
	client      http.Client
}

// inCluster returns the API server as Pods find it.
func inCluster() (*apiServer, error) {
	const dir = "/var/run/secrets/kubernetes.io/serviceaccount"
	token, err := os.ReadFile(filepath.Join(dir, "token"))
	if err != nil {
		return nil, err
	}
	ca, err := os.ReadFile(filepath.Join(dir, "ca.crt"))
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	return &apiServer{
		base: "https://" + net.JoinHostPort(os.Getenv("KUBERNETES_SERVICE_HOST"), os.Getenv("KUBERNETES_SERVICE_PORT")), token: string(token),
		client: http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}},
	}, nil
}

func (a *apiServer) get(path string, out any) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, a.base+path, nil)
	if err != nil {
		return err
	}
	r.Header.Set("Authorization", "Bearer "+a.token)
	answer, err := a.client.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", path, answer.Status)
	}
	return json.NewDecoder(answer.Body).Decode(out)
}

// backend returns the address to connect to for a host, or another status and why.
func (a *apiServer) backend(class, host string) (to string, status int) {
	var all ingressList
	if err := a.get("/apis/networking.k8s.io/v1/ingresses", &all); err != nil {
		return err.Error(), http.StatusInternalServerError
	}
	for _, in := range all.Items {
		if in.Spec.IngressClassName != class {
			continue
		}
		for _, rule := range in.Spec.Rules {
			if rule.Host == host && len(rule.HTTP.Paths) > 0 {
				s := rule.HTTP.Paths[0].Backend.Service
				return a.endpoint(in.Metadata.Namespace, s.Name, s.Port.Number)
			}
		}
	}
	return "no rule for " + host, http.StatusNotFound
}

// endpoint returns a ready endpoint of a Service's port.
func (a *apiServer) endpoint(namespace, name string, port int) (to string, status int) {
	var s serviceObject
	if err := a.get("/api/v1/namespaces/"+namespace+"/services/"+name, &s); err != nil {
		return err.Error(), http.StatusServiceUnavailable
	}
	var slices sliceList
	if err := a.get("/apis/discovery.k8s.io/v1/namespaces/"+namespace+"/endpointslices?labelSelector=kubernetes.io/service-name="+name, &slices); err != nil {
		return err.Error(), http.StatusServiceUnavailable
	}
	for _, p := range s.Spec.Ports {
		for _, slice := range slices.Items {
			for _, sp := range slice.Ports {
				for _, e := range slice.Endpoints {
					if p.Port == port && sp.Name == p.Name && e.Conditions.Ready {
						return fmt.Sprintf("%s:%d", e.Addresses[0], sp.Port), http.StatusOK
					}
				}
			}
		}
	}
	return fmt.Sprintf("no endpoint of %s/%s port %d", namespace, name, port), http.StatusServiceUnavailable
}

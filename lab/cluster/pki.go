//go:build linux

package cluster

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// A keyPair is a certificate and its key, as PEM.
type keyPair struct{ cert, key []byte }

// An authority signs the certificates of one cluster. Its key is never written down.
type authority struct {
	keyPair
	x509 *x509.Certificate
	sign *ecdsa.PrivateKey
	n    int64
}

// life is how long certificates hold: longer than any cluster of the lab.
const life = 30 * 24 * time.Hour

func newAuthority() (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "plumb-lab"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(life),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return &authority{keyPair: keyPair{cert: encode("CERTIFICATE", der)}, x509: cert, sign: key, n: 1}, nil
}

// issue makes a certificate for a user of Kubernetes, or a server with names and addresses.
func (a *authority) issue(user, group string, names ...string) (keyPair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return keyPair{}, err
	}
	a.n++
	template := &x509.Certificate{
		SerialNumber: big.NewInt(a.n), Subject: pkix.Name{CommonName: user},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(life),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
	}
	if group != "" {
		template.Subject.Organization = []string{group}
	}
	for _, n := range names {
		if ip := net.ParseIP(n); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, n)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.x509, key.Public(), a.sign)
	if err != nil {
		return keyPair{}, err
	}
	text, err := encodeKey(key)
	return keyPair{encode("CERTIFICATE", der), text}, err
}

func encode(typ string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: typ, Bytes: der})
}

func encodeKey(key *ecdsa.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalECPrivateKey(key)
	return encode("EC PRIVATE KEY", der), err
}

// kubeconfig returns the file by which a client reaches the API server.
func (a *authority) kubeconfig(server string, p keyPair) []byte {
	b64 := base64.StdEncoding.EncodeToString
	return fmt.Appendf(nil, `apiVersion: v1
kind: Config
clusters:
- name: plumb-lab
  cluster:
    server: %s
    certificate-authority-data: %s
users:
- name: plumb-lab
  user:
    client-certificate-data: %s
    client-key-data: %s
contexts:
- name: plumb-lab
  context: {cluster: plumb-lab, user: plumb-lab}
current-context: plumb-lab
`, server, b64(a.cert), b64(p.cert), b64(p.key))
}

// writePKI makes the keys of the cluster: those of the API server, and a kubeconfig
// for each that speaks to it. local is where it is reached from outside the rack.
func (c *Cluster) writePKI(local string) error {
	a, err := newAuthority()
	if err != nil {
		return err
	}
	server, err := a.issue("kube-apiserver", "", "kubernetes", "kubernetes.default", "kubernetes.default.svc",
		"kubernetes.default.svc.cluster.local", "localhost", "127.0.0.1", "10.96.0.1", controlIP)
	if err != nil {
		return err
	}
	kubelets, err := a.issue("kube-apiserver-kubelet-client", "system:masters")
	if err != nil {
		return err
	}
	accounts, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	accountKey, err := encodeKey(accounts)
	if err != nil {
		return err
	}
	public, err := x509.MarshalPKIXPublicKey(accounts.Public())
	if err != nil {
		return err
	}
	files := map[string][]byte{
		"pki/ca.crt": a.cert, "pki/apiserver.crt": server.cert, "pki/apiserver.key": server.key,
		"pki/kubelet-client.crt": kubelets.cert, "pki/kubelet-client.key": kubelets.key,
		"pki/sa.key": accountKey, "pki/sa.pub": encode("PUBLIC KEY", public),
	}
	type client struct{ file, user, group, server string }
	const near = "https://" + controlIP + ":6443"
	clients := []client{
		{"kubeconfig", "kubernetes-admin", "system:masters", "https://" + local},
		{"pki/controller-manager.kubeconfig", "system:kube-controller-manager", "", near},
		{"pki/scheduler.kubeconfig", "system:kube-scheduler", "", near},
	}
	for _, n := range c.Nodes {
		clients = append(clients, client{"pki/" + n + ".kubeconfig", "system:node:" + n, "system:nodes", near})
	}
	for _, cl := range clients {
		p, err := a.issue(cl.user, cl.group)
		if err != nil {
			return err
		}
		files[cl.file] = a.kubeconfig(cl.server, p)
		if cl.file == "kubeconfig" {
			files["pki/admin.crt"], files["pki/admin.key"] = p.cert, p.key
		}
	}
	return c.writeFiles(files)
}

// writeFiles writes files below the cluster's directory.
func (c *Cluster) writeFiles(files map[string][]byte) error {
	for name, b := range files {
		if err := os.MkdirAll(filepath.Dir(c.path(name)), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(c.path(name), b, 0o600); err != nil {
			return err
		}
	}
	return nil
}

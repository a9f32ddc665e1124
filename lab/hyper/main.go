// Command hyper is Kubernetes for the lab: etcd, the control plane, the node's
// daemons, kubectl, CoreDNS and flannel as one program, which is the one that it
// is called by ("hyper kubelet …", or as a link of that name). It is a module of
// its own so that plumb does not depend on any of this.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/coredns/coredns/coremain"
	"github.com/spf13/cobra"
	"go.etcd.io/etcd/server/v3/etcdmain"
	"k8s.io/component-base/cli"
	kubectl "k8s.io/kubectl/pkg/cmd"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllers "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	proxy "k8s.io/kubernetes/cmd/kube-proxy/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"

	_ "k8s.io/component-base/logs/json/register"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
)

// commands are those of Kubernetes itself.
var commands = map[string]func() *cobra.Command{
	"kube-apiserver":          apiserver.NewAPIServerCommand,
	"kube-controller-manager": controllers.NewControllerManagerCommand,
	"kube-scheduler":          func() *cobra.Command { return scheduler.NewSchedulerCommand() },
	"kube-proxy":              proxy.NewProxyCommand,
	"kubelet":                 func() *cobra.Command { return kubelet.NewKubeletCommand(context.Background()) },
	"kubectl":                 func() *cobra.Command { return kubectl.NewDefaultKubectlCommand() },
}

// others are the programs beside it. They parse os.Args themselves and return when they are done.
var others = map[string]func(){
	"etcd":     func() { etcdmain.Main(os.Args) },
	"flanneld": flanneld,
	"coredns":  coremain.Run,
}

// corednsFlags are flags that CoreDNS declares for the whole program. The commands
// of Kubernetes would take them up, and kubectl has another meaning for -p.
var corednsFlags = []string{"conf", "dns.port", "log-format", "p", "pidfile", "plugins", "quiet", "version"}

// hideFlags drops flags of the whole program.
func hideFlags(names []string) {
	kept := flag.NewFlagSet(os.Args[0], flag.ExitOnError)
	flag.VisitAll(func(f *flag.Flag) {
		if !slices.Contains(names, f.Name) {
			kept.Var(f.Value, f.Name, f.Usage)
		}
	})
	flag.CommandLine = kept
}

func main() {
	name := filepath.Base(os.Args[0])
	if name == "hyper" && len(os.Args) > 1 {
		name, os.Args = os.Args[1], os.Args[1:]
	}
	if run, ok := others[name]; ok {
		run()
		return
	}
	if c, ok := commands[name]; ok {
		hideFlags(corednsFlags)
		os.Exit(cli.Run(c()))
	}
	fmt.Fprintf(os.Stderr, "hyper: no program is named %q\n", name)
	os.Exit(2)
}

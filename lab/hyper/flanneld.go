package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"github.com/flannel-io/flannel/pkg/backend"
	_ "github.com/flannel-io/flannel/pkg/backend/hostgw"
	_ "github.com/flannel-io/flannel/pkg/backend/vxlan"
	"github.com/flannel-io/flannel/pkg/ip"
	"github.com/flannel-io/flannel/pkg/ipmatch"
	"github.com/flannel-io/flannel/pkg/subnet"
	"github.com/flannel-io/flannel/pkg/subnet/kube"
	"github.com/flannel-io/flannel/pkg/trafficmngr"
	"github.com/flannel-io/flannel/pkg/trafficmngr/iptables"
	"github.com/flannel-io/flannel/pkg/trafficmngr/nftables"
	"k8s.io/klog/v2"
)

// resync is how often flannel looks whether its rules are still there, in seconds. It is flannel's default.
const resync = 5

// flanneld is flannel's daemon with the kube subnet manager and the back ends
// vxlan and host-gw. Its own main cannot be linked: it brings the clouds' back
// ends. Beside, it writes the CNI configuration, since flannel's CNI plugin cannot be had.
func flanneld() {
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer cancel()
	if err := runFlannel(ctx); err != nil {
		klog.Error(err)
		os.Exit(1)
	}
}

func runFlannel(ctx context.Context) error {
	f := flag.NewFlagSet("flanneld", flag.ExitOnError)
	iface := f.String("iface", "", "the uplink; without, that of the default route")
	public := f.String("public-ip", "", "the address that other nodes send to; without, the uplink's")
	subnetFile := f.String("subnet-file", "/run/flannel/subnet.env", "")
	netConf := f.String("net-config-path", "/etc/kube-flannel/net-conf.json", "")
	cniConf := f.String("cni-conf", "", "the CNI configuration to write")
	masq := f.Bool("ip-masq", true, "")
	f.Parse(os.Args[1:])

	sm, err := kube.NewSubnetManager(ctx, "", "", "flannel.alpha.coreos.com", *netConf, true)
	if err != nil {
		return fmt.Errorf("subnet manager: %w", err)
	}
	conf, err := sm.GetNetworkConfig(ctx)
	if err != nil {
		return fmt.Errorf("%s: %w", *netConf, err)
	}
	network, err := register(ctx, sm, conf, *iface, *public)
	if err != nil {
		return err
	}
	lease := network.Lease()
	if err := rules(ctx, conf, network, *masq); err != nil {
		return err
	}
	if err := sm.HandleSubnetFile(*subnetFile, conf, *masq, lease.Subnet, lease.IPv6Subnet, network.MTU()); err != nil {
		return fmt.Errorf("%s: %w", *subnetFile, err)
	}
	if *cniConf != "" {
		if err := writeCNI(*cniConf, lease.Subnet.Network().String(), network.MTU()); err != nil {
			return err
		}
	}
	klog.Info("flannel is ready")
	var wg sync.WaitGroup
	wg.Go(func() { network.Run(ctx) })
	if err := sm.CompleteLease(ctx, lease, &wg); err != nil {
		klog.Error(err)
	}
	wg.Wait()
	return nil
}

// register makes the node's device and its lease.
func register(ctx context.Context, sm subnet.Manager, conf *subnet.Config, iface, public string) (backend.Network, error) {
	family, err := ipmatch.GetIPFamily(conf.EnableIPv4, conf.EnableIPv6)
	if err != nil {
		return nil, err
	}
	if stored, _ := sm.GetStoredPublicIP(ctx); stored != "" {
		public = stored // the annotation public-ip-overwrite, as flannel's main has it
	}
	uplink, err := ipmatch.LookupExtIface(iface, "", "", family, ipmatch.PublicIPOpts{PublicIP: public})
	if err != nil {
		return nil, fmt.Errorf("uplink: %w", err)
	}
	be, err := backend.NewManager(ctx, sm, uplink).GetBackend(conf.BackendType)
	if err != nil {
		return nil, fmt.Errorf("back end %s: %w", conf.BackendType, err)
	}
	var wg sync.WaitGroup
	network, err := be.RegisterNetwork(ctx, &wg, conf)
	if err != nil {
		return nil, fmt.Errorf("register: %w", err)
	}
	return network, nil
}

// rules makes flannel's masquerade and forward rules and keeps them.
func rules(ctx context.Context, conf *subnet.Config, network backend.Network, masq bool) error {
	var tm trafficmngr.TrafficManager = &iptables.IPTablesManager{}
	if conf.EnableNFTables {
		tm = &nftables.NFTablesManager{}
	}
	if err := tm.Init(ctx); err != nil {
		return fmt.Errorf("rules: %w", err)
	}
	if masq {
		err := tm.SetupAndEnsureMasqRules(ctx, conf.Network, ip.IP4Net{}, ip.IP4Net{}, conf.IPv6Network, ip.IP6Net{}, ip.IP6Net{}, network.Lease(), resync, false)
		if err != nil {
			return fmt.Errorf("masquerade rules: %w", err)
		}
	}
	tm.SetupAndEnsureForwardRules(ctx, conf.Network, conf.IPv6Network, resync)
	return nil
}

// writeCNI writes the configuration that flannel's CNI plugin would delegate to.
func writeCNI(path, subnet string, mtu int) error {
	const conf = `{
  "name": "cbr0",
  "cniVersion": "0.4.0",
  "plugins": [
    {"type": "bridge", "bridge": "cni0", "isGateway": true, "isDefaultGateway": true, "hairpinMode": true, "mtu": %d,
     "ipam": {"type": "host-local", "ranges": [[{"subnet": "%s"}]], "routes": [{"dst": "10.244.0.0/16"}]}},
    {"type": "portmap", "capabilities": {"portMappings": true}}
  ]
}
`
	next := path + ".next"
	if err := os.WriteFile(next, fmt.Appendf(nil, conf, mtu, subnet), 0o644); err != nil {
		return err
	}
	return os.Rename(next, path) // containerd reads the folder when it likes
}

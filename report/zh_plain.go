package report

// zhPlain are reasons that other packages give as plain strings, in Chinese.
var zhPlain = map[string]string{
	"no kube-proxy Pod: it may run as a service of the node, or not at all": "没有 kube-proxy Pod：它可能作为节点上的服务运行，也可能根本没有运行",
	"both ports are isolated":                                    "两个端口都设置了 isolated",
	"it came by that port, and hairpin is off":                   "帧正是从该端口进入的，而 hairpin 未开启",
	"the port is not in the VLAN":                                "该端口不属于此 VLAN",
	"no objects of this kind were collected":                     "没有采集这类对象",
	"not collected":                                              "未采集",
	"the cluster has this node, but its state was not collected": "集群中有该节点，但没有采集其状态",
}

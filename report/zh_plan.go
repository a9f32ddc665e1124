package report

// zhPlan is what package plan, and the report of it, say in Chinese.
var zhPlan = map[string]string{
	"ranges for a cluster":          "集群网段方案",
	"Pods":                          "Pod",
	"Services":                      "Service",
	"nodes":                         "节点",
	"%s: %s, room for %d":           "%s：%s，可容纳 %d 个",
	"%s: %s, as given":              "%s：%s，按给定",
	"%s: %s, as given, room for %d": "%s：%s，按给定，可容纳 %d 个",
	"%s: %s, a /%d for each node, room for %d nodes": "%s：%s，每个节点一个 /%d，可容纳 %d 个节点",
	"room for %d times the nodes that were asked for; two addresses for each Pod, so that one that ends does not give its own to the next at once": "可容纳所要求节点数的 %d 倍；每个 Pod 两个地址，使结束的 Pod 的地址不会立刻给下一个",
	"there is no room to grow: no larger ranges are free":                                                       "没有增长余地：没有更大的空闲网段",
	"100.64.0.0/10 is shared by providers and their customers (RFC 6598): make sure that yours does not use it": "100.64.0.0/10 由运营商与客户共用（RFC 6598）：请确认你的运营商没有使用它",
	"how long today's ranges last":                                           "现有网段还能用多久",
	"%s: %d of %d of %s are used; at what pace is not known":                 "%[1]s：%[4]s 的 %[3]d 个中已用 %[2]d 个；增长速度未知",
	"%s: %d of %d of %s are used; at %s more a year the rest lasts %s years": "%[1]s：%[4]s 的 %[3]d 个中已用 %[2]d 个；按每年增加 %[5]s 个，剩余可用 %[6]s 年",
	"ranges of nodes":                         "节点网段",
	"Pods of node %s, whose range is fullest": "节点 %s 的 Pod（其网段最满）",
	"the Pod range is not known: kubeadm's configuration, kube-system/kubeadm-config, is not among the objects":     "不知道 Pod 网段：对象中没有 kubeadm 的配置 kube-system/kubeadm-config",
	"the Service range is not known: kubeadm's configuration, kube-system/kubeadm-config, is not among the objects": "不知道 Service 网段：对象中没有 kubeadm 的配置 kube-system/kubeadm-config",
}

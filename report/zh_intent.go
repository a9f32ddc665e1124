package report

// zhIntent is what package intent says, in Chinese.
var zhIntent = map[string]string{
	"the two have no address of one family in common":                                    "两端没有同一协议族的地址",
	"Pods were not collected, and the address may be one's":                              "没有采集 Pod，该地址可能属于某个 Pod",
	"a Pod reaches itself within its own network namespace":                              "Pod 访问自己不离开自己的网络命名空间",
	"the address may be one of the Pod's own node, %s, which NetworkPolicies never stop": "该地址可能属于 Pod 所在的节点 %s，而 NetworkPolicy 从不拦截本节点的流量",
	"%s denies it": "%s 拒绝",
	"%s may send only what a rule allows, and none matches: %s": "%s 只能发出规则允许的流量，而没有规则匹配：%s",
	"%s receives only what a rule allows, and none matches: %s": "%s 只接收规则允许的流量，而没有规则匹配：%s",
	"%s allows it": "%s 允许",
	"NetworkPolicies never stop traffic with the Pod's own node":                                    "NetworkPolicy 从不拦截 Pod 与所在节点之间的流量",
	"no policy limits what %s sends there":                                                          "没有策略限制 %s 向该处发出的流量",
	"no policy limits what %s receives from there":                                                  "没有策略限制 %s 从该处接收的流量",
	"NetworkPolicies were not collected":                                                            "没有采集 NetworkPolicy",
	"%s denies it, and whether it may stop traffic with the Pod's own node no document says":        "%s 拒绝；但它能否拦截 Pod 与所在节点之间的流量，没有文档说明",
	"for protocols other than TCP, UDP and SCTP the API does not say what a NetworkPolicy does: %s": "对 TCP、UDP、SCTP 以外的协议，API 没有规定 NetworkPolicy 的行为：%s",
	"policies that have equal precedence disagree: %s":                                              "优先级相同的策略互相矛盾：%s",
	"the labels of the namespace %s were not collected, and %s asks for them":                       "没有采集命名空间 %s 的标签，而 %s 要用到它们",
	"whether it matches is not known: %s":                                                           "不知道是否匹配：%s",
	"allow it by a policy":                                                                          "用一条策略允许它",
	"take out, or narrow, %s":                                                                       "去掉或收窄 %s",
}

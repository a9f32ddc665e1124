package report

// zhDiagnose is what package diagnose says, in Chinese.
var zhDiagnose = map[string]string{
	"%s does not reach %s": "%s 无法访问 %s",
	"%s has no address":    "%s 没有地址",
	"%s port %d":           "%s 端口 %d",
	"%s reaches %s with small packets, but full-sized ones are lost":                         "%s 到 %s 的小包能通，但满长报文丢失",
	"full-sized packets between %s and %s are lost; what becomes of small ones is not known": "%s 与 %s 之间的满长报文丢失；小包的结果未知",
	"of the connections from %s to %s, %d %% fail for certain; of %d %% it is not known":     "从 %s 到 %s 的连接中，%d %% 必定失败；另有 %d %% 结果未知",
	"the network namespace of %s, which was not found on node %s":                            "%s 的 netns：在节点 %s 上没有找到",
	"%s reaches %s by %s, but not by %s":                                                     "%s 访问 %s：经 %s 能通，经 %s 不通",
	"%s reaches %s with some connections only: %d %% of them fail":                           "%s 到 %s 只有部分连接能通：%d %% 的连接失败",
	"%s reaches %s with some connections only":                                               "%s 到 %s 只有部分连接能通",
	"%s reaches %s": "%s 能访问 %s",
	"%s reaches %s; what becomes of full-sized packets is not known":                                         "%s 能访问 %s；满长报文的结果未知",
	"%s of %s, by which packets pass: %s":                                                                    "报文经过的 %[2]s 缺少 %[1]s：%[3]s",
	"Service %s has no cluster address and no ready endpoint, so its name resolves to nothing":               "Service %s 没有 ClusterIP，也没有就绪的 endpoint，因此其名称解析不到任何地址",
	"a full-sized answer from %s":                                                                            "来自 %s 的满长应答",
	"a full-sized packet to %s":                                                                              "发往 %s 的满长报文",
	"an address of %s of the same family as %s":                                                              "%s 的一个与 %s 同协议族的地址",
	"cannot tell whether %s reaches %s":                                                                      "无法判断 %s 能否访问 %s",
	"cannot tell whether %s reaches %s: too little was collected to follow a packet":                         "无法判断 %s 能否访问 %s：采集的信息不足以追踪报文",
	"nothing here stops %s from reaching %s, but the way leads through a router that is not in the snapshot": "这里没有什么阻止 %s 访问 %s，但路径经过一台不在快照中的路由器",
	"packets from %s to %s leave the cluster; what becomes of them there is not in the snapshot":             "从 %s 到 %s 的报文离开了集群；之后的情况不在快照中",
	"the first packet to %s":                                                                                 "发往 %s 的首个报文",
	"the name lookup itself, which was not followed: %s was taken for Service %s/%s":                         "名称解析本身（未追踪）：已把 %s 当作 Service %s/%s",
	"the state of node %s, on which %s is: no snapshot of it was given":                                      "节点 %s（%s 所在节点）的状态：没有提供该节点的快照",
}

package report

// zhRecord is what "plumb record" says in Chinese.
var zhRecord = map[string]string{
	"recorded on %s, from %s to %s":   "%s 上的记录，从 %s 到 %s",
	"episode %s of %s, from %s to %s": "%[2]s 的片段 %[1]s，从 %[3]s 到 %[4]s",
	"a node that is not named":        "未命名的节点",
	"of counters, those of what should not happen; --pod shows all of a Pod's, --kind all of a probe's": "只显示不应发生之事的计数器；--pod 显示一个 Pod 的全部，--kind 显示一个探针的全部",
	"nothing of it is recorded":                                  "没有相关的记录",
	"the recorder was started; of %s before nothing is recorded": "记录器启动；此前 %s 没有记录",
	"the recorder was started":                                   "记录器启动",
	"nothing is recorded of %s before this":                      "此前 %s 没有记录",
	"the node's clock was set by %s":                             "节点的时钟被调整了 %s",
	"%d more events of %s, which there was no room for":          "另有 %d 个 %s 事件，没有空间记录",
	"%d values whose names cannot be read":                       "%d 个值的名称无法读取",
	"%d places of the files cannot be read":                      "文件中有 %d 处无法读取",
	"%s: %d measured, 9 of 10 within %s":                         "%s：测量 %d 次，十分之九不超过 %s",
	"%s of %s: %s in a second, usually %s":                       "%[2]s 的 %[1]s：一秒内 %[3]s，平常 %[4]s",
	"the node itself":                                            "节点本身",
	"asked for: %s":                                              "应要求：%s",
	"asked for":                                                  "应要求",
	"no episodes":                                                "没有片段",
	"its file cannot be read":                                    "文件无法读取",
	"%s, from %s to %s, %s":                                      "%s，从 %s 到 %s，%s",
	"%s, from %s to %s, %s, kept for good":                       "%s，从 %s 到 %s，%s，长期保留",
}

package report

import (
	"github.com/plumbnet/plumb/check"
	"github.com/plumbnet/plumb/diagnose"
	"github.com/plumbnet/plumb/text"
	"github.com/plumbnet/plumb/trace"
)

// fateWords say in a word or two how a packet ended.
var fateWords = map[trace.Fate]text.Text{
	trace.Unknown:     text.F("not known"),
	trace.Delivered:   text.F("delivered"),
	trace.LeftCluster: text.F("left the cluster"),
	trace.Dropped:     text.F("dropped"),
	trace.Rejected:    text.F("rejected"),
	trace.NoRoute:     text.F("no route"),
	trace.NoNeighbour: text.F("no neighbour"),
	trace.TooBig:      text.F("too big"),
	trace.Looped:      text.F("looped"),
	trace.NoListener:  text.F("nothing listens"),
	trace.LinkDown:    text.F("link down"),
}

// verdictWords say the verdict in a word.
var verdictWords = map[diagnose.Verdict]text.Text{
	diagnose.CannotTell: text.F("cannot tell"),
	diagnose.Works:      text.F("works"),
	diagnose.Broken:     text.F("broken"),
	diagnose.Partly:     text.F("works in part"),
}

// severityWords name the severities.
var severityWords = map[check.Severity]text.Text{
	check.Info:    text.F("info"),
	check.Warning: text.F("warning"),
	check.Error:   text.F("error"),
}

// severityNames are the severities as JSON and CSS have them.
var severityNames = map[check.Severity]string{check.Info: "info", check.Warning: "warning", check.Error: "error"}

// stageWords name the stages: netfilter's hooks as iptables writes them.
var stageWords = map[trace.Stage]text.Text{
	trace.StageSend:        text.F("send"),
	trace.StageOutput:      text.F("OUTPUT"),
	trace.StageReceive:     text.F("receive"),
	trace.StageBridge:      text.F("bridge"),
	trace.StageDecap:       text.F("decap"),
	trace.StagePrerouting:  text.F("PREROUTING"),
	trace.StageRoute:       text.F("route"),
	trace.StageInput:       text.F("INPUT"),
	trace.StageForward:     text.F("FORWARD"),
	trace.StagePostrouting: text.F("POSTROUTING"),
	trace.StageNeighbour:   text.F("neighbour"),
	trace.StageEncap:       text.F("encap"),
	trace.StageTransmit:    text.F("transmit"),
	trace.StageWire:        text.F("wire"),
	trace.StageDeliver:     text.F("deliver"),
}

// stage names s in the tongue.
func (l tongue) stage(s trace.Stage) string {
	if t, ok := stageWords[s]; ok {
		return l.say(t)
	}
	return clean(string(s))
}

// verdictMarks and fateMark are never alone: a word stands beside them.
var verdictMarks = map[diagnose.Verdict]string{diagnose.CannotTell: "?", diagnose.Works: "✓", diagnose.Broken: "✗", diagnose.Partly: "!"}

func fateMark(f trace.Fate) string {
	switch f {
	case trace.Delivered:
		return "✓"
	case trace.Unknown, trace.LeftCluster:
		return "?"
	}
	return "✗"
}

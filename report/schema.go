package report

import (
	"net/netip"

	"github.com/plumbnet/plumb/snapshot"
)

// The types below are the schema plumb.report/v1, which schema.md describes.
// Fields may be added here; none may be renamed, retyped or taken away.

// jsonText is a sentence in English and, where another language was asked for, in that.
type jsonText struct {
	EN string `json:"en"`
	ZH string `json:"zh,omitempty"`
}

type jsonDiagnosis struct {
	Schema      string          `json:"schema"`
	Kind        string          `json:"kind"`
	Ask         jsonAsk         `json:"ask"`
	Source      jsonEndpoint    `json:"source"`
	Destination jsonEndpoint    `json:"destination"`
	Verdict     string          `json:"verdict"`
	Summary     jsonText        `json:"summary"`
	Resolution  *jsonResolution `json:"resolution,omitempty"`
	Findings    []jsonFinding   `json:"findings"`
	Links       []jsonLink      `json:"links,omitempty"`
	Traces      []jsonTrace     `json:"traces"`
	Unjudged    []jsonUnjudged  `json:"unjudged"`
	Needs       []jsonText      `json:"needs"`
	Observed    []jsonObserved  `json:"observed"`
	Disagree    bool            `json:"disagree"`
	Gaps        []jsonGap       `json:"gaps"`
	ChecksRun   []string        `json:"checks_run"`
}

type jsonLink struct {
	Object  string   `json:"object,omitempty"`
	Verdict string   `json:"verdict"`
	What    jsonText `json:"what"`
}

type jsonObserved struct {
	Node        string              `json:"node"`
	Pod         string              `json:"pod,omitempty"`
	Proto       string              `json:"proto"`
	Source      netip.AddrPort      `json:"source"`
	Destination netip.AddrPort      `json:"destination"`
	Size        int                 `json:"size,omitempty"`
	DF          bool                `json:"df,omitempty"`
	Sent        int                 `json:"sent"`
	Answered    int                 `json:"answered"`
	Fate        string              `json:"fate"`
	ICMP        *snapshot.ProbeICMP `json:"icmp,omitempty"`
	Lookup      *snapshot.Lookup    `json:"lookup,omitempty"`
	RTT         []float64           `json:"rtt_ms"`
	Predicted   string              `json:"predicted"`
	Agreement   string              `json:"agreement"`
	What        jsonText            `json:"what"`
	Located     *jsonLocated        `json:"located,omitempty"`
}

type jsonLocated struct {
	What   jsonText    `json:"what"`
	Sent   int         `json:"sent"`
	Answer bool        `json:"answer,omitempty"`
	Points []jsonPoint `json:"points"`
}

type jsonPoint struct {
	Where   string   `json:"where"`
	What    jsonText `json:"what"`
	Counted uint64   `json:"counted"`
	Command string   `json:"command"`
}

type jsonCheck struct {
	Schema    string         `json:"schema"`
	Kind      string         `json:"kind"`
	Findings  []jsonFinding  `json:"findings"`
	Unjudged  []jsonUnjudged `json:"unjudged"`
	Gaps      []jsonGap      `json:"gaps"`
	ChecksRun []string       `json:"checks_run"`
}

type jsonAsk struct {
	Source      string         `json:"source"`
	Destination string         `json:"destination"`
	Proto       string         `json:"proto"`
	External    []netip.Prefix `json:"external"`
}

type jsonEndpoint struct {
	Kind      string       `json:"kind"`
	Name      string       `json:"name"`
	Node      string       `json:"node,omitempty"`
	NetNS     string       `json:"netns,omitempty"`
	Addresses []netip.Addr `json:"addresses"`
	Port      uint16       `json:"port,omitempty"`
}

type jsonFinding struct {
	Check        string              `json:"check"`
	Severity     string              `json:"severity"`
	Where        string              `json:"where"`
	Also         []string            `json:"also,omitempty"`
	OnPath       bool                `json:"on_path"`
	What         jsonText            `json:"what"`
	Fix          jsonFix             `json:"fix"`
	Evidence     []snapshot.Evidence `json:"evidence"`
	Consequences []jsonFinding       `json:"consequences"`
}

type jsonFix struct {
	What     jsonText `json:"what"`
	Commands []string `json:"commands"`
}

type jsonUnjudged struct {
	Check string   `json:"check"`
	Where string   `json:"where"`
	Why   jsonText `json:"why"`
}

type jsonGap struct {
	Path string   `json:"path"`
	Why  jsonText `json:"why"`
}

type jsonTrace struct {
	Title   jsonText   `json:"title"`
	Big     bool       `json:"big"`
	Verdict string     `json:"verdict"`
	Paths   []jsonPath `json:"paths"`
}

type jsonPath struct {
	Weight  float64          `json:"weight"`
	Verdict string           `json:"verdict"`
	End     string           `json:"end"`
	At      jsonPlace        `json:"at"`
	Why     jsonText         `json:"why"`
	Final   *jsonPacket      `json:"final,omitempty"`
	Assumed []jsonAssumption `json:"assumed"`
	Hops    []jsonHop        `json:"hops"`
	Reply   []jsonPath       `json:"reply"`
	ICMP    []jsonPath       `json:"icmp"`
}

type jsonAssumption struct {
	What     jsonText          `json:"what"`
	Evidence snapshot.Evidence `json:"evidence"`
}

type jsonPlace struct {
	Node  string `json:"node"`
	NetNS string `json:"netns"`
	Link  string `json:"link,omitempty"`
}

type jsonHop struct {
	Node  string     `json:"node"`
	NetNS string     `json:"netns"`
	Pod   string     `json:"pod,omitempty"`
	In    string     `json:"in,omitempty"`
	Out   string     `json:"out,omitempty"`
	Steps []jsonStep `json:"steps"`
}

type jsonStep struct {
	Stage    string              `json:"stage"`
	Link     string              `json:"link,omitempty"`
	What     jsonText            `json:"what"`
	Evidence []snapshot.Evidence `json:"evidence"`
	Out      *jsonPacket         `json:"out,omitempty"`
}

type jsonPacket struct {
	Proto    string      `json:"proto"`
	Src      netip.Addr  `json:"src"`
	SrcPort  uint16      `json:"src_port,omitempty"`
	Dst      netip.Addr  `json:"dst"`
	DstPort  uint16      `json:"dst_port,omitempty"`
	Flags    []string    `json:"flags,omitempty"`
	ICMPType *uint8      `json:"icmp_type,omitempty"`
	ICMPCode *uint8      `json:"icmp_code,omitempty"`
	Size     int         `json:"size,omitempty"`
	MTU      int         `json:"mtu,omitempty"`
	MSS      int         `json:"mss,omitempty"`
	DF       bool        `json:"df,omitempty"`
	TOS      uint8       `json:"tos,omitempty"`
	TTL      uint8       `json:"ttl,omitempty"`
	Mark     uint32      `json:"mark,omitempty"`
	Key      uint32      `json:"key,omitempty"`
	Inner    *jsonPacket `json:"inner,omitempty"`
}

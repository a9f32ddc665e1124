package dns

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/plumbnet/plumb/text"
)

// A Query is a question to a name server.
type Query struct {
	Name   string     // with its dot at the end; letters count as lower case
	Type   string     // "A", "AAAA", "SRV", "PTR"
	Class  string     // "" is "IN"
	Port   uint16     // where the server is asked; 0 is 53
	Client netip.Addr // who asks, for what depends on it; invalid: not known
}

// String returns the name and the type.
func (q Query) String() string { return q.Name + " " + q.Type }

// A Record is a resource record of class IN.
type Record struct {
	Name   string
	Type   string
	TTL    uint32     // seconds
	Addr   netip.Addr // of A and AAAA
	Head   string     // what is before Target: "0 100 53" of SRV, the strings of TXT
	Target string     // the name that the record leads to
	Tail   string     // what is after Target: of SOA
}

// Data returns what the record says, as zone files write it: "0 100 53 kube-dns.kube-system.svc.cluster.local.".
func (r Record) Data() string {
	if r.Addr.IsValid() {
		return r.Addr.String()
	}
	return strings.Join(slices.DeleteFunc([]string{r.Head, r.Target, r.Tail}, func(s string) bool { return s == "" }), " ")
}

// String returns the record as zone files write it.
func (r Record) String() string {
	return fmt.Sprintf("%s\t%d\tIN\t%s\t%s", r.Name, r.TTL, r.Type, r.Data())
}

// The answers that name servers give (RFC 1035, 4.1.1), where code depends on which.
const (
	NoError  = "NOERROR"
	ServFail = "SERVFAIL"
	NXDomain = "NXDOMAIN"
	Refused  = "REFUSED"
)

// An Outcome says what a query comes to.
type Outcome uint8

// The outcomes. Unknown is the zero value.
const (
	Unknown   Outcome = iota
	Answered          // CoreDNS answers by itself
	Forwarded         // upstreams are asked for Answer.Asked, and decide
)

// A Place is a plugin in a Corefile.
type Place struct {
	Server string // the server block's key: "dns://.:53"; "" where there is none
	Plugin string // "" where the server itself answers
	Line   int    // of the Corefile; 0 where there is none
}

// An Upstream is a server that queries are forwarded to.
type Upstream struct {
	Transport string         // "dns", "tls", "https"
	Addr      netip.AddrPort // invalid where Name or File stands for it
	Name      string         // a host name that CoreDNS looks up when it starts: "dns.example.org:53"
	File      string         // a resolv.conf that is not known: "/etc/resolv.conf"
}

// String returns the upstream as a Corefile names it, with its port.
func (u Upstream) String() string {
	switch {
	case u.File != "":
		return u.File
	case u.Transport != "dns":
		return u.Transport + "://" + u.host()
	}
	return u.host()
}

func (u Upstream) host() string {
	if u.Addr.IsValid() {
		return u.Addr.String()
	}
	return u.Name
}

// A Step is one thing that was done with a query.
type Step struct {
	Place Place
	What  text.Text
}

// An Answer is what becomes of a query.
type Answer struct {
	Outcome   Outcome
	Rcode     string   // of Answered: "NOERROR"; "" where no answer comes: one of its names is none
	Records   []Record // the answer section; of Forwarded what is known before upstreams answer
	Extra     []Record // the additional section
	By        Place    // who answers, forwards or is not understood
	Asked     Query    // of Forwarded: what upstreams are asked
	Upstreams []Upstream
	Why       text.Text // of Unknown
	Steps     []Step

	authority []Record
	written   bool // false: an rcode that the server makes a message of
	failed    bool // there is a message, and yet its plugin says that it failed
	broken    bool // a plugin could not do its work, or there was none
}

// Addrs returns the addresses that an answer holds.
func (a *Answer) Addrs() (out []netip.Addr) {
	for _, r := range a.Records {
		if r.Addr.IsValid() {
			out = append(out, r.Addr)
		}
	}
	return out
}

// types are the names of record types that CoreDNS knows.
var types = set(`A AAAA AFSDB AMTRELAY ANY APL ATMA AVC AXFR CAA CDNSKEY CDS CERT CNAME CSYNC DHCID DLV DNAME DNSKEY DS EID EUI48 EUI64
	GID GPOS HINFO HIP HTTPS IPSECKEY ISDN IXFR KEY KX L32 L64 LOC LP MAILA MAILB MB MD MF MG MINFO MR MX NAPTR NID NIMLOC NINFO NS NSAP-PTR
	NSEC NSEC3 NSEC3PARAM NULL NXNAME NXT None OPENPGPKEY OPT PTR PX RESINFO RKEY RP RRSIG RT Reserved SIG SMIMEA SOA SPF SRV SSHFP SVCB TA
	TALINK TKEY TLSA TSIG TXT UID UINFO UNSPEC URI X25 ZONEMD`)

var classes = set("IN CS CH HS NONE ANY")

// rcodes are the names of answers; those up to 23 can be written as numbers too.
var rcodes = set(`NOERROR FORMERR SERVFAIL NXDOMAIN NOTIMP NOTIMPL REFUSED YXDOMAIN YXRRSET NXRRSET NOTAUTH NOTZONE DSOTYPENI BADSIG BADVERS
	BADKEY BADTIME BADMODE BADNAME BADALG BADTRUNC BADCOOKIE`)

func set(words string) map[string]bool {
	m := map[string]bool{}
	for w := range strings.FieldsSeq(words) {
		m[w] = true
	}
	return m
}

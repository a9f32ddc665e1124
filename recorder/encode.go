package recorder

import (
	"encoding/binary"
	"encoding/json"
	"math"
	"net/netip"

	"github.com/plumbnet/plumb/event"
	"github.com/plumbnet/plumb/probe"
)

// What a payload is made of: records, each of which begins with one of these. Integers are varints; a text is the
// number of one that was defined, or its length and its bytes.
const (
	recordText   = 1 + iota // number, length, bytes
	recordSeries            // number, text of its name, type, text of its Pod, labels, text of its bounds
	recordValues            // how many; of each: series, number
	recordHists             // how many; of each: series, sum, the first bucket, how many, by how much each rose
	recordEvent
	recordLoss // text of its kind, how many
	recordMeta // length, JSON
)

// An encoder writes the frames of one segment. A frame says what it defines, and once more what the one before it
// did: so that a frame that cannot be read takes none but itself with it.
type encoder struct {
	segment      uint64
	texts        map[string]uint64
	series       map[*Series]uint64
	before, defs []byte
	body         []byte
	frame        []byte // the last one
}

// newEncoder begins a segment, whose first frame has meta.
func newEncoder(segment uint64, meta Episode) *encoder {
	e := &encoder{segment: segment, texts: map[string]uint64{}, series: map[*Series]uint64{}}
	data, _ := json.Marshal(meta) // of strings and times of this time
	e.defs = append(binary.AppendUvarint([]byte{recordMeta}, uint64(len(data))), data...)
	return e
}

// encode returns a second as a frame, which is valid until the next call.
func (e *encoder) encode(s *Second) []byte {
	e.body = e.body[:0]
	e.values(s.Values)
	for i := range s.Events {
		e.event(&s.Events[i], s.Time.UnixNano())
	}
	for _, l := range s.Lost {
		kind := e.text(l.Kind)
		e.body = append(e.body, recordLoss)
		e.uint(kind, l.Count)
	}
	h := head{e.segment, s.Seq, s.Run.UnixNano(), s.Time.UnixNano(), int64(s.Mono)}
	e.frame = appendFrame(e.frame[:0], h, e.before, e.defs, e.body)
	e.before, e.defs = e.defs, e.before[:0]
	return e.frame
}

func (e *encoder) uint(list ...uint64) {
	for _, x := range list {
		e.body = binary.AppendUvarint(e.body, x)
	}
}

// number appends a float: what is whole, and what is whole in billionths, as most are, in few bytes.
func (e *encoder) number(x float64) {
	nanos := math.Round(x * 1e9)
	switch {
	case x >= 0 && x < 1<<53 && x == math.Trunc(x) && !(x == 0 && math.Signbit(x)):
		e.uint(uint64(x) << 1)
	case nanos > 0 && nanos < 1<<53 && nanos/1e9 == x:
		e.uint(uint64(nanos)<<1 | 1)
	default:
		e.uint(1)
		e.body = binary.LittleEndian.AppendUint64(e.body, math.Float64bits(x))
	}
}

// text returns the number of a text, which it defines where it is new.
func (e *encoder) text(s string) uint64 {
	n, ok := e.texts[s]
	if !ok {
		n = uint64(len(e.texts))
		e.texts[s] = n
		e.defs = append(e.defs, recordText)
		e.defs = binary.AppendUvarint(e.defs, n)
		e.defs = append(binary.AppendUvarint(e.defs, uint64(len(s))), s...)
	}
	return n
}

// alarmBit is set in the type of a series whose metric has Alarm.
const alarmBit = 8

// of returns the number of a series.
func (e *encoder) of(s *Series) uint64 {
	n, ok := e.series[s]
	if ok {
		return n
	}
	n = uint64(len(e.series))
	e.series[s] = n
	typ := uint64(s.Type)
	if s.Alarm {
		typ |= alarmBit
	}
	list := []uint64{n, e.text(s.Name), typ, e.text(s.Pod), uint64(len(s.Labels))}
	for _, l := range s.Labels {
		list = append(list, e.text(l.Key), e.text(l.Value))
	}
	var bounds []byte
	for _, b := range s.Bounds {
		bounds = binary.LittleEndian.AppendUint64(bounds, math.Float64bits(b))
	}
	list = append(list, e.text(string(bounds)))
	e.defs = append(e.defs, recordSeries)
	for _, x := range list {
		e.defs = binary.AppendUvarint(e.defs, x)
	}
	return n
}

// values appends the values of a second, those of histograms apart.
func (e *encoder) values(all []Value) {
	hists := 0
	for i := range all {
		if all[i].Hist != nil {
			hists++
		}
	}
	for _, record := range []struct {
		tag  byte
		n    int
		hist bool
	}{{recordValues, len(all) - hists, false}, {recordHists, hists, true}} {
		if record.n == 0 {
			continue
		}
		e.body = append(e.body, record.tag)
		e.uint(uint64(record.n))
		last := int64(0)
		for i := range all {
			v := &all[i]
			if (v.Hist != nil) != record.hist {
				continue
			}
			id := int64(e.of(v.Series))
			e.body = binary.AppendVarint(e.body, id-last)
			last = id
			if record.hist {
				e.hist(v.Hist)
			} else {
				e.number(v.Value)
			}
		}
	}
}

// hist appends what came to a histogram, from the first of its buckets to the last that something came to.
func (e *encoder) hist(h *probe.Hist) {
	e.number(h.Sum)
	first, last := 0, 0
	for i, c := range h.Counts {
		if c > 0 {
			last = i + 1
		}
		if last == 0 {
			first = i + 1
		}
	}
	if last == 0 {
		first = 0
	}
	e.uint(uint64(first), uint64(last-first))
	e.uint(h.Counts[first:last]...)
}

// event appends an event, whose time is told from the second's.
func (e *encoder) event(v *event.Event, second int64) {
	kind, node, pod, peer := e.text(v.Kind), e.text(v.Node), e.text(v.Pod), e.text(v.Peer)
	keys := make([]uint64, 0, 8)
	for _, f := range v.Detail {
		keys = append(keys, e.text(f.Key))
	}
	e.body = append(e.body, recordEvent)
	e.body = binary.AppendVarint(e.body, v.Time.UnixNano()-second)
	e.uint(kind, node, pod, peer, uint64(v.By), uint64(v.Packet.Proto))
	e.addr(v.Packet.Src)
	e.addr(v.Packet.Dst)
	e.body = binary.AppendVarint(e.body, int64(v.Packet.Size))
	e.uint(uint64(len(v.Detail)))
	for i, f := range v.Detail {
		e.uint(keys[i], uint64(len(f.Value)))
		e.body = append(e.body, f.Value...)
	}
}

func (e *encoder) addr(a netip.AddrPort) {
	ip := a.Addr().AsSlice()
	e.body = append(append(e.body, byte(len(ip))), ip...)
	e.uint(uint64(a.Port()))
}

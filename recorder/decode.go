package recorder

import (
	"encoding/binary"
	"encoding/json"
	"math"
	"net/netip"
	"slices"
	"time"

	"github.com/plumbnet/plumb/event"
	"github.com/plumbnet/plumb/packet"
	"github.com/plumbnet/plumb/probe"
)

// A cursor reads what an encoder wrote. After something that cannot be there, it is bad and returns zeros.
type cursor struct {
	b   []byte
	bad bool
}

func (c *cursor) uint() uint64 {
	x, n := binary.Uvarint(c.b)
	if n <= 0 {
		c.fail()
		return 0
	}
	c.b = c.b[n:]
	return x
}

func (c *cursor) int() int64 {
	x, n := binary.Varint(c.b)
	if n <= 0 {
		c.fail()
		return 0
	}
	c.b = c.b[n:]
	return x
}

func (c *cursor) fail() { c.b, c.bad = nil, true }

func (c *cursor) bytes(n uint64) []byte {
	if n > uint64(len(c.b)) {
		c.fail()
		return nil
	}
	out := c.b[:n]
	c.b = c.b[n:]
	return out
}

// many reads how many of something follow, each of which takes a byte at least.
func (c *cursor) many() int {
	n := c.uint()
	if n > uint64(len(c.b)) {
		c.fail()
		return 0
	}
	return int(n)
}

func (c *cursor) byte() byte {
	if b := c.bytes(1); len(b) == 1 {
		return b[0]
	}
	return 0
}

func (c *cursor) number() float64 {
	x := c.uint()
	if x&1 == 0 {
		return float64(x >> 1)
	}
	if x > 1 {
		return float64(x>>1) / 1e9
	}
	if b := c.bytes(8); b != nil {
		return math.Float64frombits(binary.LittleEndian.Uint64(b))
	}
	return 0
}

func (c *cursor) addr() netip.AddrPort {
	n := c.byte()
	ip, ok := netip.AddrFromSlice(c.bytes(uint64(n)))
	port := c.uint()
	if n != 0 && !ok || port > math.MaxUint16 {
		c.fail()
	}
	return netip.AddrPortFrom(ip, uint16(port))
}

// A decoder reads the frames of one segment.
type decoder struct {
	texts  map[uint64]string
	series map[uint64]*Series
	known  map[string]*Series // of all segments, by what they are
	meta   *Episode
	key    []byte
	list   []string
	reuse  bool // what a second holds is valid until the next one only
	values []Value
	hists  []probe.Hist
	counts []uint64
	// Of the frame at hand:
	unread  int  // names that it has and that no frame that could be read defines
	buckets int  // of its histograms
	events  bool // it is one of events, and not of counters
}

// maxBuckets are the buckets of all histograms of a frame: 10,000 series of 100.
const maxBuckets = 1 << 20

// newDecoder returns a decoder that knows series of other segments.
func newDecoder(known map[string]*Series, reuse bool) *decoder {
	return &decoder{texts: map[uint64]string{}, series: map[uint64]*Series{}, known: known, reuse: reuse}
}

// decode adds what a payload holds to a second, or learns only what it defines. It reports false for a payload
// that no encoder wrote, of which it adds nothing.
func (d *decoder) decode(payload []byte, s *Second, wanted bool) bool {
	c := cursor{b: payload}
	d.unread, d.buckets, d.events = 0, 0, false
	if !d.reuse {
		d.values, d.hists, d.counts = nil, nil, nil
	}
	d.values, d.hists, d.counts = d.values[:0], d.hists[:0], d.counts[:0]
	whole := *s
	for len(c.b) > 0 && !c.bad {
		record := c.byte()
		defines := record == recordText || record == recordSeries || record == recordMeta
		d.events = d.events || record == recordEvent || record == recordLoss
		if !defines && !wanted {
			return true // definitions come first
		}
		switch record {
		case recordText:
			n, size := c.uint(), c.uint()
			d.texts[n] = string(c.bytes(size))
		case recordSeries:
			d.define(&c)
		case recordValues:
			d.read(&c, false)
		case recordHists:
			d.read(&c, true)
		case recordEvent:
			d.event(&c, &whole)
		case recordLoss:
			kind := d.text(c.uint())
			whole.Lost = append(whole.Lost, Loss{kind, c.uint()})
		case recordMeta:
			m := &Episode{}
			if json.Unmarshal(c.bytes(c.uint()), m) != nil {
				c.fail()
			}
			d.meta = m
		default:
			c.fail()
		}
	}
	if c.bad {
		return false
	}
	whole.Unread += d.unread
	whole.Values = d.values
	*s = whole
	return true
}

// text returns a text by its number.
func (d *decoder) text(n uint64) string {
	s, ok := d.texts[n]
	if !ok {
		d.unread++
	}
	return s
}

// define reads a series. One that has a text that is not known stays unknown.
func (d *decoder) define(c *cursor) {
	before := d.unread
	d.key, d.list = d.key[:0], d.list[:0]
	text := func() {
		s := d.text(c.uint())
		d.key = append(binary.AppendUvarint(d.key, uint64(len(s))), s...)
		d.list = append(d.list, s)
	}
	n := c.uint()
	text()
	typ := min(c.uint(), math.MaxUint8)
	text()
	for range c.many() {
		text()
		text()
	}
	text()
	if c.bad || d.unread > before {
		d.unread = before
		return
	}
	d.key = append(d.key, byte(typ))
	s := d.known[string(d.key)]
	if s == nil {
		s = newSeries(typ, d.list)
		d.known[string(d.key)] = s
	}
	d.series[n] = s
}

// newSeries makes a series of its texts: name, Pod, labels, bounds.
func newSeries(typ uint64, list []string) *Series {
	s := &Series{Name: list[0], Type: probe.Type(typ &^ alarmBit), Pod: list[1], Alarm: typ&alarmBit != 0}
	end := len(list) - 1
	for i := 2; i < end; i += 2 {
		s.Labels = append(s.Labels, event.Field{Key: list[i], Value: list[i+1]})
	}
	for bounds := []byte(list[end]); len(bounds) >= 8; bounds = bounds[8:] {
		s.Bounds = append(s.Bounds, math.Float64frombits(binary.LittleEndian.Uint64(bounds)))
	}
	return s
}

// read reads values, those of histograms or the others.
func (d *decoder) read(c *cursor, hist bool) {
	id := int64(0)
	for range c.many() {
		id += c.int()
		series := d.series[uint64(id)]
		v := Value{Series: series}
		if hist {
			v.Hist = d.hist(c, series)
		} else {
			v.Value = c.number()
		}
		if series == nil || (series.Type == probe.Histogram) != hist {
			d.unread++
			continue
		}
		d.values = append(d.values, v)
	}
}

// hist reads what came to a histogram. Where its series is not known it is only read.
func (d *decoder) hist(c *cursor, s *Series) *probe.Hist {
	h := probe.Hist{Sum: c.number()}
	if s != nil {
		n := len(s.Bounds) + 1
		if d.buckets += n; d.buckets > maxBuckets {
			c.fail()
			return nil
		}
		d.counts = slices.Grow(d.counts, n)
		end := len(d.counts)
		d.counts = d.counts[:end+n]
		h.Bounds, h.Counts = s.Bounds, d.counts[end:]
		clear(h.Counts)
	}
	at := c.uint()
	for range c.many() {
		count := c.uint()
		switch {
		case s == nil:
		case at >= uint64(len(h.Counts)):
			c.fail()
		default:
			h.Counts[at] = count
		}
		at++
	}
	d.hists = append(d.hists, h)
	return &d.hists[len(d.hists)-1]
}

func (d *decoder) event(c *cursor, s *Second) {
	before := d.unread
	v := event.Event{Time: s.Time.Add(time.Duration(c.int()))}
	v.Kind, v.Node, v.Pod, v.Peer = d.text(c.uint()), d.text(c.uint()), d.text(c.uint()), d.text(c.uint())
	by, proto := c.uint(), c.uint()
	if by > math.MaxUint8 || proto > math.MaxUint8 {
		c.fail()
	}
	v.By = event.Tier(by)
	v.Packet = packet.Packet{Proto: packet.Proto(proto), Src: c.addr(), Dst: c.addr(), Size: int(c.int())}
	for range c.many() {
		key := d.text(c.uint())
		v.Detail = append(v.Detail, event.Field{Key: key, Value: string(c.bytes(c.uint()))})
	}
	if d.unread > before {
		d.unread = before + 1
		return
	}
	s.Events = append(s.Events, v)
}

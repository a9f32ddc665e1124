package recorder

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"time"
)

// A file of the recorder is frames, one after the other, and then whatever was there before:
//
//	marker, length of the payload, CRC-32C of all that follows      4 bytes each
//	segment, sequence, start of the run, wall clock, monotonic clock  8 bytes each
//	payload
//
// All are little-endian. A segment is what one run of the recorder wrote to one file before it went on to the
// next; each has its strings and series defined within. Segments' numbers rise: after a frame of one, those of
// lower ones are what is left from when the file was last written.
const (
	marker     = "plR\x01"
	headerSize = 52
	maxPayload = 4 << 20
)

// A head is what a frame says of its second.
type head struct {
	segment, seq uint64
	run, wall    int64 // ns since 1970
	mono         int64 // ns
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// appendFrame appends a frame to dst.
func appendFrame(dst []byte, h head, payload ...[]byte) []byte {
	start, n := len(dst), 0
	for _, p := range payload {
		n += len(p)
	}
	dst = append(dst, marker...)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(n))
	dst = append(dst, 0, 0, 0, 0)
	for _, x := range []uint64{h.segment, h.seq, uint64(h.run), uint64(h.wall), uint64(h.mono)} {
		dst = binary.LittleEndian.AppendUint64(dst, x)
	}
	for _, p := range payload {
		dst = append(dst, p...)
	}
	binary.LittleEndian.PutUint32(dst[start+8:], crc32.Checksum(dst[start+12:], castagnoli))
	return dst
}

// A scanner finds the frames of what a file or a stream holds.
type scanner struct {
	data    []byte
	at      int // where the next frame may begin
	end     int // of the last one
	damaged int
	segment uint64
	budget  int // bytes that may yet be checked in vain: hostile data could have a marker at each byte
}

func newScanner(data []byte) *scanner { return &scanner{data: data, budget: 16 * len(data)} }

// next returns the next frame that is whole. What is between frames is passed over, and counted where another follows.
func (s *scanner) next() (h head, payload []byte, ok bool) {
	broken := false
	for s.budget >= 0 {
		i := bytes.Index(s.data[s.at:], []byte(marker))
		if i < 0 {
			break
		}
		broken = broken || i > 0
		s.at += i
		h, payload, ok = s.frame(s.data[s.at:])
		if !ok {
			s.at++
			broken = true
			continue
		}
		if h.segment < s.segment {
			break // from here on it is older
		}
		s.segment = h.segment
		s.at += headerSize + len(payload)
		s.end = s.at
		if broken {
			s.damaged++
		}
		return h, payload, true
	}
	s.at = len(s.data)
	return head{}, nil, false
}

// frame reads the frame that data begins with.
func (s *scanner) frame(data []byte) (h head, payload []byte, ok bool) {
	if len(data) < headerSize {
		return h, nil, false
	}
	n := binary.LittleEndian.Uint32(data[4:])
	if n > maxPayload || int(n) > len(data)-headerSize {
		return h, nil, false
	}
	whole := data[:headerSize+int(n)]
	if crc32.Checksum(whole[12:], castagnoli) != binary.LittleEndian.Uint32(data[8:]) {
		s.budget -= len(whole)
		return h, nil, false
	}
	x := func(i int) uint64 { return binary.LittleEndian.Uint64(data[12+8*i:]) }
	return head{x(0), x(1), int64(x(2)), int64(x(3)), int64(x(4))}, whole[headerSize:], true
}

// second returns a second without its content.
func (h head) second() Second {
	return Second{Seq: h.seq, Run: time.Unix(0, h.run).UTC(), Time: time.Unix(0, h.wall).UTC(), Mono: time.Duration(h.mono)}
}

// frames calls visit with each second that data has, until it returns false, and counts what cannot be read. Of
// seconds that are not wanted it tells when they were alone. With reuse, what a second holds is valid during visit only.
func frames(data []byte, known map[string]*Series, q *Query, reuse bool, visit func(s Second, d *decoder) bool) (damaged int) {
	s, d := newScanner(data), newDecoder(known, reuse)
	segment := uint64(0)
	for h, payload, ok := s.next(); ok; h, payload, ok = s.next() {
		if h.segment != segment {
			segment, d = h.segment, newDecoder(known, reuse)
		}
		second := h.second()
		if !d.decode(payload, &second, q.during(&second)) {
			damaged++
		} else if !visit(second, d) {
			break
		}
	}
	return damaged + s.damaged
}

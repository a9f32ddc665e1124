package netfilter

// A room hands out memory for values, of which an evaluation needs many; the next one uses it again.
type room[T any] struct {
	piece []T
	used  int // of piece
}

// take returns n values, which stay where they are until reset: zero until the first reset,
// then what is left over in them from before.
func (r *room[T]) take(n int) []T {
	if len(r.piece)-r.used < n {
		r.piece, r.used = make([]T, max(n, min(2*len(r.piece), 512))), 0
	}
	r.used += n
	return r.piece[r.used-n : r.used : r.used]
}

// get returns a value.
func (r *room[T]) get() *T { return &r.take(1)[0] }

// reset takes back all that was handed out. It keeps the last piece, of at least n values.
func (r *room[T]) reset(n int) {
	r.used = 0
	if len(r.piece) < n {
		r.piece = make([]T, n)
	}
}

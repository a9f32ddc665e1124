package recorder

import (
	"errors"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// allocate gives a file its size, and all blocks that it needs for it. One of another size is emptied.
func allocate(f *os.File, size int64) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return errors.New("no regular file")
	}
	if info.Size() != size {
		if err := f.Truncate(0); err != nil {
			return err
		}
	}
	err = unix.Fallocate(int(f.Fd()), 0, 0, size)
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOSYS) {
		return fill(f, info.Size() == size, size)
	}
	if err != nil {
		_ = f.Truncate(0) // what it could have goes to others
		return err
	}
	return nil
}

// fill writes zeros, where a file system cannot allocate.
func fill(f *os.File, done bool, size int64) error {
	if done {
		return nil
	}
	_, err := io.CopyN(io.NewOffsetWriter(f, 0), zeros{}, size)
	return err
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// own makes sure that this process alone writes to a folder, for as long as the file is open.
func own(f *os.File) error { return unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) }

// disown gives that up. To close the file is not enough: a child that is being started has it too, until it becomes another program.
func disown(f *os.File) error {
	return errors.Join(unix.Flock(int(f.Fd()), unix.LOCK_UN), f.Close())
}

// scratch returns memory for a while, which the collector knows nothing of: it would let the heap grow by twice as much.
func scratch(n int) (data []byte, free func()) {
	data, err := unix.Mmap(-1, 0, n, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		return make([]byte, n), func() {}
	}
	return data, func() { _ = unix.Munmap(data) }
}
